"""Choose how to compute PageRank: the cheapest method that has the precision which a user asks for.

Which method is cheapest depends on the graph: a push is fast where most mass stays near the target, and
short walks over all edges where it spreads. No formula tells in advance how coarse either may be, so both
are tried on some targets whose exact ranking is known. Costs are counted in edges read and not in seconds, so
that the same graph gets the same method, and the same neighbors, on every machine.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from math import sqrt
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int64

from graphcond.config import Config
from graphcond.context import NeighborContext
from graphcond.errors import StorageError
from graphcond.io.cache import cache_entry, cached
from graphcond.io.files import read_json, write_json
from graphcond.io.fingerprint import fingerprint, source_version
from graphcond.samplers import pagerank
from graphcond.samplers.pagerank.power import PowerIteration
from graphcond.samplers.pagerank.push import FAR_SHARE, ForwardPush
from graphcond.samplers.pagerank.short_walks import ShortWalks
from graphcond.samplers.pagerank.walk import RandomWalk
from graphcond.samplers.ranking import TIE, RankingConstraints

BLOCKS = (2, 8)
"""Fewest and most blocks of 16 targets to try; in between, as many as `BUDGET` allows."""

BUDGET = 6e8
"""Number of edges that the exact rankings may read, about a second's work, before fewer targets are tried."""

EPSILONS = [10 ** (-quarter / 4) for quarter in range(12, 37)]
"""Residuals per degree that a push may leave, from 1e-3 down to 1e-9."""

FAR_SHARES = (FAR_SHARE, 0.0)
"""Estimates of what a push leaves: for graphs with communities, and for those that a walk soon crosses."""

STEPS = [2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 19, 24, 30, 38, 48]
"""Numbers of steps that short walks may take."""

CHEAP = 4e6
"""If an exact answer reads at most this many edges, about 1 ms, no faster method is looked for."""

MARGIN = 1.5
"""Standard errors of the mean that are added to the measured error, since other targets may be harder."""

LEAST = 50
"""At least this many nodes are compared; fewer would not separate good from very good."""

TOLERANCE = 1e-4
"""Bound on the sum of all nodes' errors in the ranking that counts as exact here."""

SMALL = 1e-5
"""If the last of the nodes wanted have less PageRank than this, `TOLERANCE` is too coarse for them."""

FINEST = 1e-12
"""The least bound on the sum of all nodes' errors that float64 can keep."""

PUSHED_EDGE = 80.0
"""Time of an edge in a push, relative to an edge of a block of 16 targets in float32, for one of them.

Some 10 ns against 0.12 on two x86-64 cores.
"""

DOUBLE = 2.0
"""Time of an edge of a block in float64, for one of its targets, relative to one in float32."""

FILE = "choice.json"


