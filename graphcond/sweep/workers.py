"""Worker processes that take rows one after the other. Importing this loads no torch."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphcond.sweep.config import SweepConfig
    from graphcond.sweep.rows import RowPlan

SPAWN = get_context("spawn")
TURNS = ".turns.lock"
"""The file with which workers fill caches one after the other, so that none fills one twice."""
PATIENCE = 120.0
"""Seconds in which a stopped worker may write its checkpoint."""


@dataclass(frozen=True)
class Worker:
    """A process and the line to it."""

    process: SpawnProcess
    line: Connection

    @classmethod
    def start(cls, config: SweepConfig, device: str, threads: int) -> Worker:
        """A new process."""
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=work, args=(theirs, config, device, threads), daemon=True)
        process.start()
        theirs.close()
        return cls(process, ours)

    def stop(self) -> None:
        """Let the process write its checkpoint, and wait for its end."""
        with suppress(OSError, ValueError):
            if self.process.pid is not None and self.process.is_alive():
                os.kill(self.process.pid, signal.SIGINT)
        self.line.close()
        self.process.join(PATIENCE)
        self.process.kill()


def perform_all(
    plans: Sequence[RowPlan], config: SweepConfig, *, device: str, jobs: int, threads: int
) -> Iterator[tuple[RowPlan, str | None]]:
    """Do rows in worker processes; gives each with the reason of its failure, as soon as it is done.

    A worker that dies takes its row with it; a new one does the others.

    Args:
        plans: the rows.
        config: their sweep.
        device: where networks run.
        jobs: number of processes.
        threads: of each.
    """
    waiting = list(reversed(plans))
    busy: dict[Connection, tuple[Worker, RowPlan]] = {}
    idle: list[Worker] = []
    try:
        while waiting or busy:
            while waiting and len(busy) < jobs:
                worker = idle.pop() if idle else Worker.start(config, device, threads)
                plan = waiting.pop()
                busy[worker.line] = worker, plan
                with suppress(OSError):  # it died while idle, which is seen below
                    worker.line.send(plan)
            ready = wait(list(busy))
            for line in [line for line in busy if line in ready]:
                worker, plan = busy.pop(line)
                try:
                    reason = worker.line.recv()
                    idle.append(worker)
                except EOFError:
                    worker.process.join()
                    reason = f"its process ended with exit code {worker.process.exitcode}"
                yield plan, reason
    finally:
        for worker in [*idle, *(worker for worker, _ in busy.values())]:
            worker.stop()


def work(line: Connection, config: SweepConfig, device: str, threads: int) -> None:
    """The life of a worker: do the rows that come, until none comes or the parent ends."""
    with suppress(AttributeError, OSError):  # Ctrl-C comes from the parent only, which sends it on
        os.setpgid(0, 0)
    threading.Thread(target=_follow, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = os.environ["NUMBA_NUM_THREADS"] = str(threads)
    try:
        plan = line.recv()
        import torch

        from graphcond.sweep.engine import perform
        from graphcond.sweep.exam import Shared

        torch.set_num_threads(threads)
        plan.folder.parent.mkdir(parents=True, exist_ok=True)
        shared = Shared(torch.device(device), turns=plan.folder.parent / TURNS)
        while True:
            line.send(perform(plan, config, shared))
            plan = line.recv()
    except (EOFError, OSError, KeyboardInterrupt):
        return


def _follow() -> None:
    """Stop as by Ctrl-C when the parent is gone."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGINT)
