from __future__ import annotations

import numpy as np
import pytest

from graphcond.attributed_graph import EdgeList
from graphcond.errors import InputError
from graphcond.graphs.building.in_memory import Arcs, arcs_of, check_count, index_dtype


@pytest.mark.parametrize("largest", [2**31, 2**32 - 1])
def test_rows_beyond_int32(largest: int) -> None:
    edges = EdgeList(np.array([largest, 0]), np.array([0, largest]))
    arcs = arcs_of(edges, None, directed=True).sorted().merged()
    assert arcs.columns(largest + 1).dtype == np.int64
    assert arcs.columns(largest + 1).tolist() == [largest, 0]
    assert Arcs(arcs.keys[1:]).degrees(largest, largest + 1).tolist() == [1]


def test_indices_are_small_where_they_can() -> None:
    assert (index_dtype(2**31 - 1), index_dtype(2**31)) == (np.int32, np.int64)


def test_more_nodes_than_keys_hold() -> None:
    check_count(2**32)
    with pytest.raises(InputError, match="more than 4294967296 nodes"):
        check_count(2**32 + 1)
