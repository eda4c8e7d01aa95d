"""Personalized PageRank by power iteration: slow, exact, and the oracle of the push."""

from __future__ import annotations

from math import ceil, log, log1p

import numpy as np
from jaxtyping import Bool, Float64
from numba import njit

from graphcond.samplers.ranking import Ranking, best_first
from graphcond.samplers.walk import RandomWalk

ROUNDING = 1e-15
"""Changes in the sum of probabilities that float64 cannot tell from none."""


class PowerIteration:
    """Solves p = (1 - alpha) P^T p + alpha e_target, P = D^-1 A, by iterating it.

    Where no edge leaves a node, its mass returns to the target (as networkx does). A target takes
    time in proportion to the edges that can be reached from it.

    Args:
        walk: the walk on the graph.
        alpha: probability to return to the target, 0 < alpha < 1.
        tolerance: bound on the sum of absolute errors over all nodes, as far as float64 can keep it.
    """

    def __init__(self, walk: RandomWalk, *, alpha: float, tolerance: float = 1e-12) -> None:
        self._walk, self._alpha, self._tolerance = walk, alpha, tolerance

    def solve(self, target: int) -> Float64[np.ndarray, " nodes"]:
        """The probabilities of all nodes, which sum to 1."""
        # The error after n steps is at most 2 (1 - alpha)^n, and at most the last change / alpha.
        steps = ceil(log(self._tolerance / 2) / log1p(-self._alpha))
        enough = max(self._tolerance * self._alpha, ROUNDING)
        return _iterate(self._walk.arrays, target, self._alpha, steps, enough)

    def best(
        self,
        target: int,
        count: int,
        allowed: Bool[np.ndarray, " nodes"],
        divisor: Float64[np.ndarray, " nodes"] | None = None,
    ) -> Ranking:
        """The ``count`` best of the ``allowed`` nodes other than ``target``: see `ForwardPush.best`."""
        values = self.solve(target)
        nodes = np.flatnonzero(allowed & (values > 0))
        nodes = nodes[nodes != target]
        scores = values[nodes] if divisor is None else values[nodes] / divisor[nodes]
        return best_first(nodes, scores, count)


@njit(cache=True)
def _iterate(walk, target, alpha, steps, enough):  # type: ignore[no-untyped-def]
    nodes = walk[3].size
    now, then = np.zeros(nodes), np.zeros(nodes)
    now[target] = 1.0
    for _ in range(steps):
        _step(walk, target, alpha, now, then)
        change = np.abs(then - now).sum()
        now, then = then, now
        if change <= enough:
            break
    return now


@njit(cache=True)
def _step(walk, target, alpha, now, then):  # type: ignore[no-untyped-def]
    indptr, indices, weights, strengths = walk
    then[:] = 0.0
    then[target] = alpha
    for node in range(np.uint64(strengths.size)):
        if now[node] == 0.0:
            continue
        if strengths[node] == 0.0:
            then[target] += (1.0 - alpha) * now[node]
            continue
        share = (1.0 - alpha) * now[node] / strengths[node]
        for edge in range(indptr[node], indptr[node + np.uint64(1)]):
            weight = weights[edge] if weights.size > 0 else np.float32(1.0)
            then[indices[edge]] += share * weight
