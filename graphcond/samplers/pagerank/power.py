"""Personalized PageRank by iteration over the whole graph: the oracle of the push, and its stand-in."""

from __future__ import annotations

from dataclasses import dataclass
from math import acosh, ceil, log, log1p, sqrt
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Float64, Int64
from numba import njit

from graphcond.context import NeighborContext
from graphcond.samplers.pagerank import kernels as lanes
from graphcond.samplers.pagerank import power as chebyshev
from graphcond.samplers.pagerank.kernels import best_to_worst, offer, relax, relax_weighted
from graphcond.samplers.pagerank.walk import RandomWalk
from graphcond.samplers.ranking import Wanted
from graphcond.samplers.shared_work import Spare, in_parts


def steps_for(tolerance: float, alpha: float) -> int:
    """The fewest steps k >= 1 with 1 / T_k(1 / (1 - alpha)) <= ``tolerance``.

    For a bound on the sum of all nodes' errors, divide the tolerance by sqrt(sum_i d_i / d_target) first.
    """
    beyond = alpha / (1 - alpha)
    # acosh(1 + beyond), which keeps its digits where alpha is tiny.
    gain = log1p(beyond + sqrt(beyond * (2 + beyond)))
    return max(1, ceil(acosh(1 / min(tolerance, 1.0)) / gain))


def weights(alpha: float, steps: int) -> Float64[np.ndarray, " steps"]:
    """w_1 = 1, w_2 = 2 / (2 - c^2) and w_k+1 = 1 / (1 - c^2 w_k / 4), which lie between 1 and 2."""
    square = (1 - alpha) ** 2
    found = np.ones(steps)
    for step in range(1, steps):
        found[step] = 1 / (1 - square * found[step - 1] / (2 if step == 1 else 4))
    return found


_Block: TypeAlias = tuple[Float[np.ndarray, "nodes lanes"], Float[np.ndarray, "nodes lanes"]]
"""Two arrays to iterate in turns."""


class PowerIteration:
    """Solves p = (1 - alpha) P^T p + alpha e_target, P = D^-1 A, for a block of targets at once.

    Where no edge leaves a node, its mass returns to the target (as networkx does). A step reads every edge
    once for a whole block: 8 targets in float64, 16 in float32. What a target gets does not depend on the
    others.

    Bound on the sum of absolute errors over all nodes, rounding aside: ``tolerance``. k plain steps leave at
    most 2 (1 - alpha)^k; undirected edges allow
    accelerated ones, which leave sqrt(sum of strengths / strength of the target) / T_k(1 / (1 - alpha)) at
    most, T_k the Chebyshev polynomial (see `graphcond.samplers.pagerank.power`).

    Args:
        walk: the walk on the graph.
        alpha: probability to return to the target, 0 < alpha < 1.
        tolerance: bound on the sum of absolute errors, as far as ``dtype`` can keep it.
        steps: take so many plain steps of power iteration instead.
        dtype: float64, or float32 for twice the speed and 1e-6 of every value.
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
        self._factors = _factors(walk, alpha, tolerance) if steps is None else np.ones(steps)
        self._spare: Spare[_Block] = Spare(
            lambda: (lanes.zeros(len(walk), dtype), lanes.zeros(len(walk), dtype))
        )

    def __repr__(self) -> str:
        return f"power iteration, {self.steps} steps in {np.dtype(self._system.dtype)}"

    @property
    def steps(self) -> int:
        """How often all edges are read for a block of targets."""
        return len(self._factors)

    def solve(self, target: int) -> Float64[np.ndarray, " nodes"]:
        """The probabilities of all nodes, which sum to 1."""
        with self._spare.lent() as block:
            return self._solve(np.array([target]), block)[:, 0] * self._system.masses

    def rank(self, targets: Int64[np.ndarray, " b"], wanted: Wanted, *, threads: int = 1) -> NeighborContext:
        """The best nodes for each target, with their probabilities; see `ForwardPush.rank`."""
        answer = wanted.nobody(targets)
        with np.errstate(divide="ignore"):  # nothing is divided for a node that no edge leads to
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
        """Probabilities per unit of mass (`_System.masses`), one target a lane; they stand in ``block``."""
        system, (now, then) = self._system, block
        filled = np.resize(targets, now.shape[1])
        now[:] = 0
        now[filled, np.arange(len(filled))] = 1 / system.masses[filled]
        stuck = system.stuck_at(filled)
        for factor in self._factors:
            _step(system.walk, system.scales, system.dtype(factor), now, then)
            _return(system.masses, self._alpha, factor, stuck, filled, now, then)
            now, then = then, now
        return now


@dataclass(frozen=True)
class _System:
    """The iteration as compiled code reads it, for probabilities divided by the ``masses`` of their nodes.

    A node's mass is the sum of the weights that leave it, 1 where there are none. ``walk`` lists for each
    node the edges that lead to it: ``indptr, indices, weights``.
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
        """Of the lanes."""
        return self.scales.dtype.type

    def stuck_at(self, targets: Int64[np.ndarray, " b"]) -> Int64[np.ndarray, " d"]:
        """The nodes without a way out that a walk from ``targets`` may come to."""
        return self.dangling if self.directed else np.intersect1d(self.dangling, targets)


def _factors(walk: RandomWalk, alpha: float, tolerance: float) -> Float64[np.ndarray, " steps"]:
    """What each step is accelerated by."""
    plain = ceil(log(tolerance / 2) / log1p(-alpha))
    if walk.directed or not walk.strengths.any():
        return np.ones(plain)
    least = float(walk.strengths[walk.strengths > 0].min())
    steps = chebyshev.steps_for(tolerance / sqrt(float(walk.strengths.sum()) / least), alpha)
    return chebyshev.weights(alpha, steps) if steps < plain else np.ones(plain)


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
    """Bring back to each target what the walk's reset and the nodes without a way out give it."""
    for lane in range(targets.size):
        lost = 0.0
        for node in stuck:
            lost += now[node, lane] * masses[node]
        target = targets[lane]
        then[target, lane] += factor * (alpha + (1.0 - alpha) * lost) / masses[target]


@njit(cache=True, nogil=True)
def _best(values, multipliers, allowed, target, scores, nodes):
    size, worst = 0, np.float32(0.0)
    for node in range(values.size):
        score = np.float32(values[node] * multipliers[node])
        if score > worst and allowed[node] and node != target:
            size = offer(scores, nodes, size, score, node)
            if size == scores.size:
                worst = scores[0]
    best_to_worst(scores, nodes, size)
