"""Personalized PageRank by forward push (Andersen, Chung and Lang, FOCS 2006), compiled by numba."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt32
from numba import njit

from graphcond.samplers.ranking import Ranking, best_first
from graphcond.samplers.walk import RandomWalk

PUSHED = 1e-300
"""Residual that a pushed node keeps: next to nothing, yet not 0, which marks nodes never reached."""

FAR_SHARE = 0.3
"""How much the unseen end of a walk resembles its beginning rather than the whole graph.

Fitted against exact values (``benchmarks/ppr.py``); it decides how good estimates are, not their bound.
"""


class ForwardPush:
    """Estimates p = (1 - alpha) P^T p + alpha e_target, P = D^-1 A, without a look at the whole graph.

    Where no edge leaves a node, its mass returns to the target (as networkx does).

    Mass still to be spread is kept as a residual r per node; a node is pushed while its residual exceeds
    ``epsilon * degree``, the degree being the sum of its weights in units of the mean weight (1 for a node
    without edges). This takes at most 1 / (alpha * epsilon) steps over edges of mean weight.

    Bounds: in an undirected graph no estimate is off by more than ``epsilon * degree`` of its node. In
    any graph what all estimates lack together is the sum of the residuals, at most ``epsilon`` times the
    sum of degrees; nothing is overestimated in a directed graph.

    Plain push underestimates node v of an undirected graph by exactly degree(v) * E[r(w) / degree(w)],
    w the end of an alpha-walk from v. For the best nodes this expectation is computed for walks of length
    0 and 1 and estimated for longer ones, within its bounds.

    An object keeps scratch memory between calls: use one per thread.

    Args:
        walk: the walk on the graph.
        alpha: probability to return to the target, 0 < alpha < 1.
        epsilon: largest residual per degree that may remain, above 0.
    """

    def __init__(self, walk: RandomWalk, *, alpha: float, epsilon: float) -> None:
        self._walk, self._alpha = walk, alpha
        limits = epsilon * np.where(walk.strengths > 0, walk.degrees, 1.0)
        self._scratch = _Scratch.of(limits)
        self._total = float(walk.strengths.sum()) or 1.0

    def best(
        self,
        target: int,
        count: int,
        allowed: Bool[np.ndarray, " nodes"],
        divisor: Float64[np.ndarray, " nodes"] | None = None,
    ) -> Ranking:
        """The ``count`` best of the ``allowed`` nodes other than ``target``, with their estimates.

        Args:
            target: row to return to; it must exist.
            count: how many nodes to return at most; nodes that no mass reached are left out.
            allowed: who may be returned; mass flows through all nodes.
            divisor: what to divide each node's estimate by before ranking.
        """
        scratch, alpha = self._scratch, self._alpha
        reached = scratch.reached[: _push(self._walk.arrays, scratch, target, alpha)]
        nodes = reached[allowed[reached] & (reached != target)]
        values = scratch.settled[nodes] + alpha * scratch.residuals[nodes, 0]
        if not self._walk.directed:
            nodes = best_first(nodes, _divided(values, nodes, divisor), 4 * count).nodes
            values = scratch.settled[nodes] + self._tail(
                nodes, rest=float(scratch.residuals[reached, 0].sum())
            )
        scratch.clear(reached)
        known = values > PUSHED
        nodes, values = nodes[known], values[known]
        return best_first(nodes, _divided(values, nodes, divisor), count)

    def _tail(self, nodes: Int64[np.ndarray, " n"], rest: float) -> Float64[np.ndarray, " n"]:
        """What the residuals will still bring to ``nodes``, as far as it can be told from near."""
        residuals, alpha = self._scratch.residuals, self._alpha
        near = _residuals_around(self._walk.arrays, residuals, nodes)
        far = self._walk.strengths[nodes] * (rest / self._total)
        later = alpha * near + (1 - alpha) * (FAR_SHARE * near + (1 - FAR_SHARE) * far)
        return np.minimum(alpha * residuals[nodes, 0] + (1 - alpha) * later, residuals[nodes, 1])


class _Scratch(NamedTuple):
    """What a push writes into; between pushes ``residuals[:, 0]`` and ``settled`` are zero.

    A node's residual and its limit stand side by side: reading one has fetched the other. Lists of nodes
    have one place to spare: the kernel writes first and decides afterwards whether it counts.
    """

    residuals: Float64[np.ndarray, "nodes 2"]
    settled: Float64[np.ndarray, " nodes"]
    amounts: Float64[np.ndarray, " nodes"]
    frontier: UInt32[np.ndarray, " nodes_plus_1"]
    following: UInt32[np.ndarray, " nodes_plus_1"]
    reached: UInt32[np.ndarray, " nodes_plus_1"]

    @classmethod
    def of(cls, limits: Float64[np.ndarray, " nodes"]) -> _Scratch:
        nodes = len(limits)
        lists = (np.empty(nodes + 1, np.uint32) for _ in range(3))
        return cls(np.stack([np.zeros(nodes), limits], axis=1), np.zeros(nodes), np.empty(nodes), *lists)

    def clear(self, reached: UInt32[np.ndarray, " n"]) -> None:
        self.residuals[reached, 0] = 0.0
        self.settled[reached] = 0.0


def _divided(values: np.ndarray, nodes: np.ndarray, divisor: np.ndarray | None) -> np.ndarray:
    return values if divisor is None else values / divisor[nodes]


@njit(cache=True)
def _push(walk, scratch, target, alpha):  # type: ignore[no-untyped-def]
    """Push until no residual exceeds its limit; the number of nodes reached."""
    residuals, settled, amounts = scratch.residuals, scratch.settled, scratch.amounts
    frontier, following = scratch.frontier, scratch.following
    residuals[target, 0] = 1.0
    frontier[0] = scratch.reached[0] = target
    size, count = 1, 1
    while size:
        # First all of a round, then what they give: nodes that the graph treats alike stay equal.
        for place in range(size):
            node = frontier[place]
            amounts[place] = (1.0 - alpha) * residuals[node, 0]
            settled[node] += alpha * residuals[node, 0]
            residuals[node, 0] = PUSHED
        size, count = _spread(walk, scratch, target, frontier[:size], following, count)
        frontier, following = following, frontier
    return count


@njit(cache=True)
def _spread(walk, scratch, target, frontier, following, count):  # type: ignore[no-untyped-def]
    """Give each node's amount to its neighbors; how many are to be pushed next, how many were reached."""
    indptr, indices, weights, strengths = walk
    residuals, reached = scratch.residuals, scratch.reached
    weighted = weights.size > 0
    size = 0
    for place in range(frontier.size):
        node = np.uint64(frontier[place])
        amount = scratch.amounts[place]
        if strengths[node] == 0.0:
            before = residuals[target, 0]
            residuals[target, 0] = before + amount
            following[size] = target
            size += (before <= residuals[target, 1]) & (before + amount > residuals[target, 1])
            continue
        share = amount / strengths[node]
        for edge in range(indptr[node], indptr[node + np.uint64(1)]):
            neighbor = indices[edge]
            before = residuals[neighbor, 0]
            after = before + (share * weights[edge] if weighted else share)
            residuals[neighbor, 0] = after
            # No branches here: they would be mispredicted half of the time.
            following[size] = neighbor
            size += (before <= residuals[neighbor, 1]) & (after > residuals[neighbor, 1])
            reached[count] = neighbor
            count += before == 0.0
    return size, count


@njit(cache=True)
def _residuals_around(walk, residuals, nodes):  # type: ignore[no-untyped-def]
    """For each node the sum over its edges of weight * residual / strength of the other end."""
    indptr, indices, weights, strengths = walk
    sums = np.zeros(nodes.size)
    for place in range(nodes.size):
        node = np.uint64(nodes[place])
        for edge in range(indptr[node], indptr[node + np.uint64(1)]):
            neighbor = indices[edge]
            if strengths[neighbor] > 0.0:
                weight = weights[edge] if weights.size > 0 else np.float32(1.0)
                sums[place] += weight * residuals[neighbor, 0] / strengths[neighbor]
    return sums
