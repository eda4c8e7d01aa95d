"""Personalized PageRank over implied edges without iterating: one small inverse answers every target.

Nodes that share a value are all linked with each other, so a value of 10,000 nodes implies 50 million edges.
The system is therefore solved for one unknown per *value* instead of one per node, and no edge is formed.

With y = D^-1 p, c = 1 - alpha and A = B W B^T - S (`AffiliationGraph`; S the weight of a node's own values),
p = c P^T p + alpha e_t reads (D + c S) y = c B W B^T y + alpha e_t. In x = W B^T y, one sum for each value,

    (W^-1 - c M) x = alpha r_t b_t,    y = r (c B x + alpha e_t),    r = 1 / (D + c S),    M = B^T r B,

b_t the target's values. Two values meet if some node has both; then their entry in M is not 0. Values of one
kind rarely meet (a painting has one artist). So values that do not meet each other are eliminated one by one,
and the others, the core (genres, years), remain as a dense matrix whose inverse is kept: block elimination,
as in Golub and Van Loan, Matrix Computations, section 4.2.

W^-1 - c M is a symmetric M-matrix. Eliminating it without pivoting only adds numbers of one sign off its
diagonal (Berman and Plemmons, Nonnegative Matrices in the Mathematical Sciences, chapter 6), so all results
are >= 0, and > 0 at all nodes that the walk reaches. Scaled by the roots of W its eigenvalues lie between
alpha / (1 + c) and 1 (A <= D, and D >= S where every value links): rounding is multiplied by 2 / alpha at
most.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, Integer
from numba import njit

from graphcond.samplers.affiliation.graph import AffiliationGraph, Profiles

CORE = 3072
"""Largest core, in values. Its inverse takes 72 MiB (288 at first) and some ten seconds."""

PAIRS = 8
"""Largest number of pairs of values that nodes have together, per membership."""

TILE = 128
"""Side of the square tiles in which matrices are multiplied."""


class Links(NamedTuple):
    """The pairs of values that meet, and their entries in M; each pair is stored from both sides."""

    indptr: Integer[np.ndarray, " values_plus_1"]
    others: Integer[np.ndarray, " links"]
    entries: Float64[np.ndarray, " links"]


class Solution(NamedTuple):
    """The arrays that compiled code reads to solve for one target; see the module."""

    place: Int64[np.ndarray, " values"]
    """The position of each value in the core; -1 if it is eliminated."""
    inverse: Float64[np.ndarray, "core core"]
    links: Links
    """For each eliminated value: the positions in the core on which its x depends, and the factors."""
    pivots: Float64[np.ndarray, " values"]
    """For each eliminated value: 1 / (1 / w - c M_vv)."""


def eliminate(implied: AffiliationGraph, profiles: Profiles, alpha: float) -> Solution | None:
    """Prepare to solve on a graph; None if too many values meet, so that iterating is cheaper."""
    lengths = profiles.lengths
    if (lengths * (lengths - 1) // 2).sum() > PAIRS * max(len(implied.values), 1):
        return None
    spread = profiles.counts * profiles.rates(alpha)
    values = len(implied.kinds)
    links = _link(profiles, spread, values)
    # Any set without which no two values meet will do as the core; the smallest is hard to find. Greedily the
    # kind with most values stays out first, and within a kind the values that meet fewest others.
    core = _touched(links, np.lexsort((np.diff(links.indptr), -np.bincount(implied.kinds)[implied.kinds])))
    if core.sum() > CORE:
        return None
    owners = np.repeat(np.arange(len(profiles)), lengths)
    own = np.bincount(profiles.lists[1].astype(np.int64), spread[owners], values).astype(np.float64)
    weights = np.where(own > 0, implied.value_weights, 1.0)
    pivots = 1 / (1 / weights - (1 - alpha) * own)
    place = np.where(core, np.cumsum(core) - 1, -1)
    dense, (indptr, columns, parts) = _condense(links, place, pivots, int(core.sum()), 1 - alpha)
    inner = Links(indptr.astype(np.uint64), columns.astype(np.uint32), parts)
    return Solution(place, _inverse(dense), inner, pivots)


def _link(profiles: Profiles, spread: Float64[np.ndarray, " profiles"], values: int) -> Links:
    """The entries of M off its diagonal: what each profile contributes, summed over profiles."""
    left, right, entries = _pairs(profiles.lists, spread)
    keys, which = np.unique(left * values + right, return_inverse=True)
    entries = np.bincount(which, entries, len(keys)).astype(np.float64)
    rows = np.concatenate((keys // values, keys % values))
    order = np.argsort(rows, kind="stable")
    indptr = np.searchsorted(rows[order], np.arange(values + 1))
    others = np.concatenate((keys % values, keys // values))[order]
    return Links(indptr, others, np.concatenate((entries, entries))[order])


@njit(cache=True)
def _pairs(lists, spread):
    """Every two values of a profile, the lower first, and the profile's contribution to their entry in M."""
    indptr, values = lists
    count = 0
    for profile in range(np.uint64(spread.size)):
        length = indptr[profile + np.uint64(1)] - indptr[profile]
        count += length * (length - np.uint64(1)) // np.uint64(2)
    left, right, entries = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count)
    met = 0
    for profile in range(np.uint64(spread.size)):
        for first in range(indptr[profile], indptr[profile + np.uint64(1)]):
            for second in range(first + np.uint64(1), indptr[profile + np.uint64(1)]):
                left[met], right[met], entries[met] = values[first], values[second], spread[profile]
                met += 1
    return left, right, entries


