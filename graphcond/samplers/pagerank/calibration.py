"""Choose how to compute PageRank: the cheapest method that has the precision which a user asks for.

Which method is cheapest depends on the graph: a push is fast where most mass stays near the target, and
iteration where it spreads. No formula tells in advance how coarse either may be, so both are tried on a few
targets whose exact ranking is known. Costs are counted in edges read and not in seconds, so that the same
graph gets the same method, and the same neighbors, on every machine.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int64

from graphcond.attributed_graph import ABSENT
from graphcond.config import Config
from graphcond.context import NeighborContext
from graphcond.errors import StorageError
from graphcond.io.cache import cache_entry, cached
from graphcond.io.files import read_json, write_json
from graphcond.io.fingerprint import fingerprint, source_version
from graphcond.samplers import pagerank
from graphcond.samplers.pagerank.power import PowerIteration
from graphcond.samplers.pagerank.push import ForwardPush
from graphcond.samplers.pagerank.walk import RandomWalk
from graphcond.samplers.ranking import RankingConstraints

TARGETS = 32
"""Number of targets to try: two blocks of an iteration in float32."""

EPSILONS = [10 ** (-quarter / 4) for quarter in range(12, 37)]
"""Residuals per degree that a push may leave, from 1e-3 down to 1e-9."""

STEPS = [2, 3, 4, 5, 6, 8, 10, 12, 15, 19, 24, 30, 38, 48]
"""Numbers of steps that the iteration may take."""

CHEAP = 4e6
"""If an exact answer reads at most this many edges, about 1 ms, no faster method is looked for."""

MARGIN = 1.5
"""Standard errors of the mean that are added to the measured error, since other targets may be harder."""

LEAST = 50
"""At least this many nodes are compared; fewer would not separate good from very good."""

DEPTH = 4
"""The exact ranking is this many times as deep as the answers, to see which nodes tie with the last one."""

TOLERANCE = 1e-4
"""Bound on the sum of all nodes' errors in the ranking that counts as exact here."""

ROUNDING = 1e-5
"""Scores in float32 whose relative difference is smaller are equal."""

PUSHED_EDGE = 40.0
"""Time of an edge in a push, relative to an edge in an iteration over a block in float64, for one target.

Some 10 ns against 0.3 on two x86-64 cores.
"""

FILE = "choice.json"


class Choice(Config):
    """A method: forward push to ``epsilon``, or iteration with this many ``steps``.

    With neither, the iteration runs to `TOLERANCE`.
    """

    epsilon: float | None = None
    steps: int | None = None

    @classmethod
    def read(cls, folder: Path) -> Choice:
        """The choice in a folder.

        Raises:
            ValueError: it is missing or damaged.
        """
        return cls.model_validate(read_json(folder / FILE))

    def write(self, folder: Path) -> None:
        """Write the choice into a folder."""
        write_json(folder / FILE, self.model_dump())

    def build(self, walk: RandomWalk, alpha: float) -> PageRank:
        """The method on a graph."""
        if self.epsilon is not None:
            return ForwardPush(walk, alpha=alpha, epsilon=self.epsilon)
        if self.steps is not None:
            return PowerIteration(walk, alpha=alpha, steps=self.steps)
        return PowerIteration(walk, alpha=alpha, tolerance=TOLERANCE)


@runtime_checkable
class PageRank(Protocol):
    """Ranks nodes by their personalized PageRank."""

    def rank(
        self, targets: Int64[np.ndarray, " b"], wanted: RankingConstraints, *, threads: int = 1
    ) -> NeighborContext:
        """The best nodes for each target; see `ForwardPush.rank`."""
        ...


