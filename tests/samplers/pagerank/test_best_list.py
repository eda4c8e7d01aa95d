from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from graphcond.samplers.pagerank.kernels import best_to_worst, offer


@njit
def best(scores, nodes, count):  # type: ignore[no-untyped-def]
    kept_scores, kept, size = np.empty(count, np.float32), np.empty(count, np.int64), 0
    for place in range(nodes.size):
        size = offer(kept_scores, kept, size, scores[place], nodes[place])
    best_to_worst(kept_scores, kept, size)
    return kept_scores[:size], kept[:size]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=60), st.integers(0, 12), st.integers(0, 99))
def test_keeps_what_a_full_sort_would(values: list[int], count: int, order: int) -> None:
    scores = np.array(values, np.float32)
    nodes = np.random.default_rng(order).permutation(len(values))
    found_scores, found = best(scores[nodes], nodes, count)
    wanted = np.lexsort((np.arange(len(values)), -scores))[:count]
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(found_scores, scores[wanted])
