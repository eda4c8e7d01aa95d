"""The cheapest way to compute PageRank that finds as many of the best nodes as a user asks for."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from math import sqrt
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Float64, Int64

from graphcond.attributed_graph import ABSENT
from graphcond.context import NeighborContext
from graphcond.errors import InputError, WriteError
from graphcond.io.files import default_cache_folder, read_json, write_json
from graphcond.io.fingerprint import fingerprint, source_version
from graphcond.samplers import pagerank
from graphcond.samplers.pagerank.power import PowerIteration
from graphcond.samplers.pagerank.push import ForwardPush
from graphcond.samplers.pagerank.walk import RandomWalk
from graphcond.samplers.ranking import Wanted


@dataclass(frozen=True)
class Choice:
    """A way to compute PageRank: forward push to ``epsilon``, or so many ``steps`` of iteration.

    With neither, the iteration runs until it is as good as exact.
    """

    epsilon: float | None = None
    steps: int | None = None


def recalled(key: str) -> Choice | None:
    """What was kept under ``key``; None if nothing was, or the file cannot be read."""
    try:
        return Choice(**read_json(_file(key)))  # type: ignore[arg-type]
    except (InputError, TypeError):
        return None


def keep(key: str, choice: Choice) -> None:
    """Keep ``choice`` under ``key``; where nothing can be written, it is chosen again next time."""
    with suppress(WriteError):
        write_json(_file(key), asdict(choice))


def _file(key: str) -> Path:
    return default_cache_folder() / "pagerank" / f"{key}.json"


TARGETS = 32
"""How many targets are tried: two blocks of an iteration in float32."""

EPSILONS = [10 ** (-quarter / 4) for quarter in range(12, 37)]
"""What the push may leave, from 1e-3 down to 1e-9."""

STEPS = [2, 3, 4, 5, 6, 8, 10, 12, 15, 19, 24, 30, 38, 48]
"""How many steps the iteration may take."""

CHEAP = 4e6
"""Edges that an exact answer may read, all steps together, before a faster one is looked for: about 1 ms."""

MARGIN = 1.5
"""Standard errors of the mean that are added to the errors found, since other targets may be harder."""

LEAST = 50
"""So many nodes at least are looked for; fewer would not tell good from very good."""

DEPTH = 4
"""So many times the nodes wanted are ranked exactly, to see which tie with the last of them."""

TOLERANCE = 1e-4
"""Bound on the sum of all nodes' errors in what counts as exact here."""

ROUNDING = 1e-5
"""Relative: scores in float32 that differ by less are equal."""

PUSHED_EDGE = 40.0
"""How much longer an edge takes in a push than, for one target, in an iteration over a block in float64.

Some 10 ns against 0.3 on two x86-64 cores. It stands in for a clock: the same graph must get the same method
on every machine.
"""


class PageRank(Protocol):
    """Ranks nodes by their personalized PageRank."""

    def rank(self, targets: Int64[np.ndarray, " b"], wanted: Wanted, *, threads: int = 1) -> NeighborContext:
        """The best nodes for each target; see `ForwardPush.rank`."""
        ...


def calibrated(
    walk: RandomWalk, wanted: Wanted, *, alpha: float, precision: float, threads: int = 1
) -> PageRank:
    """Forward push or power iteration, as coarse as ``precision`` allows; exact on a small graph.

    Precision is the share of the nodes returned that belong among the ``wanted.count`` best; a node that
    ties with the last of them belongs. It is measured on 32 targets, the same for the same graph, against an
    iteration whose errors sum to 1e-4 at most, with a margin of 1.5 standard errors. It is a mean over
    targets and no promise for one; the bounds of `ForwardPush` and `PowerIteration` hold for each.

    What was chosen is kept in the cache folder, so that other processes and later runs need not try again.

    Args:
        walk: the walk on the graph.
        wanted: who may be chosen, and how many.
        alpha: probability to return to the target, 0 < alpha < 1.
        precision: above 0 and below 1.
        threads: how many work at once; the answer does not depend on it.
    """
    exact = PowerIteration(walk, alpha=alpha)
    if exact.steps * len(walk.indices) <= CHEAP:
        return exact
    key = _key(walk, wanted, alpha, precision)
    choice = recalled(key)
    if choice is None:
        choice = _chosen(walk, wanted, alpha, precision, threads)
        keep(key, choice)
    return _built(choice, walk, alpha)