class Choice(Config):
    """A method: forward push to ``epsilon``, walks of ``steps`` steps, or else iteration to ``tolerance``."""

    epsilon: float | None = None
    far_share: float = FAR_SHARE
    steps: int | None = None
    tolerance: float = TOLERANCE

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
            return ForwardPush(walk, alpha=alpha, epsilon=self.epsilon, far_share=self.far_share)
        if self.steps is not None:
            return ShortWalks(walk, alpha=alpha, steps=self.steps)
        return PowerIteration(walk, alpha=alpha, tolerance=self.tolerance)


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
    """Forward push, short walks or power iteration, as coarse as ``precision`` allows.

    Precision is the share of the nodes returned that are among the ``wanted.count`` best; a node whose exact
    score ties with that of the last of them (`ranking.TIE`) counts as one of them. It is measured on 32 to
    128 targets, the same for the same graph, against an iteration whose errors sum to 1e-4 at most, with a
    margin of 1.5 standard errors. It is a mean over targets and does not bound the error of one target; the
    bounds of `ForwardPush` and `PowerIteration` do. A small graph is answered exactly.

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
    """The coarsest push and then the shortest walks that pass, whichever reads fewer edges."""
    trial = _Trial.of(walk, wanted, alpha, precision)
    best = Choice(tolerance=trial.tolerance)
    exact = PowerIteration(walk, alpha=alpha, tolerance=trial.tolerance)
    cost = DOUBLE * exact.steps * len(walk.indices)
    for epsilon, share in product(EPSILONS, FAR_SHARES):
        push = ForwardPush(walk, alpha=alpha, epsilon=epsilon, far_share=share)
        answer, edges = push.rank_and_count(trial.targets, trial.wanted, threads=threads)
        if PUSHED_EDGE * edges.mean() >= cost:
            break
        if trial.passed_by(answer):
            best = Choice(epsilon=epsilon, far_share=share)
            cost = PUSHED_EDGE * float(edges.mean())
            break
    for steps in STEPS:
        if steps * len(walk.indices) >= cost:
            break
        walks = ShortWalks(walk, alpha=alpha, steps=steps)
        if trial.passed_by(walks.rank(trial.targets, trial.wanted, threads=threads)):
            return Choice(steps=steps)
    return best


@dataclass(frozen=True)
class Best:
    """What a perfect ranking of a target may name: its ``count`` best nodes, and ties with the last."""

    nodes: Int64[np.ndarray, " n"]
    count: int
    last: float

    @classmethod
    def of(cls, scores: Float[np.ndarray, " nodes"], count: int) -> Best:
        """The best by exact ``scores``; a node of score 0 is never one of them."""
        count = min(count, int(np.count_nonzero(scores)))
        last = float(np.partition(scores, -count)[-count]) if count else np.inf
        return cls(np.flatnonzero(scores >= last * (1 - TIE)), count, last)

    def missed_by(self, found: Int64[np.ndarray, " k"]) -> float:
        """The share of the ``count`` best places that ``found`` does not fill with right nodes."""
        hits = int(np.isin(found[: self.count], self.nodes).sum())
        return 1 - hits / self.count if self.count else 0.0


@dataclass(frozen=True)
class _Trial:
    """Targets to try a method on, and what is right for each of them, by an iteration to ``tolerance``.

    More nodes may be compared than the user asked for (``wanted``, ``right``), but those come ``first``.
    """

    targets: Int64[np.ndarray, " b"]
    wanted: RankingConstraints
    precision: float
    tolerance: float
    right: list[Best]
    first: list[Best]

    @classmethod
    def of(cls, walk: RandomWalk, wanted: RankingConstraints, alpha: float, precision: float) -> _Trial:
        exact = PowerIteration(walk, alpha=alpha, tolerance=TOLERANCE, dtype=np.float32)
        blocks = int(np.clip(BUDGET // (exact.steps * len(walk.indices)), *BLOCKS))
        able = np.flatnonzero(walk.strengths)
        targets = np.random.default_rng(0).choice(able, min(16 * blocks, len(able)), replace=False)
        tried = replace(wanted, count=max(wanted.count, LEAST))

        def best_by(iteration: PowerIteration) -> tuple[list[Best], list[Best]]:
            found = [
                (Best.of(scores, tried.count), Best.of(scores, wanted.count))
                for scores in iteration.scores(targets, wanted)
            ]
            return [right for right, _ in found], [first for _, first in found]

        tolerance, (right, first) = TOLERANCE, best_by(exact)
        last = float(np.median([best.last for best in right]))
        if last < SMALL:
            tolerance = max(last * TOLERANCE, FINEST)
            right, first = best_by(PowerIteration(walk, alpha=alpha, tolerance=tolerance))
        return cls(targets, tried, precision, tolerance, right, first)

    def passed_by(self, answer: NeighborContext) -> bool:
        """True if ``answer`` is precise enough, both in full and in its first places."""
        wrong = np.array(
            [best.missed_by(row) for best, row in zip(self.right, answer.neighbors, strict=True)]
        )
        likely = wrong.mean() + MARGIN * wrong.std() / sqrt(len(wrong))
        first = np.mean([best.missed_by(row) for best, row in zip(self.first, answer.neighbors, strict=True)])
        return bool(max(likely, first) <= 1 - self.precision)
