"""PageRank over implied and stored edges by iteration, for graphs that `AffiliationSolver` cannot solve.

A step over all implied edges takes one pass over the values of all nodes. What a node gets from all others
with a value is the sum over its nodes, less the node's own share; so sums over values replace edges.
"""

from __future__ import annotations

from math import ceil, log, log1p

import numpy as np
from jaxtyping import Float64, Int64
from numba import njit

from graphcond.context import NeighborContext
from graphcond.errors import InputError
from graphcond.samplers.affiliation.graph import LARGEST, SMALLEST, AffiliationGraph
from graphcond.samplers.pagerank.power import chebyshev_steps, chebyshev_weights
from graphcond.samplers.pagerank.walk import RandomWalk
from graphcond.samplers.ranking import RankingConstraints, best_first
from graphcond.samplers.shared_work import in_parts

ROUNDING = 1e-15
"""A residual this small is rounding: float64 cannot make it smaller."""

TINY = 1e-300
"""Replaces a probability below 0, left by rounding or an early end, at a node that the walk does reach."""


class AffiliationIteration:
    """Solves p = (1 - alpha) P^T p + alpha e_target on implied edges, with stored edges added if given.

    P = D^-1 (A + edges E), A of `AffiliationGraph` and E the stored edges. For A z the z of each value's
    nodes are summed, and each node takes the sums of its values less its own part. Where no edge leaves a
    node, its mass returns to the target, as in `PowerIteration`. A target takes time in proportion to
    steps x (memberships + stored edges), and memory for a few numbers per node and per value.

    The sum of absolute errors over all nodes is at most ``tolerance``, within the precision of float64: it
    is at most sum |(1 - alpha) P^T p + alpha e_target - p| / alpha, and the iteration ends when this is small
    enough. Accelerated steps (`chebyshev_weights`) number at most
    acosh(sqrt(sum_i d_i / d_target) / tolerance) / acosh(1 / (1 - alpha)). Directed stored edges need plain
    ones, log(tolerance / 2) / log(1 - alpha) of them. Nodes with the same values and stored edges get the
    same bits.

    Args:
        implied: the implied edges.
        alpha: probability to return to the target, 0 < alpha < 1.
        tolerance: bound on the sum of absolute errors over all nodes.
        walk: the stored edges, if they are added.
        edges: factor for the weights of the stored edges: 0, or 1e-9 to 1e9.

    Raises:
        InputError: the stored edges are of other nodes, or their weight is out of range or not a number.
    """

    def __init__(
        self,
        implied: AffiliationGraph,
        *,
        alpha: float,
        tolerance: float = 1e-12,
        walk: RandomWalk | None = None,
        edges: float = 0.0,
    ) -> None:
        if walk is not None and len(walk) != len(implied):
            raise InputError(
                f"the stored edges have {len(walk)} nodes, but the implied edges have {len(implied)}",
                remedy="take both from one graph",
            )
        if edges != 0 and not SMALLEST <= edges <= LARGEST:
            raise InputError(
                f"the weight of stored edges is {edges:g}", remedy=f"use 0, or {SMALLEST:g} to {LARGEST:g}"
            )
        self._alpha, self._tolerance = alpha, tolerance
        self._lists = (
            implied.indptr.astype(np.uint64),
            implied.values.astype(f"u{implied.values.itemsize}"),
            implied.value_weights,
        )
        added = walk if walk is not None and edges else None
        self._stored = _NO_EDGES if added is None else added.arrays[:3]
        self._directed = added is not None and added.directed
        self._edges = edges
        self._strengths = implied.strengths + (0 if added is None else edges * added.strengths)
        self.incoming = implied.strengths + (0 if added is None else edges * added.incoming)
        """The sum of the weights of all edges that lead to a node."""

    def solve(self, target: int) -> Float64[np.ndarray, " nodes"]:
        """The probabilities of all nodes, which sum to 1."""
        # One step more than the bound asks for: the residual that is known after a step is that of its input.
        if self._directed:
            weights = np.ones(ceil(log(self._tolerance / 2) / log1p(-self._alpha)) + 1)
        else:
            spread = np.sqrt(self._strengths.sum() / (self._strengths[target] or np.inf)) or 1.0
            steps = chebyshev_steps(self._tolerance / spread, self._alpha) + 1
            weights = chebyshev_weights(self._alpha, steps)
        enough = max(self._tolerance * self._alpha, ROUNDING)
        return _iterate(
            self._lists, self._stored, self._edges, self._strengths, target, self._alpha, weights, enough
        )

    def rank(
        self, targets: Int64[np.ndarray, " b"], wanted: RankingConstraints, *, threads: int = 1
    ) -> NeighborContext:
        """The best nodes for each target, with their PageRank: see `AffiliationSolver.rank`."""
        answer = wanted.empty_answer(targets)

        def work(part: slice) -> None:
            for row in range(part.start, part.stop):
                values = self.solve(int(targets[row]))
                nodes = np.flatnonzero(wanted.allowed & (values > 0))
                nodes = nodes[nodes != targets[row]]
                scores = values[nodes] if wanted.divisor is None else values[nodes] / wanted.divisor[nodes]
                found = best_first(nodes, scores, wanted.count)
                answer.neighbors[row, : len(found.nodes)] = found.nodes
                answer.scores[row, : len(found.nodes)] = found.scores

        in_parts(work, len(targets), part=1, threads=threads)
        return answer


