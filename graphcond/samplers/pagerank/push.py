"""Personalized PageRank by forward push (Andersen, Chung and Lang, FOCS 2006), compiled by numba."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, UInt32
from numba import njit

from graphcond.context import NeighborContext
from graphcond.samplers.pagerank.kernels import best_to_worst, offer, prefetch
from graphcond.samplers.pagerank.walk import RandomWalk
from graphcond.samplers.ranking import Wanted
from graphcond.samplers.shared_work import Spare, in_parts

PUSHED = 1e-300
"""Residual that a pushed node keeps: next to nothing, yet not 0, which marks nodes never reached."""

FAR_SHARE = 0.2
"""How much the unseen end of a walk resembles its beginning rather than the whole graph.

Fitted against exact values (``benchmarks/far_share.py``); it decides how good estimates are, not their bound.
"""


LOOKED_AT = 512
"""A node with twice as many neighbors or more is judged by a regular choice of them."""

CANDIDATES = 2
"""So many times the nodes wanted get a better estimate; the rest are too far behind."""

ROWS_AHEAD = 4
EDGES_AHEAD = np.uint64(12)
"""How long before they are read rows of edges and residuals are fetched: a quarter of the time less."""

TARGETS_AT_ONCE = 8
"""Targets that a thread takes at a time."""


class ForwardPush:
    """Estimates p = (1 - alpha) P^T p + alpha e_target, P = D^-1 A, without a look at the whole graph.

    Where no edge leaves a node, its mass returns to the target (as networkx does).

    Mass still to be spread is kept as a residual r per node; a node is pushed while its residual exceeds its
    limit, ``epsilon * degree / start``. The degree is the sum of its weights in units of the mean weight (1
    for a node without edges), and start = sqrt(degree of the target / mean degree): a hub's mass is spread
    over many neighbors, so it needs finer limits. This takes at most start / (alpha * epsilon) steps over
    edges of mean weight.

    Bounds: in an undirected graph no estimate is off by more than the limit of its node (see `limits`). In
    any graph what all estimates lack together is the sum of the residuals, at most that of all limits;
    nothing is overestimated in a directed graph.

    Plain push underestimates node v of an undirected graph by exactly degree(v) * E[r(w) / degree(w)],
    w the end of an alpha-walk from v. For the best nodes this expectation is computed for walks of length
    0 and 1 and estimated for longer ones, within its bounds.

    Args:
        walk: the walk on the graph.
        alpha: probability to return to the target, 0 < alpha < 1.
        epsilon: largest residual per degree that may remain for a target of mean degree, above 0.
    """

    def __init__(self, walk: RandomWalk, *, alpha: float, epsilon: float) -> None:
        self._walk, self._alpha, self._epsilon = walk, alpha, epsilon
        degrees = np.where(walk.strengths > 0, walk.degrees, 1.0)
        self._limits = limits = epsilon * degrees
        self._spare = Spare(lambda: _Scratch.of(limits))
        self._starts = np.sqrt(degrees / degrees.mean()) if len(walk) else degrees
        self._density = -1.0 if walk.directed else 1 / float(self._limits.sum())

    def __repr__(self) -> str:
        return f"forward push, epsilon {self._epsilon:.2g}"

    def limits(self, target: int) -> Float64[np.ndarray, " nodes"]:
        """How large each node's residual may remain, and so how far off its estimate may be."""
        return self._limits / self._starts[target]

    def rank(self, targets: Int64[np.ndarray, " b"], wanted: Wanted, *, threads: int = 1) -> NeighborContext:
        """The best nodes for each target, with their estimates; nodes that no mass reached are left out.

        Args:
            targets: rows to return to; they must exist.
            wanted: who may be returned, and how many; mass flows through all nodes.
            threads: how many work at once; the answer does not depend on it.
        """
        return self.rank_and_count(targets, wanted, threads=threads)[0]

    def rank_and_count(
        self, targets: Int64[np.ndarray, " b"], wanted: Wanted, *, threads: int = 1
    ) -> tuple[NeighborContext, Int64[np.ndarray, " b"]]:
        """As `rank`, and for each target how many edges mass was sent along."""
        answer, edges = wanted.nobody(targets), np.empty(len(targets), np.int64)

        def work(part: slice) -> None:
            with self._spare.lent() as scratch:
                _rank(
                    self._walk.arrays,
                    scratch,
                    _Numbers(self._alpha, self._density, FAR_SHARE, self._starts),
                    wanted.arrays,
                    answer.targets[part],
                    (answer.neighbors[part], answer.scores[part], edges[part]),
                )

        in_parts(work, len(targets), part=TARGETS_AT_ONCE, threads=threads)
        return answer, edges


class _Numbers(NamedTuple):
    """``density`` is that of a residual of 1 spread over all nodes by their limits; below 0 if directed.

    All masses of a target are multiplied by its entry of ``starts``, which leaves the limits as they are.
    """

    alpha: float
    density: float
    far_share: float
    starts: Float64[np.ndarray, " nodes"]


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


