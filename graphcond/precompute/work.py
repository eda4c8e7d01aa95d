"""Sample the shards of a plan, in one process or several, and join them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from graphcond.context import NeighborContext
from graphcond.errors import InputError
from graphcond.precompute.places import Here, Place, Processes
from graphcond.precompute.plan import Plan
from graphcond.progress import Progress
from graphcond.samplers import NeighborSampler


@dataclass(frozen=True)
class Share:
    """This process is number ``index`` (from 0) of ``count``."""

    index: int = 0
    count: int = 1


def share_of(shard: str | None, environment: Mapping[str, str]) -> Share:
    """``shard`` (``i/n``) if given, else RANK and WORLD_SIZE as accelerate and torchrun set them, else all.

    Raises:
        InputError: it does not read ``i/n``, or i is not below n.
    """
    if shard is not None:
        return _checked(*shard.partition("/")[::2], place="--shard")
    if "RANK" in environment and "WORLD_SIZE" in environment:
        return _checked(environment["RANK"], environment["WORLD_SIZE"], place="RANK and WORLD_SIZE")
    return Share()


def _checked(index: str, count: str, place: str) -> Share:
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in (index, count)):
        raise InputError(
            f"expected a share i/n, got '{index}' of '{count}'",
            place=place,
            remedy="use whole numbers, such as 0/2",
        )
    share = Share(int(index), int(count))
    if share.index >= share.count:
        raise InputError(
            f"expected a share below {share.count}, got {share.index}",
            place=place,
            remedy=f"count from 0 to {share.count - 1}" if share.count else "give at least one share",
        )
    return share


ALL = Share()
MakeSampler = Callable[[], NeighborSampler]
"""Builds the sampler. Workers call it too: then it must be picklable, and open the graph itself."""


def precompute(
    plan: Plan,
    make_sampler: MakeSampler,
    share: Share = ALL,
    *,
    workers: int = 1,
    in_workers: MakeSampler | None = None,
    on: Place | None = None,
    progress: Progress | None = None,
) -> bool:
    """Sample the shards of ``share`` that are missing; the last process to finish writes the file.

    The file is the same, byte for byte, however the work is divided and however often it was interrupted.
    While shards are joined, the neighbors are in memory twice: 24 bytes each, 28 with relations.

    Args:
        plan: the plan to carry out.
        make_sampler: called once, if there is something to sample.
        share: the share of the shards; other processes on the same folder do the others.
        workers: number of processes.
        in_workers: called in each worker if there are several; ``make_sampler`` by default.
        on: where shards are sampled, in place of ``workers`` processes.
        progress: called with targets done and targets in this share.

    Returns:
        True if the file is complete; False if other processes still have shards to do.

    Raises:
        InputError: the file or the folder of shards has other settings, another process samples the same
            share, a worker died, or the graph folder was changed.
        StorageError: a file cannot be written, or the disk is full.
    """
    if plan.is_done():
        plan.clear()
        return True
    plan.check()
    with plan.claimed(f"share-{share.index}-of-{share.count}"):
        mine = list(plan.shards[share.index :: share.count])
        total = sum(len(plan.rows(shard)) for shard in mine)
        missing = [shard for shard in mine if plan.read(shard) is None]
        done = total - sum(len(plan.rows(shard)) for shard in missing)
        sampled: Iterator[tuple[int, NeighborContext]] = iter(())
        if missing:
            # Made before there are workers, too: what it had to calibrate, they find in the cache folder.
            sampler = make_sampler()
            alone = on is None and min(workers, len(missing)) == 1
            place = Here() if alone else on or Processes(workers)
            make = (lambda: sampler) if alone else in_workers or make_sampler
            sampled = place.run(partial(_sampling, plan, make), missing)
        if progress is not None:
            progress(done, total)
        for shard, context in sampled:
            if plan.source is not None:
                plan.source.check()
            plan.write(shard, context)
            done += len(context.targets)
            if progress is not None:
                progress(done, total)
        return _finish(plan)


def _sampling(plan: Plan, make: MakeSampler) -> Callable[[int], tuple[int, NeighborContext]]:
    """In a worker: the function that samples a shard."""
    sampler = make()

    def sample(shard: int) -> tuple[int, NeighborContext]:
        return shard, sampler.sample(plan.rows(shard), np.random.default_rng(plan.seed))

    return sample


def _finish(plan: Plan) -> bool:
    """Join the shards if all exist; two processes that do so at once write the same file."""
    parts = [part for shard in plan.shards if (part := plan.read(shard)) is not None]
    if len(parts) == len(plan.shards):
        if plan.source is not None:
            plan.source.check()
        plan.write_all(parts)
    elif not plan.is_done():  # else another process joined and deleted them just now
        return False
    plan.clear()
    return True
