from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from graphcond.samplers.pagerank import kernels as lanes
from graphcond.samplers.pagerank.kernels import relax, relax_weighted


@njit
def every_row(indptr, indices, weights, now, then, scales, keep):  # type: ignore[no-untyped-def]
    for row in range(np.uint64(scales.size)):
        first, last = indptr[row], indptr[row + np.uint64(1)]
        if weights.size > 0:
            relax_weighted(indices, weights, now, then, first, last, row, scales[row], keep)
        else:
            relax(indices, weights, now, then, first, last, row, scales[row], keep)


@pytest.mark.parametrize("index", [np.uint32, np.uint64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adds_up_the_rows_of_a_node_in_every_lane(
    dtype: type[np.floating], weighted: bool, index: type[np.unsignedinteger]
) -> None:
    draws, nodes = np.random.default_rng(0), 40
    indptr = np.concatenate([[0], np.cumsum(draws.integers(0, 5, nodes))]).astype(np.uint64)
    indices = draws.integers(0, nodes, int(indptr[-1])).astype(index)
    weights = draws.random(len(indices) if weighted else 0).astype(np.float32)
    now, then = lanes.zeros(nodes, dtype), lanes.zeros(nodes, dtype)
    now[:], then[:] = draws.random(now.shape), draws.random(then.shape)
    before, scales = then.copy(), draws.random(nodes).astype(dtype)
    every_row(indptr, indices, weights, now, then, scales, dtype(0.25))
    for row in range(nodes):
        edges = slice(int(indptr[row]), int(indptr[row + 1]))
        terms = now[indices[edges]] * (weights[edges][:, None] if weighted else 1)
        expected = scales[row] * terms.sum(0, dtype=np.float64) + 0.25 * before[row]
        np.testing.assert_allclose(then[row], expected, rtol=1e-5)


@pytest.mark.parametrize(("dtype", "width"), [(np.float32, 16), (np.float64, 8)])
def test_vectors_start_at_cache_lines(dtype: type[np.floating], width: int) -> None:
    for rows in (1, 77):
        array = lanes.zeros(rows, dtype)
        assert array.shape == (rows, width)
        assert not array.any()
        assert array.ctypes.data % lanes.BYTES == 0
