"""Exact personalized PageRank over implied edges: a step costs a few sums per node, whatever the edges."""

from __future__ import annotations

from math import ceil, log, log1p

import numpy as np
from jaxtyping import Float64
from numba import njit

from graphcond.errors import InputError
from graphcond.samplers.affiliation import LARGEST, SMALLEST, AffiliationGraph
from graphcond.samplers.power import ROUNDING, PowerIteration
from graphcond.samplers.walk import RandomWalk


class AffiliationPowerIteration(PowerIteration):
    """Solves p = (1 - alpha) P^T p + alpha e_target on implied edges, perhaps with stored ones added.

    P = D^-1 (A + edges E), A of `AffiliationGraph` and E the stored edges. For A z the z of each value's
    nodes are summed, and each node takes the sums of its values less its own part. Where no edge leaves a
    node, its mass returns to the target, as in `PowerIteration`. A target takes time in proportion to
    steps x (memberships + stored edges), and memory for a few numbers per node and per value.

    The sum of absolute errors over all nodes is at most ``tolerance`` (as far as float64 can keep it): it
    is at most 2 (1 - alpha)^n after n steps, and at most the last change / alpha. Nodes with the same values
    and stored edges get the same bits.

    Args:
        implied: the implied edges.
        alpha: probability to return to the target, 0 < alpha < 1.
        tolerance: bound on the sum of absolute errors over all nodes.
        walk: the stored edges, if they are added.
        edges: multiplies the weights of the stored edges: 0, or 1e-9 to 1e9.

    Raises:
        InputError: the stored edges are of other nodes, or their weight is out of range or no number.
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
                f"stored edges of {len(walk)} nodes cannot be added to {len(implied)}",
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
        self._edges = edges
        self._strengths = implied.strengths + (0 if added is None else edges * added.strengths)
        self.incoming = implied.strengths + (0 if added is None else edges * added.incoming)
        """The weights of all edges that lead to a node, summed."""

    def solve(self, target: int) -> Float64[np.ndarray, " nodes"]:
        """The probabilities of all nodes, which sum to 1."""
        steps = ceil(log(self._tolerance / 2) / log1p(-self._alpha))
        enough = max(self._tolerance * self._alpha, ROUNDING)
        return _iterate(
            self._lists, self._stored, self._edges, self._strengths, target, self._alpha, steps, enough
        )


_NO_EDGES = (np.empty(0, np.uint64), np.empty(0, np.uint32), np.empty(0, np.float32))
for _array in _NO_EDGES:
    _array.flags.writeable = False


@njit(cache=True)
def _iterate(lists, stored, edges, strengths, target, alpha, steps, enough):  # type: ignore[no-untyped-def]
    now, along, rates = np.zeros(strengths.size), np.zeros(strengths.size), np.zeros(strengths.size)
    for node in range(np.uint64(strengths.size)):
        if strengths[node] > 0.0:
            rates[node] = (1.0 - alpha) / strengths[node]
    now[target] = 1.0
    stuck = 1.0 if rates[target] == 0.0 else 0.0
    # Sum and weight of a value lie side by side, since they are read together.
    sums = np.column_stack((np.zeros(lists[2].size), lists[2]))
    for place in range(lists[0][target], lists[0][target + 1]):
        sums[lists[1][place], 0] = rates[target]
    following = sums.copy()
    for _ in range(steps):
        along[:] = 0.0
        if stored[0].size > 0:
            _along_edges(stored, edges, now, rates, along)
        along[target] += alpha + (1.0 - alpha) * stuck
        change, stuck = _step(lists, rates, along, now, sums, following)
        sums, following = following, sums
        if change <= enough:
            break
    return now


@njit(cache=True)
def _along_edges(stored, edges, now, rates, along):  # type: ignore[no-untyped-def]
    indptr, indices, weights = stored
    for node in range(np.uint64(now.size)):
        share = edges * now[node] * rates[node]
        if share == 0.0:
            continue
        for edge in range(indptr[node], indptr[node + np.uint64(1)]):
            weight = weights[edge] if weights.size > 0 else np.float32(1.0)
            along[indices[edge]] += share * weight


@njit(cache=True)
def _step(lists, rates, along, now, sums, following):  # type: ignore[no-untyped-def]
    """One pass: each node reads its values' sums, and adds its new share to the following ones."""
    indptr, values, _ = lists
    following[:, 0] = 0.0
    change, stuck = 0.0, 0.0
    for node in range(np.uint64(now.size)):
        first, last = indptr[node], indptr[node + np.uint64(1)]
        share, then = now[node] * rates[node], along[node]
        for place in range(first, last):
            # A sum of shares >= 0 is never below one of them, rounded or not: this is never negative.
            then += sums[values[place], 1] * (sums[values[place], 0] - share)
        change += abs(then - now[node])
        now[node] = then
        share = then * rates[node]
        for place in range(first, last):
            following[values[place], 0] += share
        if rates[node] == 0.0:
            stuck += then
    return change, stuck
