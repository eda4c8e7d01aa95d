from __future__ import annotations

import pickle

import pyarrow as pa
import pytest

from graphcond.graphs.columns import ArrowColumn, first_repeat, from_arrow, to_arrow


def test_a_column_is_a_sequence() -> None:
    column = from_arrow(pa.array(["a", None, "c"], pa.large_string()))
    assert (len(column), column[0], column[1], column[-1]) == (3, "a", None, "c")
    assert list(column) == ["a", None, "c"]
    assert list(column[1:]) == [None, "c"]
    assert column == ["a", None, "c"]
    assert column != ["a", None]
    assert "c" in column
    with pytest.raises(IndexError):
        column[3]


def test_pieces_become_one_column() -> None:
    assert from_arrow(pa.chunked_array([["a"], ["b", "c"]])) == ["a", "b", "c"]
    assert from_arrow(pa.chunked_array([], pa.large_string())) == []


def test_columns_are_not_copied() -> None:
    array = pa.array(["a", "b"], pa.large_string())
    assert to_arrow(ArrowColumn(array)).buffers()[2].address == array.buffers()[2].address
    assert from_arrow(pa.chunked_array([array])).array.buffers()[2].address == array.buffers()[2].address


def test_a_column_survives_pickling() -> None:
    column = from_arrow(pa.array(["a", None]))
    assert pickle.loads(pickle.dumps(column)) == column


@pytest.mark.parametrize(("ids", "row"), [([], None), (["a", "b"], None), (["a", "b", "a", "b"], 2)])
def test_first_repeat(ids: list[str], row: int | None) -> None:
    assert first_repeat(to_arrow(ids)) == row
