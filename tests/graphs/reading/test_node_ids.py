from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphcond.attributed_graph import ABSENT
from graphcond.graphs.reading.edge_file import NodeIds

IDS = st.one_of(
    st.integers(-3, 40).map(str),
    st.integers(0, 2**70).map(str),
    st.sampled_from(["007", "+7", "7 ", "7.0", "0x7", "", "a"]),
)


def text(ids: list[str]) -> pa.Array:
    return pa.array(ids, pa.large_string())


@given(st.lists(IDS, unique=True, max_size=12), st.lists(IDS, max_size=12))
def test_rows_are_places_in_the_list(known: list[str], asked: list[str]) -> None:
    expected = [known.index(one) if one in known else ABSENT for one in asked]
    assert NodeIds(text(known)).rows(text(asked)).tolist() == expected


@given(st.lists(st.lists(st.tuples(IDS, IDS), max_size=6), max_size=4))
def test_ids_are_added_row_by_row(batches: list[list[tuple[str, str]]]) -> None:
    ids, met = NodeIds(text([])), list[str]()
    for batch in batches:
        met = list(dict.fromkeys([*met, *(end for pair in batch for end in pair)]))
        rows = ids.met(text([a for a, _ in batch]), text([b for _, b in batch]))
        assert rows.tolist() == [[met.index(a), met.index(b)] for a, b in batch]
        assert ids.array.to_pylist() == met


@pytest.mark.parametrize(("ids", "by_number"), [(["3", "0", "1"], True), (["3", "0", "1000"], False)])
def test_numbers_close_together_are_looked_up_in_an_array(ids: list[str], by_number: bool) -> None:
    assert (NodeIds(text(ids))._places is not None) == by_number
