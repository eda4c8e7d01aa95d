"""A command in a process of its own that a signal hits at one of its writes."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WRITES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree"}
"""Events of Python's audit hooks that change a folder; ``open`` with a flag for writing is another."""

IMPORTED_ONCE = (
    *("training.run", "scenes", "features.load", "features.text_features", "bases.stable_diffusion"),
    *("encoders.triple_gcn", "adapters.gated_self_attention", "precompute", "saving.instructg2i"),
)
"""Modules that import what takes long."""

SECONDS = 240
"""After which a command hangs."""


def run(command: Sequence[str], work: Path, *, at: int = 0, number: int = 0) -> int | None:
    """The exit code of a command (minus the signal that killed it); None if it hangs.

    Args:
        command: the arguments of ``graphcond``.
        work: working folder, which also holds the cache; only what is written in it counts.
        at: the write before which the process gets the signal, counted from 1; never if 0.
        number: of the signal.
    """
    processes = multiprocessing.get_context("forkserver")
    # Libraries are imported once, in the process that the others are forked from.
    processes.set_forkserver_preload([f"graphcond.{module}" for module in IMPORTED_ONCE])
    process = processes.Process(target=_main, args=(list(command), work, at, number))
    process.start()
    process.join(SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
        return None
    return process.exitcode


def writes_of(work: Path) -> int:
    """How many writes the last process that ended by itself made."""
    return int((work / "writes").read_text())


def _main(command: list[str], work: Path, at: int, number: int) -> None:
    from graphcond import cli

    os.chdir(work)
    os.environ |= {"GRAPHCOND_CACHE": str(work / "cache"), "HF_HUB_OFFLINE": "1"}
    log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    seen = 0

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        opened = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if (opened or event in WRITES) and _is_inside(arguments[0], work):
            seen += 1
            if seen == at:
                os.kill(os.getpid(), number)

    sys.addaudithook(count)
    sys.argv = ["graphcond", *command]
    try:
        cli.main()
    finally:
        total, seen = seen, -1_000_000  # what follows is not of the command
        Path("writes").write_text(str(total))


def _is_inside(path: object, work: Path) -> bool:
    return isinstance(path, str | os.PathLike) and Path(os.path.abspath(path)).is_relative_to(work)


def contents(place: Path, *, but: Sequence[str] = ()) -> dict[str, str]:
    """The digest of every file at ``place``, without those of some names."""
    files = [place] if place.is_file() else [file for file in place.rglob("*") if file.is_file()]
    return {
        str(file.relative_to(place.parent)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(files)
        if file.name not in but
    }
