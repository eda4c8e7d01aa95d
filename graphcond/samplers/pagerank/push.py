"""Personalized PageRank by forward push (Andersen, Chung and Lang, FOCS 2006), compiled by numba.

Power iteration reads every edge at every step. A push reads only the edges of nodes that hold much mass, so
its time does not grow with the graph. Three things keep it fast and its answers stable:

- Invariant: settled + (what the residuals would still bring) = p at every moment. A push moves mass of one
  node from its residual to ``settled`` and to its neighbors' residuals. It may stop anywhere; what is missing
  is known.
- Nodes are pushed in rounds, not from a queue. A queue's order depends on the numbering of the nodes, and
  nodes that the graph treats alike would then get different estimates.
- The scratch arrays are as large as the graph, but only entries that were reached are cleared. To clear all
  of them for each target would take longer than the push.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, UInt32
from numba import njit

from graphcond.context import NeighborContext
from graphcond.samplers.pagerank.kernels import best_to_worst, offer, prefetch
from graphcond.samplers.pagerank.walk import RandomWalk
from graphcond.samplers.ranking import RankingConstraints
from graphcond.samplers.shared_work import Spare, in_parts

PUSHED = 1e-300
"""Residual of a node just after its push. It is not 0, because 0 marks nodes that were never reached."""

FAR_SHARE = 0.2
"""Weight of the residuals near a node, against those of the whole graph, in its estimate of far ones.

It was fitted against exact values (``benchmarks/far_share.py``) on graphs with communities. It changes the
estimates, not their bound.
"""

LOOKED_AT = 512
"""Of a node with at least twice as many neighbors, every n-th neighbor is read, about this many in all."""

CANDIDATES = 2
"""Nodes that get the better estimate, as a multiple of the nodes wanted; the others score far lower."""

ROWS_AHEAD = 4
EDGES_AHEAD = np.uint64(12)
"""Rows of edges and residuals are prefetched this many places ahead, which takes a quarter off the time."""

TARGETS_AT_ONCE = 8
"""Targets that a thread takes at a time."""


class ForwardPush:
    """Estimates p = (1 - alpha) P^T p + alpha e_target, P = D^-1 A, without reading the whole graph.

    Where no edge leaves a node, its mass returns to the target (as in networkx).

    Mass still to be spread is kept as a residual r per node; a node is pushed while its residual exceeds its
    limit, ``epsilon * degree / start``. The degree is the sum of its weights in units of the mean weight (1
    for a node without edges), and start = sqrt(degree of the target / mean degree): a hub's mass is spread
    over many neighbors, so it needs finer limits. This takes at most start / (alpha * epsilon) steps over
    edges of mean weight.

    Bounds: in an undirected graph the error of an estimate is at most the limit of its node (see `limits`).
    In a directed graph the errors of all nodes, hubs aside (`LOOKED_AT`), sum to twice the residuals at most,
    and these to the limits.

    Plain push underestimates node v by what the residuals would still bring: in an undirected graph exactly
    degree(v) * E[r(w) / degree(w)], w the end of an alpha-walk from v. For the best nodes this is computed
    for walks of length 0 and 1, along the edges that lead to v, and estimated for longer ones: long walks end
    in one distribution (`RandomWalk.far`), in an undirected graph that in proportion to the degrees.

    Args:
        walk: the walk on the graph.
        alpha: probability to return to the target, 0 < alpha < 1.
        epsilon: largest residual per degree that may remain for a target of mean degree, above 0.
        far_share: see `FAR_SHARE`; 0 suits graphs in which a walk soon forgets where it began.
    """

    def __init__(
        self, walk: RandomWalk, *, alpha: float, epsilon: float, far_share: float = FAR_SHARE
    ) -> None:
        self._walk, self._alpha, self._epsilon, self._far_share = walk, alpha, epsilon, far_share
        degrees = np.where(walk.strengths > 0, walk.degrees, 1.0)
        self._limits = limits = epsilon * degrees
        self._spare = Spare(lambda: _Scratch.of(limits))
        self._starts = np.sqrt(degrees / degrees.mean()) if len(walk) else degrees
        self._density = -1.0 if walk.directed else 1 / float(self._limits.sum())
        self._far, self._reach = limits, limits
        if walk.directed:
            far, kept = walk.far
            self._far = far * alpha / (1 - (1 - alpha) * kept)
            self._reach = epsilon * walk.incoming * (walk.degrees.sum() / (walk.strengths.sum() or 1.0))

    def __repr__(self) -> str:
        share = "" if self._far_share == FAR_SHARE else f", far share {self._far_share:g}"
        return f"forward push, epsilon {self._epsilon:.2g}{share}"

    def limits(self, target: int) -> Float64[np.ndarray, " nodes"]:
        """The largest residual that each node may keep; in an undirected graph it bounds the node's error."""
        return self._limits / self._starts[target]

    def rank(
        self, targets: Int64[np.ndarray, " b"], wanted: RankingConstraints, *, threads: int = 1
    ) -> NeighborContext:
        """The best nodes for each target, with their estimates; nodes that no mass reached are left out.

        Args:
            targets: rows to return to; they must exist.
            wanted: which nodes may be returned, and how many; mass flows through all nodes.
            threads: number of threads; the answer does not depend on it.
        """
        return self.rank_and_count(targets, wanted, threads=threads)[0]

    def rank_and_count(
        self, targets: Int64[np.ndarray, " b"], wanted: RankingConstraints, *, threads: int = 1
    ) -> tuple[NeighborContext, Int64[np.ndarray, " b"]]:
        """As `rank`, with the number of edges along which mass was sent, for each target."""
        answer, edges = wanted.empty_answer(targets), np.empty(len(targets), np.int64)
        numbers = _Numbers(self._alpha, self._density, self._far_share, self._starts, self._far, self._reach)

        def work(part: slice) -> None:
            with self._spare.lent() as scratch:
                _rank(
                    self._walk.arrays,
                    scratch,
                    numbers,
                    self._walk.into,
                    wanted.arrays,
                    answer.targets[part],
                    (answer.neighbors[part], answer.scores[part], edges[part]),
                )

        in_parts(work, len(targets), part=TARGETS_AT_ONCE, threads=threads)
        return answer, edges


