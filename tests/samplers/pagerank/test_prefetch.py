from __future__ import annotations

import numpy as np
from numba import njit

from graphcond.samplers.pagerank.kernels import prefetch


@njit
def read_ahead(array, places):  # type: ignore[no-untyped-def]
    sum_ = 0.0
    for step in range(places.size):
        prefetch(array, np.uint64(places[min(step + 2, places.size - 1)]))
        sum_ += array[places[step]]
    return sum_


def test_changes_nothing_and_does_not_mind_what_is_out_of_bounds() -> None:
    array = np.arange(1000.0)
    array.flags.writeable = False
    places = np.random.default_rng(0).integers(0, 1000, 50)
    assert read_ahead(array, places) == array[places].sum()

    @njit
    def beyond(array):  # type: ignore[no-untyped-def]
        prefetch(array, np.uint64(2**40))
        return array[0]

    assert beyond(array) == 0