def calibrated(
    walk: RandomWalk, wanted: RankingConstraints, *, alpha: float, precision: float, threads: int = 1
) -> PageRank:
    """Forward push or power iteration, as coarse as ``precision`` allows; exact on a small graph.

    Precision is the share of the nodes returned that are among the ``wanted.count`` best; a node that ties
    with the last of them counts as one of them. It is measured on 32 targets, the same for the same graph,
    against an iteration whose errors sum to 1e-4 at most, with a margin of 1.5 standard errors. It is a mean
    over targets and does not bound the error of one target; the bounds of `ForwardPush` and `PowerIteration`
    do.

    The choice is kept in the cache folder, so that other processes and later runs need not try again.

    Args:
        walk: the walk on the graph.
        wanted: which nodes may be chosen, and how many.
        alpha: probability to return to the target, 0 < alpha < 1.
        precision: above 0 and below 1.
        threads: number of threads; the answer does not depend on it.
    """
    exact = PowerIteration(walk, alpha=alpha)
    if exact.steps * len(walk.indices) <= CHEAP:
        return exact
    edges = (walk.indptr, walk.indices, walk.weights, walk.directed)
    whom = (wanted.count, wanted.allowed, *([] if wanted.divisor is None else [wanted.divisor]))
    key = fingerprint(source_version(pagerank), *edges, *whom, alpha, precision)
    choice = cached("pagerank", key, Choice.read)
    if choice is None:
        choice = _chosen(walk, wanted, alpha, precision, threads)
        # If the cache cannot be written, the next process chooses again.
        with suppress(StorageError), cache_entry("pagerank", key) as folder:
            choice.write(folder)
    return choice.build(walk, alpha)


def _chosen(
    walk: RandomWalk, wanted: RankingConstraints, alpha: float, precision: float, threads: int
) -> Choice:
    """The coarsest push and then the coarsest iteration that pass, whichever reads fewer edges."""
    trial = _Trial.of(walk, wanted, alpha, precision, threads)
    best = Choice()
    cost = float(PowerIteration(walk, alpha=alpha, tolerance=TOLERANCE).steps * len(walk.indices))
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


@dataclass(frozen=True)
class _Trial:
    """Targets to try a method on, and their exact rankings.

    ``truth`` is deeper than the answers, to see which nodes tie with the last one. ``depth`` is the number of
    nodes that the user asked for.
    """

    targets: Int64[np.ndarray, " b"]
    wanted: RankingConstraints
    truth: NeighborContext
    precision: float
    depth: int

    @classmethod
    def of(
        cls, walk: RandomWalk, wanted: RankingConstraints, alpha: float, precision: float, threads: int
    ) -> _Trial:
        able = np.flatnonzero(walk.strengths)
        targets = np.random.default_rng(0).choice(able, min(TARGETS, len(able)), replace=False)
        tried = replace(wanted, count=max(wanted.count, LEAST))
        exact = PowerIteration(walk, alpha=alpha, tolerance=TOLERANCE, dtype=np.float32)
        truth = exact.rank(targets, replace(tried, count=DEPTH * tried.count), threads=threads)
        return cls(targets, tried, truth, precision, wanted.count)

    def passed_by(self, answer: NeighborContext) -> bool:
        """True if ``answer`` is precise enough, both in full and in its first ``depth`` places."""
        wrong = self._wrong(answer, self.wanted.count)
        likely = wrong.mean() + MARGIN * wrong.std() / sqrt(len(wrong))
        first = self._wrong(answer, self.depth).mean()
        return bool(max(likely, first) <= 1 - self.precision)

    def _wrong(self, answer: NeighborContext, depth: int) -> Float64[np.ndarray, " b"]:
        """For each target, the share of the best ``depth`` nodes that its first ``depth`` answers miss.

        Where more nodes tie with the last of the best than ``truth`` holds, those beyond count as wrong.
        """
        last = self.truth.scores[:, depth - 1 : depth]
        right = self.truth.present & (self.truth.scores >= last * (1 - ROUNDING))
        findable = np.maximum(self.truth.present[:, :depth].sum(1), 1)
        hits = [
            np.isin(found[found != ABSENT], self.truth.neighbors[row, right[row]]).sum()
            for row, found in enumerate(answer.neighbors[:, :depth])
        ]
        return 1 - np.array(hits) / findable