@njit(cache=True, nogil=True)
def _rank(walk, scratch, numbers, wanted, targets, answers):
    """Fill the rows of ``answers``: nodes, scores, and along how many edges mass went."""
    neighbors, scores, edges = answers
    directed = numbers.density < 0.0
    room = neighbors.shape[1] * (1 if directed else CANDIDATES)
    near_scores, near = np.empty(room, np.float32), np.empty(room, np.int64)
    for place in range(targets.size):
        target = np.uint64(targets[place])
        start = numbers.starts[target]
        count, rest, edges[place] = _push(walk, scratch, target, start, numbers.alpha)
        density = 0.0 if directed else rest * numbers.density
        size = _collect(scratch, count, target, numbers.alpha, density, wanted, near_scores, near)
        if not directed:
            for entry in range(size):
                value = _estimate(walk, scratch, np.uint64(near[entry]), numbers, density)
                near_scores[entry] = _divided(value, near[entry], wanted[1])
        _keep(near_scores, near, size, scores[place], neighbors[place])
        scores[place] /= np.float32(start)
        for node in scratch.reached[:count]:
            scratch.residuals[node, 0] = scratch.settled[node] = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _collect(scratch, count, target, alpha, density, wanted, scores, nodes):
    """The best of the ``count`` nodes reached, by a first estimate; how many they are."""
    allowed, divisor = wanted
    residuals, settled = scratch.residuals, scratch.settled
    divided = divisor.size > 0
    size, worst = 0, np.float32(-1.0)
    for node in scratch.reached[:count]:
        residual, limit = residuals[node, 0], residuals[node, 1]
        value = settled[node] + min(alpha * residual + (1.0 - alpha) * density * limit, limit)
        score = np.float32(value / divisor[node] if divided else value)
        # Most nodes end here. To call `offer` for each would take longer than the push.
        if score >= worst and value > PUSHED and allowed[node] and node != target:
            size = offer(scores, nodes, size, score, node)
            if size == scores.size:
                worst = scores[0]
    return size


@njit(cache=True, nogil=True)
def _keep(from_scores, from_nodes, size, scores, nodes):
    kept = 0
    for entry in range(size):
        kept = offer(scores, nodes, kept, from_scores[entry], from_nodes[entry])
    best_to_worst(scores, nodes, kept)


@njit(cache=True, nogil=True, error_model="numpy")
def _divided(value, node, divisor):
    return np.float32(value / divisor[node] if divisor.size > 0 else value)


@njit(cache=True, nogil=True)
def _estimate(walk, scratch, node, numbers, density):
    """What ``node`` has and what the residuals will still bring, as far as it can be told from near."""
    residuals, alpha = scratch.residuals, numbers.alpha
    residual, limit = residuals[node, 0], residuals[node, 1]
    near = _around(walk, residuals, node) * limit
    later = (alpha + (1.0 - alpha) * numbers.far_share) * near
    later += (1.0 - alpha) * (1.0 - numbers.far_share) * density * limit
    return scratch.settled[node] + min(alpha * residual + (1.0 - alpha) * later, limit)


@njit(cache=True, nogil=True)
def _around(walk, residuals, node):
    """The mean residual of a node's neighbors, each in units of its limit; of many, a regular choice."""
    indptr, indices, weights, _ = walk
    first, last = indptr[node], indptr[node + np.uint64(1)]
    stride = max((last - first) // np.uint64(LOOKED_AT), np.uint64(1))
    sum_, strength = 0.0, 0.0
    for edge in range(first, last, stride):
        neighbor = indices[edge]
        weight = np.float64(weights[edge]) if weights.size > 0 else 1.0
        sum_ += weight * residuals[neighbor, 0] / residuals[neighbor, 1]
        strength += weight
    return sum_ / strength if strength > 0.0 else 0.0


@njit(cache=True, nogil=True)
def _push(walk, scratch, target, start, alpha):
    """Push until no residual exceeds its limit.

    Returns: how many nodes were reached, the sum of the residuals, and along how many edges mass went.
    """
    residuals, settled, amounts = scratch.residuals, scratch.settled, scratch.amounts
    frontier, following = scratch.frontier, scratch.following
    residuals[target, 0] = start
    frontier[0] = scratch.reached[0] = target
    size, count, edges, rest = 1, 1, np.int64(0), start
    while size:
        # First all of a round, then what they give: nodes that the graph treats alike stay equal.
        for place in range(size):
            node = np.uint64(frontier[place])
            amounts[place] = (1.0 - alpha) * residuals[node, 0]
            settled[node] += alpha * residuals[node, 0]
            rest -= alpha * residuals[node, 0]
            residuals[node, 0] = PUSHED
            edges += np.int64(walk[0][node + np.uint64(1)] - walk[0][node])
        size, count = _spread(walk, scratch, target, frontier[:size], following, count)
        frontier, following = following, frontier
    return count, rest, edges


@njit(cache=True, nogil=True)
def _spread(walk, scratch, target, frontier, following, count):
    """Give each node's amount to its neighbors; how many are to be pushed next, how many were reached."""
    indptr, indices, weights, strengths = walk
    residuals, reached = scratch.residuals, scratch.reached
    weighted = weights.size > 0
    size, last_edge = 0, np.uint64(indices.size - 1)
    for place in range(frontier.size):
        if place + ROWS_AHEAD < frontier.size:
            prefetch(indices, indptr[np.uint64(frontier[place + ROWS_AHEAD])])
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
            prefetch(residuals, np.uint64(2) * np.uint64(indices[min(edge + EDGES_AHEAD, last_edge)]))
            before = residuals[neighbor, 0]
            after = before + (share * weights[edge] if weighted else share)
            residuals[neighbor, 0] = after
            # No branches here: they would be mispredicted half of the time.
            following[size] = neighbor
            size += (before <= residuals[neighbor, 1]) & (after > residuals[neighbor, 1])
            reached[count] = neighbor
            count += (before == 0.0) & (after > 0.0)
    return size, count