def _chosen(walk: RandomWalk, wanted: Wanted, alpha: float, precision: float, threads: int) -> Choice:
    trial = _Trial.of(walk, wanted, alpha, precision, threads)
    best = Choice()
    cost = float(_rough(walk, alpha).steps * len(walk.indices))
    for epsilon in EPSILONS:
        push = ForwardPush(walk, alpha=alpha, epsilon=epsilon)
        answer, edges = push.rank_and_count(trial.targets, trial.wanted, threads=threads)
        if PUSHED_EDGE * edges.mean() >= cost:
            break
        if trial.passed_by(answer):
            best, cost = Choice(epsilon=epsilon), PUSHED_EDGE * float(edges.mean())
            break
    for steps in STEPS:
        if steps * len(walk.indices) >= cost:
            break
        iteration = PowerIteration(walk, alpha=alpha, steps=steps)
        if trial.passed_by(iteration.rank(trial.targets, trial.wanted, threads=threads)):
            return Choice(steps=steps)
    return best


def _built(choice: Choice, walk: RandomWalk, alpha: float) -> PageRank:
    if choice.epsilon is not None:
        return ForwardPush(walk, alpha=alpha, epsilon=choice.epsilon)
    if choice.steps is not None:
        return PowerIteration(walk, alpha=alpha, steps=choice.steps)
    return _rough(walk, alpha)


def _rough(walk: RandomWalk, alpha: float) -> PowerIteration:
    """What is precise enough for any aim, where nothing cheaper is."""
    return PowerIteration(walk, alpha=alpha, tolerance=TOLERANCE)


def _key(walk: RandomWalk, wanted: Wanted, alpha: float, precision: float) -> str:
    edges = (walk.indptr, walk.indices, walk.weights, walk.directed)
    whom = (wanted.count, wanted.allowed, *([] if wanted.divisor is None else [wanted.divisor]))
    return fingerprint(source_version(pagerank), *edges, *whom, alpha, precision)


@dataclass(frozen=True)
class _Trial:
    """Targets to try a method on, and the best nodes of each: more than are wanted, to see who ties."""

    targets: Int64[np.ndarray, " b"]
    wanted: Wanted
    truth: NeighborContext
    precision: float
    depth: int

    @classmethod
    def of(cls, walk: RandomWalk, wanted: Wanted, alpha: float, precision: float, threads: int) -> _Trial:
        able = np.flatnonzero(walk.strengths)
        targets = np.random.default_rng(0).choice(able, min(TARGETS, len(able)), replace=False)
        tried = replace(wanted, count=max(wanted.count, LEAST))
        exact = PowerIteration(walk, alpha=alpha, tolerance=TOLERANCE, dtype=np.float32)
        truth = exact.rank(targets, replace(tried, count=DEPTH * tried.count), threads=threads)
        return cls(targets, tried, truth, precision, wanted.count)

    def passed_by(self, answer: NeighborContext) -> bool:
        """Whether ``answer`` holds enough of the best nodes, and of those that were asked for."""
        wrong = self._wrong(answer, self.wanted.count)
        likely = wrong.mean() + MARGIN * wrong.std() / sqrt(len(wrong))
        first = self._wrong(answer, self.depth).mean()
        return bool(max(likely, first) <= 1 - self.precision)

    def _wrong(self, answer: NeighborContext, depth: int) -> Float64[np.ndarray, " b"]:
        """The share of the best ``depth`` nodes that is missing among as many of ``answer``, for each target.

        Where more nodes tie with the last of them than ``truth`` holds, those beyond count as wrong.
        """
        last = self.truth.scores[:, depth - 1 : depth]
        right = self.truth.present & (self.truth.scores >= last * (1 - ROUNDING))
        findable = np.maximum(self.truth.present[:, :depth].sum(1), 1)
        hits = [
            np.isin(found[found != ABSENT], self.truth.neighbors[row, right[row]]).sum()
            for row, found in enumerate(answer.neighbors[:, :depth])
        ]
        return 1 - np.array(hits) / findable
