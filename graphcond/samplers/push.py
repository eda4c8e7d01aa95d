"""Personalized PageRank by forward push (Andersen, Chung and Lang, FOCS 2006), compiled by numba."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int64
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
        self._walk, self._alpha, self._epsilon = walk, alpha, epsilon
        # A node's residual and its limit side by side: reading one has fetched the other.
        self._state = np.zeros((len(walk), 2))
        self._state[:, 1] = epsilon * np.where(walk.strengths > 0, walk.degrees, 1.0)
        self._settled = np.zeros(len(walk))
        # One place more than nodes: the kernel writes first and decides afterwards whether it counts.
        self._queue = np.empty(len(walk) + 1, np.uint32)
        self._reached = np.empty(len(walk) + 1, np.uint32)
        self._total = float(walk.strengths.sum())

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
        walk = self._walk
        reached = self._reached[: self._push(target)]
        nodes = reached[allowed[reached] & (reached != target)]
        values = self._settled[nodes] + self._alpha * self._state[nodes, 0]
        if not walk.directed:
            nodes = best_first(nodes, _divided(values, nodes, divisor), 4 * count).nodes
            values = self._with_tail(nodes, rest=float(self._state[reached, 0].sum()))
        known = values > PUSHED
        nodes, values = nodes[known], values[known]
        self._state[reached, 0] = 0.0
        self._settled[reached] = 0.0
        return best_first(nodes, _divided(values, nodes, divisor), count)

    def _push(self, target: int) -> int:
        walk = self._walk
        return _push(
            walk.indptr,
            walk.indices,
            walk.weights,
            walk.strengths,
            target,
            self._alpha,
            self._state,
            self._settled,
            self._queue,
            self._reached,
        )

    def _with_tail(self, nodes: Int64[np.ndarray, " n"], rest: float) -> Float64[np.ndarray, " n"]:
        walk = self._walk
        near = _residuals_around(walk.indptr, walk.indices, walk.weights, walk.strengths, self._state, nodes)
        own, strengths, alpha = self._state[nodes, 0], walk.strengths[nodes], self._alpha
        far = strengths * (rest / self._total) if self._total else np.zeros_like(near)
        later = alpha * near + (1 - alpha) * (FAR_SHARE * near + (1 - FAR_SHARE) * far)
        tail = np.minimum(alpha * own + (1 - alpha) * later, self._state[nodes, 1])
        return self._settled[nodes] + tail


def _divided(values: np.ndarray, nodes: np.ndarray, divisor: np.ndarray | None) -> np.ndarray:
    return values if divisor is None else values / divisor[nodes]


@njit(cache=True)
def _push(indptr, indices, weights, strengths, target, alpha, state, settled, queue, reached):  # type: ignore[no-untyped-def]
    """Push until no residual exceeds its limit; the number of nodes reached."""
    weighted = weights.size > 0
    state[target, 0] = 1.0
    queue[0] = reached[0] = target
    head, tail, count = 0, 1, 1
    while head != tail:
        node = np.uint64(queue[head])
        head = head + 1 if head + 1 < queue.size else 0
        residual = state[node, 0]
        state[node, 0] = PUSHED
        settled[node] += alpha * residual
        if strengths[node] == 0.0:
            tail = _give_back(target, (1.0 - alpha) * residual, state, queue, tail)
            continue
        share = (1.0 - alpha) * residual / strengths[node]
        for edge in range(indptr[node], indptr[node + np.uint64(1)]):
            neighbor = indices[edge]
            before = state[neighbor, 0]
            after = before + (share * weights[edge] if weighted else share)
            state[neighbor, 0] = after
            # No branches here: they would be mispredicted half of the time.
            queue[tail] = neighbor
            limit = state[neighbor, 1]
            tail += (before <= limit) & (after > limit)
            tail = tail if tail < queue.size else 0
            reached[count] = neighbor
            count += before == 0.0
    return count


@njit(cache=True)
def _give_back(target, mass, state, queue, tail):  # type: ignore[no-untyped-def]
    before = state[target, 0]
    state[target, 0] = before + mass
    queue[tail] = target
    tail += (before <= state[target, 1]) & (before + mass > state[target, 1])
    return tail if tail < queue.size else 0


@njit(cache=True)
def _residuals_around(indptr, indices, weights, strengths, state, nodes):  # type: ignore[no-untyped-def]
    """For each node the sum over its edges of weight * residual / strength of the other end."""
    sums = np.zeros(nodes.size)
    for place in range(nodes.size):
        node = np.uint64(nodes[place])
        for edge in range(indptr[node], indptr[node + np.uint64(1)]):
            neighbor = indices[edge]
            if strengths[neighbor] > 0.0:
                weight = weights[edge] if weights.size > 0 else np.float32(1.0)
                sums[place] += weight * state[neighbor, 0] / strengths[neighbor]
    return sums