class _Numbers(NamedTuple):
    """Settings of a push, as compiled code reads them.

    ``density`` is the density of a residual of 1 that is spread over all nodes by their limits; it is
    negative for directed graphs, where long walks bring a residual of 1 to the nodes by ``far`` instead.
    ``reach`` is a node's limit if its degree is counted in the edges that lead to it. A target begins with a
    mass of its entry of ``starts`` instead of 1, and its results are divided by that entry: this scales the
    limits without another array for each target.
    """

    alpha: float
    density: float
    far_share: float
    starts: Float64[np.ndarray, " nodes"]
    far: Float64[np.ndarray, " nodes"]
    reach: Float64[np.ndarray, " nodes"]


class _Scratch(NamedTuple):
    """The arrays that a push writes to; between pushes ``residuals[:, 0]`` and ``settled`` are zero.

    A node's residual and its limit share a cache line, since they are read together. Lists of nodes have one
    spare entry: the kernel writes first and then decides whether the entry counts.
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


@njit(cache=True, nogil=True, error_model="numpy")
def _rank(walk, scratch, numbers, into, wanted, targets, answers):
    """Fill the rows of ``answers``: nodes, scores, and the number of edges along which mass was sent."""
    neighbors, scores, edges = answers
    divisor = wanted[1]
    room = neighbors.shape[1] * CANDIDATES
    near_scores, near = np.empty(room, np.float32), np.empty(room, np.int64)
    for place in range(targets.size):
        target = np.uint64(targets[place])
        start = numbers.starts[target]
        count, rest, edges[place] = _push(walk, scratch, target, start, numbers.alpha)
        size = _collect(scratch, count, target, numbers, rest, wanted, near_scores, near)
        # The better estimate reads the neighbors of a node: too slow for all nodes reached, so only those
        # that rank high by the first estimate get one.
        kept = 0
        for entry in range(size):
            node = near[entry]
            value = _estimate(into, scratch, np.uint64(node), numbers, rest)
            score = np.float32(value / divisor[node] if divisor.size > 0 else value)
            kept = offer(scores[place], neighbors[place], kept, score, node)
        best_to_worst(scores[place], neighbors[place], kept)
        scores[place] /= np.float32(start)
        for reached in scratch.reached[:count]:
            scratch.residuals[reached, 0] = scratch.settled[reached] = 0.0


@njit(cache=True, nogil=True)
def _push(walk, scratch, target, start, alpha):
    """Push until no residual exceeds its limit.

    Returns: the number of nodes reached, the sum of the residuals, and the number of edges along which mass
    was sent.
    """
    residuals, settled, amounts = scratch.residuals, scratch.settled, scratch.amounts
    frontier, following = scratch.frontier, scratch.following
    residuals[target, 0] = start
    frontier[0] = scratch.reached[0] = target
    size, count, edges, rest = 1, 1, np.int64(0), start
    while size:
        # First take what each node of the round gives, then hand it out: no node of a round sees mass that
        # another one sends in the same round, so nodes that the graph treats alike stay equal.
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
    """Give each node's amount to its neighbors; the sizes of the next round and of the nodes reached.

    A node joins the next round at the moment when its residual first exceeds its limit, so it joins once.
    """
    indptr, indices, weights, strengths = walk
    residuals, reached = scratch.residuals, scratch.reached
    weighted = weights.size > 0
    size, last_edge = 0, np.uint64(indices.size - 1)
    for place in range(frontier.size):
        # Residuals lie all over the memory: nearly each read would wait for it without these prefetches.
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
            # No branches here: half of them would be mispredicted. An entry is always written, and the count
            # moves on only if it belongs.
            following[size] = neighbor
            size += (before <= residuals[neighbor, 1]) & (after > residuals[neighbor, 1])
            reached[count] = neighbor
            count += (before == 0.0) & (after > 0.0)
    return size, count


@njit(cache=True, nogil=True, error_model="numpy")
def _collect(scratch, count, target, numbers, rest, wanted, scores, nodes):
    """The best of the ``count`` nodes reached, by a first estimate; returns how many they are."""
    allowed, divisor = wanted
    residuals, settled, alpha = scratch.residuals, scratch.settled, numbers.alpha
    directed, divided = numbers.density < 0.0, divisor.size > 0
    density = rest * numbers.density
    size, worst = 0, np.float32(-1.0)
    for node in scratch.reached[:count]:
        residual, limit = residuals[node, 0], residuals[node, 1]
        if directed:
            value = settled[node] + alpha * residual + (1.0 - alpha) * rest * numbers.far[node]
        else:
            value = settled[node] + min(alpha * residual + (1.0 - alpha) * density * limit, limit)
        score = np.float32(value / divisor[node] if divided else value)
        # Most nodes end here. To call `offer` for each would take longer than the push.
        if score >= worst and value > PUSHED and allowed[node] and node != target:
            size = offer(scores, nodes, size, score, node)
            if size == scores.size:
                worst = scores[0]
    return size


@njit(cache=True, nogil=True)
def _estimate(into, scratch, node, numbers, rest):
    """The settled mass of ``node`` and an estimate of what the residuals would still bring to it.

    In an undirected graph this is limit * E[residual / limit] at the end of an alpha-walk from ``node``. The
    walk ends here with probability alpha, or else at a neighbor or further on; the far part is a mixture of
    the neighbors' mean and the mean of the whole graph. In a directed graph the walk goes backwards.
    """
    indptr, indices, weights = into
    residuals, alpha = scratch.residuals, numbers.alpha
    first, last = indptr[node], indptr[node + np.uint64(1)]
    # Of a hub's neighbors a regular choice is enough, and bounds the time.
    stride = max((last - first) // np.uint64(LOOKED_AT), np.uint64(1))
    sum_, strength = 0.0, 0.0
    for edge in range(first, last, stride):
        neighbor = indices[edge]
        weight = np.float64(weights[edge]) if weights.size > 0 else 1.0
        sum_ += weight * residuals[neighbor, 0] / residuals[neighbor, 1]
        strength += weight
    residual, limit, directed = residuals[node, 0], residuals[node, 1], numbers.density < 0.0
    near = (sum_ / strength if strength > 0.0 else 0.0) * numbers.reach[node]
    far = rest * (numbers.far[node] if directed else numbers.density * limit)
    later = (alpha + (1.0 - alpha) * numbers.far_share) * near
    later += (1.0 - alpha) * (1.0 - numbers.far_share) * far
    more = alpha * residual + (1.0 - alpha) * later
    return scratch.settled[node] + (more if directed else min(more, limit))