_NO_EDGES = (np.empty(0, np.uint64), np.empty(0, np.uint32), np.empty(0, np.float32))
for _array in _NO_EDGES:
    _array.flags.writeable = False


@njit(cache=True, nogil=True)
def _iterate(lists, stored, edges, strengths, target, alpha, weights, enough):
    now, along, rates = np.zeros(strengths.size), np.zeros(strengths.size), np.zeros(strengths.size)
    for node in range(np.uint64(strengths.size)):
        if strengths[node] > 0.0:
            rates[node] = (1.0 - alpha) / strengths[node]
    now[target] = 1.0
    before = now.copy()
    stuck = 1.0 if rates[target] == 0.0 else 0.0
    # Sum and weight of a value share a cache line, since they are read together.
    sums = np.column_stack((np.zeros(lists[2].size), lists[2]))
    for place in range(lists[0][target], lists[0][target + 1]):
        sums[lists[1][place], 0] = rates[target]
    following = sums.copy()
    for weight in weights:
        along[:] = 0.0
        if stored[0].size > 0:
            _along_edges(stored, edges, now, rates, along)
        along[target] += alpha + (1.0 - alpha) * stuck
        residual, stuck = _step(lists, rates, along, weight, before, now, sums, following)
        sums, following = following, sums
        if residual <= enough:
            break
    # The last residual is that of ``before``, so that is what has the precision asked for. A probability of 0
    # would say that the walk does not reach the node.
    for node in range(np.uint64(before.size)):
        if before[node] < 0.0:
            before[node] = TINY
    return before


@njit(cache=True, nogil=True)
def _along_edges(stored, edges, now, rates, along):
    indptr, indices, weights = stored
    for node in range(np.uint64(now.size)):
        share = edges * now[node] * rates[node]
        if share == 0.0:
            continue
        for edge in range(indptr[node], indptr[node + np.uint64(1)]):
            weight = weights[edge] if weights.size > 0 else np.float32(1.0)
            along[indices[edge]] += share * weight


@njit(cache=True, nogil=True)
def _step(lists, rates, along, weight, before, now, sums, following):
    """One step in one pass: each node reads the sums of its values, and adds to the ``following`` sums.

    Returns: the sum of absolute residuals of ``now``, and the mass on nodes without edges.
    """
    indptr, values, _ = lists
    following[:, 0] = 0.0
    residual, stuck = 0.0, 0.0
    for node in range(np.uint64(now.size)):
        first, last = indptr[node], indptr[node + np.uint64(1)]
        share, then = now[node] * rates[node], along[node]
        for place in range(first, last):
            then += sums[values[place], 1] * (sums[values[place], 0] - share)
        residual += abs(then - now[node])
        then = before[node] + weight * (then - before[node])
        before[node], now[node] = now[node], then
        share = then * rates[node]
        for place in range(first, last):
            following[values[place], 0] += share
        if rates[node] == 0.0:
            stuck += then
    return residual, stuck
