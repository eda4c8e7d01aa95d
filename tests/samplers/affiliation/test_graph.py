from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from graphcond.attributed_graph import NodeTable
from graphcond.errors import InputError
from graphcond.samplers import AffiliationGraph


def table(**attributes: Sequence[str]) -> NodeTable:
    nodes = max(map(len, attributes.values()), default=1)
    rows = [str(row) for row in range(nodes)]
    return NodeTable(rows, rows, [None] * nodes, attributes=attributes)


ART = table(artist=["kira", "", "kira|olo", "olo | kira|olo"], year=["1", "1", "2", "1"])


def lists(graph: AffiliationGraph) -> list[list[int]]:
    return [part.tolist() for part in np.split(graph.values, graph.indptr[1:-1])]


def test_cells_hold_values_by_kind() -> None:
    graph = AffiliationGraph.from_nodes(ART, {"artist": 1.0, "year": 0.5})
    assert lists(graph) == [[0, 2], [2], [0, 1, 3], [0, 1, 2]]
    assert graph.kinds.tolist() == [0, 0, 1, 1]
    assert graph.sizes.tolist() == [3, 2, 3, 1]
    assert len(graph) == 4


def test_strengths_and_edges_are_those_of_the_cliques() -> None:
    graph = AffiliationGraph.from_nodes(ART, {"artist": 1.0, "year": 0.5})
    assert graph.implied_edges == 3 + 1 + 3
    assert graph.strengths.tolist() == [2 + 1, 1, 2 + 1, 2 + 1 + 1]


def test_another_separator() -> None:
    graph = AffiliationGraph.from_nodes(table(tag=["a; b", "b", "a|b"]), {"tag": 1.0}, separator=";")
    assert lists(graph) == [[0, 1], [1], [2]]


def test_the_same_word_in_two_columns_is_two_values() -> None:
    graph = AffiliationGraph.from_nodes(table(artist=["x", ""], title=["", "x"]), {"artist": 1, "title": 1})
    assert graph.implied_edges == 0


def test_a_lone_node_is_a_graph_without_edges() -> None:
    graph = AffiliationGraph.from_nodes(table(artist=["kira"]), {"artist": 1.0})
    assert graph.strengths.tolist() == [0]
    assert graph.implied_edges == 0


def test_an_unknown_column_is_named_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no attribute 'artits'.*[Dd]id you mean 'artist'"):
        AffiliationGraph.from_nodes(ART, {"artits": 1.0})


def test_no_column_lists_what_there_is() -> None:
    with pytest.raises(InputError, match=r"no attribute is named.*artist, year"):
        AffiliationGraph.from_nodes(ART, {})
    with pytest.raises(InputError, match="nodes have no attributes"):
        AffiliationGraph.from_nodes(table(), {"artist": 1.0})


@pytest.mark.parametrize("weight", [math.nan, math.inf, -1.0, 1e-300, 1e10])
def test_a_weight_that_is_none_is_refused(weight: float) -> None:
    with pytest.raises(InputError, match="the weight of 'year' is"):
        AffiliationGraph.from_nodes(ART, {"artist": 1.0, "year": weight})


@pytest.mark.parametrize("cells", [["", " "], ["|", ""], []])
def test_a_column_without_values_is_refused(cells: list[str]) -> None:
    with pytest.raises(InputError, match="'genre' has no values"):
        AffiliationGraph.from_nodes(table(genre=cells), {"genre": 1.0})


def test_a_column_of_another_length_is_refused() -> None:
    nodes = NodeTable(["a", "b"], ["", ""], [None, None], attributes={"year": ["1"]})
    with pytest.raises(InputError, match="1 cells for 2 nodes"):
        AffiliationGraph.from_nodes(nodes, {"year": 1.0})


def test_an_empty_separator_is_refused() -> None:
    with pytest.raises(InputError, match="separator"):
        AffiliationGraph.from_nodes(ART, {"artist": 1.0}, separator="")


@pytest.mark.parametrize(
    ("indptr", "values", "kinds"),
    [
        ([], [], []),
        ([0, 1], [0, 0], [0]),
        ([1, 2], [0, 0], [0]),
        ([0, 2, 1, 2], [0, 1], [0, 0]),
        ([0, 2], [0, 0], [0]),
        ([0, 2], [1, 0], [0, 0]),
        ([0, 1], [1], [0]),
        ([0, 1], [-1], [0]),
        ([0, 1], [0], [1]),
        ([0, 5], [0], [0]),
    ],
)
def test_lists_that_do_not_fit_are_refused(indptr: list[int], values: list[int], kinds: list[int]) -> None:
    with pytest.raises(InputError, match="do not fit"):
        AffiliationGraph(
            np.array(indptr, np.int64), np.array(values, int), np.array(kinds, int), {"artist": 1.0}
        )
