"""Personalized PageRank by iteration over the whole graph.

It is the exact reference for `ForwardPush`, and takes its place where a push would visit most of the graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import acosh, ceil, log, log1p, sqrt
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Float64, Int64
from numba import njit

from graphcond.context import NeighborContext
from graphcond.samplers.pagerank.kernels import (
    best_to_worst,
    lanes_of,
    offer,
    relax,
    relax_weighted,
    zeros,
)
from graphcond.samplers.pagerank.walk import RandomWalk
from graphcond.samplers.ranking import RankingConstraints
from graphcond.samplers.shared_work import Spare, in_parts


def chebyshev_steps(tolerance: float, alpha: float) -> int:
    """The fewest steps k >= 1 with 1 / T_k(1 / (1 - alpha)) <= ``tolerance``.

    For a bound on the sum of all nodes' errors, divide the tolerance by sqrt(sum_i d_i / d_target) first.
    """
    beyond = alpha / (1 - alpha)
    # acosh(1 + beyond), written so that it keeps its digits where alpha is tiny.
    gain = log1p(beyond + sqrt(beyond * (2 + beyond)))
    return max(1, ceil(acosh(1 / min(tolerance, 1.0)) / gain))


def chebyshev_weights(alpha: float, steps: int) -> Float64[np.ndarray, " steps"]:
    """w_1 = 1, w_2 = 2 / (2 - c^2) and w_k+1 = 1 / (1 - c^2 w_k / 4), c = 1 - alpha; all lie in 1..2.

    Step k + 1 is x_k+1 = x_k-1 + w_k+1 (c P^T x_k + alpha e_target - x_k-1): the Chebyshev semi-iterative
    method (Golub and Varga, Numerische Mathematik 3, 1961). Without edge directions P is similar to a
    symmetric matrix, whose eigenvalues are real and lie between -1 and 1. Of all combinations of k plain
    steps this one then has the least error in the worst case. It takes no more memory: x_k+1 overwrites
    x_k-1.
    """
    square = (1 - alpha) ** 2
    found = np.ones(steps)
    for step in range(1, steps):
        found[step] = 1 / (1 - square * found[step - 1] / (2 if step == 1 else 4))
    return found


Block: TypeAlias = tuple[Float[np.ndarray, "nodes lanes"], Float[np.ndarray, "nodes lanes"]]
"""Two arrays of probabilities, of the last step and the one before; each step overwrites the older one."""


class PowerIteration:
    """Solves p = (1 - alpha) P^T p + alpha e_target, P = D^-1 A, for a block of targets at once.

    Where no edge leaves a node, its mass returns to the target (as in networkx). A step reads every edge once
    for a whole block: 8 targets in float64, 16 in float32. The result of a target does not depend on the
    others in its block.

    The sum of absolute errors over all nodes is at most ``tolerance``, rounding aside. k plain steps leave at
    most 2 (1 - alpha)^k. Undirected edges allow accelerated steps (`chebyshev_weights`), which leave at most
    sqrt(sum of strengths / strength of the target) / T_k(1 / (1 - alpha)), T_k the Chebyshev polynomial.
    `ShortWalks` takes far fewer steps, without a bound on its errors.

    Args:
        walk: the walk on the graph.
        alpha: probability to return to the target, 0 < alpha < 1.
        tolerance: bound on the sum of absolute errors, within the precision of ``dtype``.
        dtype: float64, or float32 for twice the speed and relative errors of 1e-6.
    """

    def __init__(
        self,
        walk: RandomWalk,
        *,
        alpha: float,
        tolerance: float = 1e-12,
        dtype: type[np.floating] = np.float64,
    ) -> None:
        self._alpha = alpha
        self._system = System.of(walk, alpha, dtype)
        plain = ceil(log(tolerance / 2) / log1p(-alpha))
        self._factors = np.ones(plain)
        if not walk.directed and walk.strengths.any():
            # The bound of accelerated steps depends on the target; the least node is the hardest one.
            least = float(walk.strengths[walk.strengths > 0].min())
            fewer = chebyshev_steps(tolerance / sqrt(float(walk.strengths.sum()) / least), alpha)
            if fewer < plain:
                self._factors = chebyshev_weights(alpha, fewer)
        self._spare = Spare(self._system.block)

    def __repr__(self) -> str:
        return f"power iteration, {self.steps} steps in {np.dtype(self._system.dtype)}"

    @property
    def steps(self) -> int:
        """The number of times that all edges are read for a block of targets."""
        return len(self._factors)

    def solve(self, target: int) -> Float64[np.ndarray, " nodes"]:
        """The probabilities of all nodes, which sum to 1."""
        with self._spare.lent() as block:
            return self._solve(np.array([target]), block)[:, 0] * self._system.masses

    def scores(
        self, targets: Int64[np.ndarray, " b"], wanted: RankingConstraints
    ) -> Iterator[Float[np.ndarray, " nodes"]]:
        """For each target, what all nodes are ranked by: 0 for those that may not be chosen."""
        multipliers = np.where(wanted.allowed, self._system.multipliers(wanted), 0)
        size = lanes_of(self._system.dtype)
        for start in range(0, len(targets), size):
            part = targets[start : start + size]
            with self._spare.lent() as block:
                values = self._solve(part, block)
                for lane, target in enumerate(part):
                    scores = values[:, lane] * multipliers
                    scores[target] = 0
                    yield scores

    def rank(
        self, targets: Int64[np.ndarray, " b"], wanted: RankingConstraints, *, threads: int = 1
    ) -> NeighborContext:
        """The best nodes for each target, with their probabilities; see `ForwardPush.rank`."""
        answer = wanted.empty_answer(targets)
        multipliers = self._system.multipliers(wanted)

        def work(part: slice) -> None:
            with self._spare.lent() as block:
                values = self._solve(targets[part], block)
                found = (answer.scores[part], answer.neighbors[part])
                best_of_block(values, multipliers, wanted.allowed, targets[part], *found)

        in_parts(work, len(targets), part=lanes_of(self._system.dtype), threads=threads)
        return answer

    def _solve(self, targets: Int64[np.ndarray, " b"], block: Block) -> Float[np.ndarray, "nodes lanes"]:
        """Probabilities divided by `System.masses`, one target per lane; a view of ``block``."""
        system, (now, then) = self._system, block
        filled = np.resize(targets, now.shape[1])  # spare lanes repeat targets
        now[:] = 0
        now[filled, np.arange(len(filled))] = 1 / system.masses[filled]
        # Without directions a walk reaches a node without edges only if it begins there.
        stuck = system.dangling if system.directed else np.intersect1d(system.dangling, filled)
        for factor in self._factors:
            step(system.walk, system.scales, system.dtype(factor), now, then)
            _return(system.masses, self._alpha, factor, stuck, filled, now, then)
            now, then = then, now
        return now


@dataclass(frozen=True)
class System:
    """The iteration as compiled code reads it, for probabilities divided by the ``masses`` of their nodes.

    A node's mass is its degree (see `RandomWalk`), 1 where no edge leaves it. Divided by it, what a node
    sends along an edge of mean weight is its value itself: without weights, the inner loop adds values
    without a factor.
    ``walk`` lists for each node the edges that lead to it: ``indptr, indices, weights``.
    """

    walk: tuple[np.ndarray, np.ndarray, np.ndarray]
    scales: Float[np.ndarray, " nodes"]
    masses: Float64[np.ndarray, " nodes"]
    dangling: Int64[np.ndarray, " d"]
    directed: bool

    @classmethod
    def of(cls, walk: RandomWalk, alpha: float, dtype: type[np.floating]) -> System:
        """The iteration on ``walk``, in lanes of ``dtype``."""
        masses = np.where(walk.strengths > 0, walk.degrees, 1.0)
        mean_weight = walk.strengths.sum() / (walk.degrees.sum() or 1.0) or 1.0
        scales = ((1 - alpha) / (mean_weight * masses)).astype(dtype)
        return cls(walk.into, scales, masses, np.flatnonzero(walk.strengths == 0), walk.directed)

    def block(self) -> Block:
        """Memory for the probabilities of a block of targets."""
        return zeros(len(self.masses), self.dtype), zeros(len(self.masses), self.dtype)

    def multipliers(self, wanted: RankingConstraints) -> Float[np.ndarray, " nodes"]:
        """What turns the values of the iteration into what nodes are ranked by."""
        if wanted.divisor is None:
            return self.masses.astype(self.dtype)
        # A node without incoming edges has divisor 0, and no probability.
        found = np.divide(
            self.masses, wanted.divisor, out=np.zeros(len(self.masses)), where=wanted.divisor > 0
        )
        return found.astype(self.dtype)

    @property
    def dtype(self) -> type[np.floating]:
        """The number type of the lanes."""
        return self.scales.dtype.type


MIXED = 30
"""Steps after which it hardly matters where a walk began."""


def long_walks(walk: RandomWalk) -> tuple[Float64[np.ndarray, " nodes"], float]:
    """Where walks from all nodes are after `MIXED` steps, and the share that the last step kept.

    Both are 0 if all walks have ended before.
    """
    system = System.of(walk, 0.0, np.float32)
    now, then = system.block()
    now[:] = (1 / (len(walk) * system.masses))[:, None]
    kept = 1.0
    for _ in range(MIXED):
        step(system.walk, system.scales, np.float32(1), now, then)
        kept = float(then[:, 0] @ system.masses)
        if kept == 0.0:
            return np.zeros(len(walk)), 0.0
        now, then = then, now
        now /= np.float32(kept)
    return now[:, 0] * system.masses, kept


@njit(cache=True, nogil=True)
def step(walk, scales, factor, now, then):
    """``then`` += ``factor`` ((1 - alpha) P^T ``now`` - ``then``), without what returns to the targets."""
    indptr, indices, weights = walk
    keep = scales.dtype.type(1.0) - factor
    for row in range(np.uint64(scales.size)):
        first, last = indptr[row], indptr[row + np.uint64(1)]
        scale = scales[row] * factor
        if weights.size > 0:
            relax_weighted(indices, weights, now, then, first, last, row, scale, keep)
        else:
            relax(indices, weights, now, then, first, last, row, scale, keep)


@njit(cache=True, nogil=True)
def _return(masses, alpha, factor, stuck, targets, now, then):
    """Add to each target the mass that returns to it: by the reset, and from nodes without a way out."""
    for lane in range(targets.size):
        lost = 0.0
        for node in stuck:
            lost += now[node, lane] * masses[node]
        target = targets[lane]
        then[target, lane] += factor * (alpha + (1.0 - alpha) * lost) / masses[target]


@njit(cache=True, nogil=True, error_model="numpy")
def best_of_block(values, multipliers, allowed, targets, scores, nodes):
    """Fill the rows of ``scores`` and ``nodes`` with the best of each target's ``values``."""
    sizes = np.zeros(targets.size, np.int64)
    worst = np.zeros(values.shape[1], np.float32)
    worst[targets.size :] = np.inf
    for node in range(values.shape[0]):
        # Few nodes are better than the worst so far, so all lanes are first compared without a branch.
        some, multiplier = False, multipliers[node]
        for lane in range(worst.size):
            some |= np.float32(values[node, lane] * multiplier) > worst[lane]
        if not some or not allowed[node]:
            continue
        for lane in range(targets.size):
            score = np.float32(values[node, lane] * multiplier)
            if score > worst[lane] and node != targets[lane]:
                sizes[lane] = offer(scores[lane], nodes[lane], sizes[lane], score, node)
                if sizes[lane] == scores.shape[1]:
                    worst[lane] = scores[lane, 0]
    for lane in range(targets.size):
        best_to_worst(scores[lane], nodes[lane], sizes[lane])
