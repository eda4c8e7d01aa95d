"""Maximal marginal relevance: choose neighbors that fit the target and differ from each other."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Int64
from numba import njit

from graphcond.attributed_graph import LazyRows
from graphcond.samplers.similarity.gathered import IN_ANY_ORDER, Gathered, scale_to_one


def marginally_relevant(
    keys: Float[np.ndarray, "nodes d"] | LazyRows,
    candidates: Int64[np.ndarray, "b k"],
    relevance: Float32[np.ndarray, "b k"],
    count: int,
    diversity: float,
) -> tuple[Int64[np.ndarray, "b c"], Float32[np.ndarray, "b c"]]:
    """Choose candidates one after another (maximal marginal relevance; Carbonell and Goldstein, SIGIR 1998).

    The first is the most relevant. Each further one has the highest

        (1 - diversity) * relevance - diversity * (the highest cosine with a chosen one)

    among those left; of equal ones the lower row comes first. That highest cosine is kept per candidate and
    updated after each choice, so a target takes ``count * k`` cosines and not ``count * count * k``.

    Args:
        keys: the embeddings of all nodes; those of candidates must be finite.
        candidates: the candidates of each target, as rows of ``keys``, padded with `ABSENT` at the end.
        relevance: how well each candidate fits its target.
        count: how many to choose at most; not more than there are columns.
        diversity: 0..1; at 0 the most relevant are chosen, at 1 those most unlike each other.

    Returns:
        The chosen candidates as columns of ``relevance``, in the order of choice, and the value of the
        formula for each (with a cosine of -1 while none is chosen), which never rises. Rows with fewer than
        ``count`` candidates end in -1, with 0.
    """
    chosen = np.full((len(relevance), count), -1, np.int64)
    scores = np.zeros((len(relevance), count), np.float32)
    _choose(*Gathered.of(keys, candidates), relevance, np.float32(diversity), chosen, scores)
    return chosen, scores


@njit(cache=True, nogil=True, fastmath=IN_ANY_ORDER)
def _choose(rows, places, relevance, diversity, chosen, scores):
    units = np.zeros((places.shape[1], rows.shape[1]), np.float32)
    values = np.empty(places.shape[1], np.float32)
    for target in range(places.shape[0]):
        left = places[target] >= 0
        for candidate in np.flatnonzero(left):
            scale_to_one(rows[np.uint64(places[target, candidate])], units[candidate])
        likeness = np.full(left.size, -1, np.float32)
        for step in range(min(chosen.shape[1], left.sum())):
            values[:] = (np.float32(1) - diversity) * relevance[target] - diversity * likeness
            # The candidate with the highest value of those left; of equal ones the one with the lower place.
            ranked, place = relevance[target] if step == 0 else values, places[target]
            best = np.int64(-1)
            for candidate in np.flatnonzero(left):
                ties = best >= 0 and ranked[candidate] == ranked[best] and place[candidate] < place[best]
                if best < 0 or ranked[candidate] > ranked[best] or ties:
                    best = candidate
            chosen[target, step], scores[target, step] = best, values[best]
            left[best] = False
            # Each candidate's likeness rises to its cosine with the one that was chosen.
            unit = units[best]
            for other in range(likeness.size):
                product = np.float32(0)
                for column in range(np.uint64(unit.size)):
                    product += units[other, column] * unit[column]
                likeness[other] = max(likeness[other], product)
