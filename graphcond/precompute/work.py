"""Sampling the shards of a plan, in one process or several, and putting them together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from itertools import chain
from multiprocessing import get_context, parent_process
from threading import Thread

import numpy as np

from graphcond.errors import InputError
from graphcond.precompute.plan import Plan
from graphcond.precompute.share import Share
from graphcond.progress import Progress
from graphcond.samplers import NeighborSampler

ALL = Share()
MakeSampler = Callable[[], NeighborSampler]
"""Builds the sampler; picklable where workers call it, and then it opens the graph too."""


def precompute(
    plan: Plan,
    make_sampler: MakeSampler,
    share: Share = ALL,
    *,
    workers: int = 1,
    in_workers: MakeSampler | None = None,
    progress: Progress | None = None,
) -> bool:
    """Sample the shards of ``share`` that are not there yet; the last process to finish writes the file.

    The file is the same, byte for byte, however the work is divided and however often it was killed.
    Putting it together holds the neighbors in memory twice: 24 bytes each, 28 with relations.

    Args:
        plan: what to sample.
        make_sampler: called once, if there is something to sample.
        share: of the shards; the others are left to other processes on the same folder.
        workers: processes.
        in_workers: called in each of several workers, after ``make_sampler``, which it is unless given.
        progress: called with targets done and targets in this share.

    Returns:
        Whether the file is there; if not, other processes still have shards to do.

    Raises:
        InputError: what lies at the file or in the folder of shards is of other settings; a worker died; the
            graph folder was changed.
        WriteError: the place refuses, or its disk is full.
    """
    if plan.is_done():
        plan.clear()
        return True
    plan.check()
    mine = list(plan.shards[share.index :: share.count])
    total = sum(len(plan.rows(shard)) for shard in mine)
    missing = [shard for shard in mine if plan.read(shard) is None]
    done = total - sum(len(plan.rows(shard)) for shard in missing)
    sampled = _sampled(plan, make_sampler, in_workers or make_sampler, missing, workers)
    for finished in chain((0,), sampled):
        done += finished
        if progress is not None:
            progress(done, total)
    return _finish(plan)


def _sampled(
    plan: Plan, make: MakeSampler, in_workers: MakeSampler, shards: list[int], workers: int
) -> Iterator[int]:
    """Write ``shards``; yields the number of targets of each as it is written."""
    if not shards:
        return iter(())
    sampler = make()  # also for workers: what it had to try out, they find in the cache folder
    workers = min(workers, len(shards))
    if workers == 1:
        return (_write(plan, sampler, shard) for shard in shards)
    return _together(plan, in_workers, shards, workers)


def _together(plan: Plan, make: MakeSampler, shards: Iterable[int], workers: int) -> Iterator[int]:
    # Spawned, not forked: numba's and torch's threads do not survive a fork.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start, (plan, make))
    try:
        for written in as_completed([pool.submit(_work, shard) for shard in shards]):
            yield written.result()
    except BrokenProcessPool:
        raise InputError(
            "a worker was killed", place="--workers", remedy="start again, with fewer if memory ran out"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _write(plan: Plan, sampler: NeighborSampler, shard: int) -> int:
    context = sampler.sample(plan.rows(shard), np.random.default_rng(plan.seed))
    plan.check_source()
    plan.write(shard, context)
    return len(context.targets)


def _finish(plan: Plan) -> bool:
    """Put the shards together if all are there; two processes that do it at once write the same."""
    parts = []
    for shard in plan.shards:
        part = plan.read(shard)
        if part is None:
            # Not yet sampled, or put together and deleted by another process just now.
            done = plan.is_done()
            if done:
                plan.clear()
            return done
        parts.append(part)
    plan.check_source()
    plan.write_all(parts)
    plan.clear()
    return True


_state: list[tuple[Plan, NeighborSampler | InputError]] = []
"""In a worker: what it works on."""


def _start(plan: Plan, make: MakeSampler) -> None:
    Thread(target=_end_with_parent, daemon=True).start()
    try:
        _state.append((plan, make()))
    except InputError as error:  # told by the first shard: a pool only says that a worker ended
        _state.append((plan, error))


def _work(shard: int) -> int:
    plan, sampler = _state[0]
    if isinstance(sampler, InputError):
        raise sampler
    return _write(plan, sampler, shard)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
