"""Exact personalized PageRank over implied edges, in one pass for each target."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64
from numba import njit

from graphcond.context import NeighborContext
from graphcond.samplers.affiliation.elimination import Solution, eliminate
from graphcond.samplers.affiliation.graph import AffiliationGraph, Profiles
from graphcond.samplers.pagerank.kernels import best_to_worst, offer
from graphcond.samplers.ranking import RankingConstraints
from graphcond.samplers.shared_work import in_parts

TARGETS_AT_ONCE = 32
"""Number of targets that a thread takes at a time."""


class AffiliationSolver:
    """Solves p = (1 - alpha) P^T p + alpha e_target on implied edges exactly, without iterating.

    The only error is rounding: its sum over all nodes was below 1e-13 / alpha on all graphs tried. Nodes with
    the same values get the same bits, and nodes that the walk does not reach get 0. A target without edges
    keeps all probability. `graphcond.samplers.affiliation.elimination` explains the method, and why it is
    stable.

    A target takes time in proportion to the values of all profiles and to the pairs of values that meet.
    Memory holds both, and the inverse of the core.
    """

    def __init__(self, profiles: Profiles, solution: Solution, alpha: float) -> None:
        self._profiles, self._solution, self._alpha = profiles, solution, alpha
        self._rates = profiles.rates(alpha)
        self._scales = self._rates * profiles.strengths
        self.incoming: Float64[np.ndarray, " nodes"] = profiles.strengths[profiles.of_node]
        """The sum of the weights of all edges that lead to a node."""

    @classmethod
    def on(cls, implied: AffiliationGraph, *, alpha: float) -> AffiliationSolver | None:
        """The solver on a graph; None if too many values meet, so that iterating is cheaper.

        Args:
            implied: the implied edges.
            alpha: probability to return to the target, 0 < alpha < 1.
        """
        profiles = Profiles.of(implied)
        solution = eliminate(implied, profiles, alpha)
        return None if solution is None else cls(profiles, solution, alpha)

    def solve(self, target: int) -> Float64[np.ndarray, " nodes"]:
        """The probabilities of all nodes, which sum to 1."""
        profiles, own = self._profiles, self._profiles.of_node[target]
        if self._rates[own] == 0:
            return np.eye(1, len(profiles.of_node), target)[0]
        start = self._alpha * self._rates[own]
        gifts = _gifts(self._solution, profiles.lists, own, start, 1 - self._alpha)
        found: np.ndarray = (self._scales * _taken(profiles.lists, gifts))[profiles.of_node]
        found[target] += start * profiles.strengths[own]
        return found

    def rank(
        self, targets: Int64[np.ndarray, " b"], wanted: RankingConstraints, *, threads: int = 1
    ) -> NeighborContext:
        """The best nodes for each target, with their PageRank; nodes out of reach are left out.

        Args:
            targets: rows to return to; they must exist.
            wanted: which nodes may be returned, and how many; nodes with the same values must have the same
                divisor.
            threads: number of threads; the answer does not depend on it.
        """
        answer = wanted.empty_answer(targets)
        nodes = self._profiles.of_node, self._profiles.starts, self._profiles.rows

        def work(part: slice) -> None:
            _rank(
                self._solution,
                self._profiles.lists,
                nodes,
                (self._rates, self._scales, self._alpha),
                wanted.arrays,
                answer.targets[part],
                (answer.neighbors[part], answer.scores[part]),
            )

        in_parts(work, len(targets), part=TARGETS_AT_ONCE, threads=threads)
        return answer


@njit(cache=True, nogil=True)
def _gifts(solution, lists, profile, start, kept):
    """The unknowns c x: what each value gives to a node that has it, divided by the node's r.

    ``profile`` is the target's, ``start`` is alpha r_t, and ``kept`` is c. The right side is 0 except at the
    target's values, so solving takes a few rows of the inverse instead of a product with all of it. First
    each of those values adds its rows to the core; then the core's results give those of eliminated values.
    """
    place, inverse, links, pivots = solution
    indptr, columns, parts = links
    core, gifts = np.zeros(inverse.shape[0]), np.zeros(place.size)
    for held in range(lists[0][profile], lists[0][profile + 1]):
        value = lists[1][held]
        if place[value] >= 0:
            _add(core, inverse[place[value]], start * kept)
            continue
        gifts[value] = start * kept * pivots[value]
        for link in range(indptr[value], indptr[np.uint64(value) + np.uint64(1)]):
            _add(core, inverse[columns[link]], start * kept * parts[link])
    for value in range(np.uint64(place.size)):
        if place[value] >= 0:
            gifts[value] = core[place[value]]
            continue
        gift = gifts[value]
        for link in range(indptr[value], indptr[value + np.uint64(1)]):
            gift += parts[link] * core[columns[link]]
        gifts[value] = gift
    return gifts


@njit(cache=True, nogil=True)
def _add(core, row, factor):
    for place in range(core.size):
        core[place] += factor * row[place]


@njit(cache=True, nogil=True)
def _taken(lists, gifts):
    """The sum of what the values of each profile give to a node that has them."""
    indptr, values = lists
    taken = np.zeros(indptr.size - 1)
    for profile in range(np.uint64(taken.size)):
        total = 0.0
        for held in range(indptr[profile], indptr[profile + np.uint64(1)]):
            total += gifts[values[held]]
        taken[profile] = total
    return taken


@njit(cache=True, nogil=True)
def _rank(solution, lists, nodes, numbers, wanted, targets, answers):
    """Fill the rows of ``answers``, neighbors and scores."""
    of_node, starts, rows = nodes
    rates, scales, alpha = numbers
    neighbors, scores = answers
    allowed, divisor = wanted
    for place in range(targets.size):
        target, best, found, size = targets[place], scores[place], neighbors[place], 0
        own = of_node[target]
        taken = _taken(lists, _gifts(solution, lists, own, alpha * rates[own], 1.0 - alpha))
        for profile in range(np.uint64(taken.size)):
            if taken[profile] == 0.0:
                continue
            value = taken[profile] * scales[profile]
            if divisor.size > 0:
                value /= divisor[rows[starts[profile]]]
            score = np.float32(value)
            # All nodes of a profile have one score, so most profiles are passed over as a whole.
            if size == found.size and score < best[0]:
                continue
            # Of equal scores the lower row wins, and rows ascend: after one that is too high all are.
            for member in range(starts[profile], starts[profile + np.uint64(1)]):
                node = rows[member]
                if size == found.size and score == best[0] and node > found[0]:
                    break
                if allowed[node] and node != target:
                    size = offer(best, found, size, score, node)
        best_to_worst(best, found, size)