@njit(cache=True)
def _touched(links, order):
    """True for values in the core: in this order, a value outside it moves all that it meets into it."""
    indptr, others, _ = links
    core = np.zeros(order.size, np.bool_)
    for value in order:
        if not core[value]:
            for place in range(indptr[value], indptr[value + 1]):
                core[others[place]] = True
    return core


@njit(cache=True)
def _condense(links, place, pivots, size, kept):
    """The core's matrix once the other values are eliminated (a Schur complement), and their links to it.

    Eliminated values do not meet each other, so each is eliminated by itself: it changes the core's entries
    for all pairs of core values that it meets, and no other eliminated value.
    """
    indptr, others, entries = links
    dense = np.zeros((size, size))
    starts = np.zeros_like(indptr)
    columns, parts = np.empty_like(others), np.empty_like(entries)
    met = 0
    for value in range(place.size):
        row, first = place[value], met
        if row >= 0:
            dense[row, row] += 1.0 / pivots[value]
        for link in range(indptr[value], indptr[value + 1]):
            column = place[others[link]]
            if row < 0:
                columns[met], parts[met] = column, kept * entries[link] * pivots[value]
                met += 1
            elif column >= 0:
                dense[row, column] -= kept * entries[link]
        for one in range(first, met):
            for other in range(first, met):
                dense[columns[one], columns[other]] -= parts[one] / pivots[value] * parts[other]
        starts[value + 1] = met
    return dense, Links(starts, columns[:met].copy(), parts[:met].copy())


def _inverse(matrix: Float64[np.ndarray, "n n"]) -> Float64[np.ndarray, "n n"]:
    """The inverse of a symmetric positive definite matrix, by block elimination of one half at a time.

    On an M-matrix this only adds numbers of one sign, so no entry comes out negative. LAPACK's inverse can
    round small entries below 0, and a node out of reach would then seem to be reached.
    """
    size = len(matrix)
    if size <= 1:
        return 1 / matrix
    half = size // 2
    left, lower = _inverse(matrix[:half, :half]), matrix[half:, :half]
    across = _product(lower, left)
    right = _inverse(matrix[half:, half:] - _product(across, lower.T))
    corner = _product(right, across)
    return np.block([[left + _product(across.T, corner), -corner.T], [-corner, right]])


def _product(
    left: Float64[np.ndarray, "n k"], right: Float64[np.ndarray, "k m"]
) -> Float64[np.ndarray, "n m"]:
    """``left @ right``, with the same bits on every machine: BLAS's depend on its number of threads."""
    return _multiply(np.ascontiguousarray(left), np.ascontiguousarray(right))


@njit(cache=True, nogil=True)
def _multiply(left, right):
    product = np.zeros((left.shape[0], right.shape[1]))
    # A tile of ``right`` stays in the cache while all rows of ``left`` pass over it.
    for above in range(0, right.shape[0], TILE):
        for before in range(0, right.shape[1], TILE):
            columns = slice(before, min(before + TILE, right.shape[1]))
            for row in range(left.shape[0]):
                sums = product[row, columns]
                for inner in range(above, min(above + TILE, right.shape[0])):
                    factor, terms = left[row, inner], right[inner, columns]
                    for place in range(sums.size):
                        sums[place] += factor * terms[place]
    return product
