"""Personalized PageRank by iteration over the whole graph.

It is the exact reference for `ForwardPush`, and takes its place where a push would visit most of the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import acosh, ceil, log, log1p, sqrt
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Float64, Int64
from numba import njit

from graphcond.context import NeighborContext
from graphcond.samplers.pagerank import kernels as lanes
from graphcond.samplers.pagerank.kernels import best_to_worst, offer, relax, relax_weighted
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


_Block: TypeAlias = tuple[Float[np.ndarray, "nodes lanes"], Float[np.ndarray, "nodes lanes"]]
"""Two arrays of probabilities, of the last step and the one before; each step overwrites the older one."""


class PowerIteration:
    """Solves p = (1 - alpha) P^T p + alpha e_target, P = D^-1 A, for a block of targets at once.

    Where no edge leaves a node, its mass returns to the target (as in networkx). A step reads every edge once
    for a whole block: 8 targets in float64, 16 in float32. The result of a target does not depend on the
    others in its block.

    The sum of absolute errors over all nodes is at most ``tolerance``, rounding aside. k plain steps leave at
    most 2 (1 - alpha)^k. Undirected edges allow accelerated steps (`chebyshev_weights`), which leave at most
    sqrt(sum of strengths / strength of the target) / T_k(1 / (1 - alpha)), T_k the Chebyshev polynomial.

    Args:
        walk: the walk on the graph.
        alpha: probability to return to the target, 0 < alpha < 1.
        tolerance: bound on the sum of absolute errors, within the precision of ``dtype``.
        steps: take this many plain steps of power iteration instead.
        dtype: float64, or float32 for twice the speed and relative errors of 1e-6.
    """

    def __init__(
        self,
        walk: RandomWalk,
        *,
        alpha: float,
        tolerance: float = 1e-12,
        steps: int | None = None,
        dtype: type[np.floating] = np.float64,
    ) -> None:
        self._alpha = alpha
        self._system = _System.of(walk, alpha, dtype)
        plain = ceil(log(tolerance / 2) / log1p(-alpha)) if steps is None else steps
        self._factors = np.ones(plain)
        if steps is None and not walk.directed and walk.strengths.any():
            # The bound of accelerated steps depends on the target; the least node is the hardest one.
            least = float(walk.strengths[walk.strengths > 0].min())
            fewer = chebyshev_steps(tolerance / sqrt(float(walk.strengths.sum()) / least), alpha)
            if fewer < plain:
                self._factors = chebyshev_weights(alpha, fewer)
        self._spare: Spare[_Block] = Spare(
            lambda: (lanes.zeros(len(walk), dtype), lanes.zeros(len(walk), dtype))
        )

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

    def rank(
        self, targets: Int64[np.ndarray, " b"], wanted: RankingConstraints, *, threads: int = 1
    ) -> NeighborContext:
        """The best nodes for each target, with their probabilities; see `ForwardPush.rank`."""
        answer = wanted.empty_answer(targets)
        with np.errstate(divide="ignore"):  # a node without incoming edges has divisor 0, and no probability
            masses = self._system.masses
            multipliers = masses if wanted.divisor is None else masses / wanted.divisor

        def work(part: slice) -> None:
            with self._spare.lent() as block:
                values = self._solve(targets[part], block)
                for lane, row in enumerate(range(part.start, part.stop)):
                    _best(
                        values[:, lane],
                        multipliers,
                        wanted.allowed,
                        targets[row],
                        answer.scores[row],
                        answer.neighbors[row],
                    )

        in_parts(work, len(targets), part=lanes.lanes_of(self._system.dtype), threads=threads)
        return answer

    def _solve(self, targets: Int64[np.ndarray, " b"], block: _Block) -> Float[np.ndarray, "nodes lanes"]:
        """Probabilities divided by `_System.masses`, one target per lane; a view of ``block``."""
        system, (now, then) = self._system, block
        filled = np.resize(targets, now.shape[1])  # spare lanes repeat targets
        now[:] = 0
        now[filled, np.arange(len(filled))] = 1 / system.masses[filled]
        # Without directions a walk reaches a node without edges only if it begins there.
        stuck = system.dangling if system.directed else np.intersect1d(system.dangling, filled)
        for factor in self._factors:
            _step(system.walk, system.scales, system.dtype(factor), now, then)
            _return(system.masses, self._alpha, factor, stuck, filled, now, then)
            now, then = then, now
        return now


@dataclass(frozen=True)
class _System:
    """The iteration as compiled code reads it, for probabilities divided by the ``masses`` of their nodes.

    A node's mass is the sum of the weights that leave it, 1 where there are none. Divided by it, what a node
    sends along an edge of weight 1 is its value itself: the inner loop adds values without a factor.
    ``walk`` lists for each node the edges that lead to it: ``indptr, indices, weights``.
    """

    walk: tuple[np.ndarray, np.ndarray, np.ndarray]
    scales: Float[np.ndarray, " nodes"]
    masses: Float64[np.ndarray, " nodes"]
    dangling: Int64[np.ndarray, " d"]
    directed: bool

    @classmethod
    def of(cls, walk: RandomWalk, alpha: float, dtype: type[np.floating]) -> _System:
        masses = np.where(walk.strengths > 0, walk.strengths, 1.0)
        dangling = np.flatnonzero(walk.strengths == 0)
        return cls(walk.into, ((1 - alpha) / masses).astype(dtype), masses, dangling, walk.directed)

    @property
    def dtype(self) -> type[np.floating]:
        """The number type of the lanes."""
        return self.scales.dtype.type


@njit(cache=True, nogil=True)
def _step(walk, scales, factor, now, then):
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


@njit(cache=True, nogil=True)
def _best(values, multipliers, allowed, target, scores, nodes):
    """Fill ``scores`` and ``nodes`` with the best of a target's ``values``."""
    size, worst = 0, np.float32(0.0)
    for node in range(values.size):
        score = np.float32(values[node] * multipliers[node])
        if score > worst and allowed[node] and node != target:
            size = offer(scores, nodes, size, score, node)
            if size == scores.size:
                worst = scores[0]
    best_to_worst(scores, nodes, size)
