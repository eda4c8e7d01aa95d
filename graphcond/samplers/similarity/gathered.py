"""Arithmetic on stored embeddings, compiled by numba: float16 or float32 in the file, float32 in the sums.

A file of embeddings may be larger than memory. Only the rows that a batch needs are read, each once, and they
are not widened to float32 first, which would take twice the memory.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int64, Shaped
from numba import njit, types
from numba.extending import overload

from graphcond.attributed_graph import ABSENT, LazyRows
from graphcond.errors import InputError
from graphcond.samplers.similarity.base import not_finite

IN_ANY_ORDER = {"reassoc", "contract"}
"""Lets the compiler sum in vector lanes. Infinity and NaN keep their meaning; equal rows give equal bits."""

SIGN_AND_REST = np.int32(-0x70002000)
"""The bits of a float32 that hold sign, exponent and fraction of a float16 after the shift."""

HALF_TO_SINGLE = np.float32(2.0**112)
"""The exponents' biases differ by 127 - 15."""


class Gathered(NamedTuple):
    """The rows of a matrix that a batch of targets is compared with, each held once.

    ``rows`` are float32, or float16 as the integers that hold their bits, since numba does not know float16.
    ``places`` holds the positions of each target's candidates in them, `ABSENT` where there is none.
    """

    rows: Shaped[np.ndarray, "n d"]
    places: Int64[np.ndarray, "b k"]

    @classmethod
    def of(cls, matrix: Float[np.ndarray, "nodes d"] | LazyRows, nodes: Int64[np.ndarray, "b k"]) -> Gathered:
        """Read the distinct ``nodes`` in ascending order, so that a memory map is read forward, once."""
        distinct, places = np.unique(nodes, return_inverse=True)
        absent = int(len(distinct) > 0 and distinct[0] == ABSENT)
        rows = np.asarray(matrix[distinct[absent:]])
        rows = rows.view(np.int16) if rows.dtype == np.float16 else rows.astype(np.float32, copy=False)
        return cls(rows, places.reshape(nodes.shape) - absent)

    def cosines(self, queries: Float32[np.ndarray, "b d"]) -> Float32[np.ndarray, "b k"]:
        """The cosine of each target's candidates with its query, a vector of length 1; 0 for zero vectors.

        The bits of a row's cosine depend neither on its position nor on the batch.

        Raises:
            InputError: a row is not finite, or queries and rows differ in width.
        """
        if queries.shape[1] != self.rows.shape[1]:
            raise InputError(
                f"a query is {queries.shape[1]} wide and the embeddings {self.rows.shape[1]}",
                remedy="compare vectors of one model",
            )
        scores = np.zeros(self.places.shape, np.float32)
        _cosines(self.rows, self.places, queries, scores)
        return _finite(scores)

    def weighted_sums(self, weights: Float32[np.ndarray, "b k"]) -> Float32[np.ndarray, "b d"]:
        """The sum of each target's candidates, each scaled to length 1 and then by its weight.

        Raises:
            InputError: a row is not finite.
        """
        sums = np.zeros((len(self.places), self.rows.shape[1]), np.float32)
        _weighted_sums(self.rows, self.places, weights, sums)
        return _finite(sums)


def _finite(numbers: Float32[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    if not np.isfinite(numbers).all():
        raise not_finite()
    return numbers


def _number(stored):
    """A stored number as float32; only for compiled code."""
    raise NotImplementedError


@overload(_number, inline="always")
def _number_of(stored):
    if not isinstance(stored, types.Integer):
        return lambda stored: stored

    def half(stored):
        # The float16 with these bits: shift them into place and correct the exponent by a product. A table
        # would be slower, and not every processor has an instruction. NaN and infinity become infinity.
        shifted = np.uint32((np.int32(stored) << np.int32(13)) & SIGN_AND_REST)
        number = shifted.view(np.float32) * HALF_TO_SINGLE
        return number if abs(number) < np.float32(65536.0) else np.float32(np.inf)

    return half


@njit(cache=True, nogil=True, fastmath=IN_ANY_ORDER)
def _cosines(rows, places, queries, scores):
    for target in range(places.shape[0]):
        query = queries[target]
        for candidate in range(places.shape[1]):
            if places[target, candidate] < 0:
                continue
            row = rows[np.uint64(places[target, candidate])]
            product, square = np.float32(0), np.float32(0)
            for column in range(np.uint64(row.size)):
                number = _number(row[column])
                product += number * query[column]
                square += number * number
            if not square < np.inf:
                scores[target, candidate] = np.nan
            elif square > 0:
                scores[target, candidate] = product / np.sqrt(square)


@njit(cache=True, nogil=True, fastmath=IN_ANY_ORDER)
def _weighted_sums(rows, places, weights, sums):
    unit = np.empty(rows.shape[1], np.float32)
    for target in range(places.shape[0]):
        for candidate in range(places.shape[1]):
            if places[target, candidate] >= 0:
                scale_to_one(rows[np.uint64(places[target, candidate])], unit)
                for column in range(unit.size):
                    sums[target, column] += weights[target, candidate] * unit[column]


@njit(cache=True, nogil=True, fastmath=IN_ANY_ORDER)
def scale_to_one(row, unit):
    """Write ``row``, scaled to length 1, into ``unit``; zero stays zero, not finite becomes NaN."""
    square = np.float32(0)
    for column in range(np.uint64(row.size)):
        unit[column] = _number(row[column])
        square += unit[column] * unit[column]
    length = np.sqrt(square) if square > 0 else np.float32(1)
    scale = np.float32(1) / length if square < np.inf else np.float32(np.nan)
    for column in range(unit.size):
        unit[column] *= scale
