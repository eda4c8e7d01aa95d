"""Edges that weigh more or less by their type."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.attributed_graph import AttributedGraph
from graphcond.errors import InputError
from graphcond.samplers.edge_types import with_edge_type_weights
from tests.samplers.toy_graphs import arrays_of, toy_graph, toy_graphs

GRAPH = toy_graph(4, [(0, 1), (1, 2), (2, 3)], types=["cites", "noise", "cites"])


def edges_of(graph: AttributedGraph) -> dict[tuple[int, int], float]:
    """The weight of every edge."""
    weights = np.ones(len(graph.indices)) if graph.weights is None else graph.weights
    rows = np.repeat(np.arange(len(graph)), graph.degrees)
    return {
        (row, column): weight
        for row, column, weight in zip(rows.tolist(), graph.indices.tolist(), weights.tolist(), strict=True)
    }


@settings(max_examples=80, deadline=None)
@given(
    graph=toy_graphs(typed=True),
    factors=st.dictionaries(st.sampled_from("abc"), st.sampled_from([0.0, 0.5, 1.0, 4.0])),
)
def test_every_edge_weighs_what_its_type_says(graph: AttributedGraph, factors: dict[str, float]) -> None:
    factors = {name: factor for name, factor in factors.items() if name in graph.edge_type_names}
    before = {name: array.copy() for name, array in arrays_of(graph).items()}
    assert graph.edge_types is not None
    types = dict(zip(edges_of(graph), graph.edge_types.tolist(), strict=True))
    wanted = {
        edge: weight * factors.get(graph.edge_type_names[types[edge]], 1)
        for edge, weight in edges_of(graph).items()
    }
    found = with_edge_type_weights(graph, factors)
    assert edges_of(found) == {edge: weight for edge, weight in wanted.items() if weight}
    assert found.indptr.dtype == np.int64
    assert found.edge_types is not None
    assert [types[edge] for edge in edges_of(found)] == found.edge_types.tolist()
    for name, array in before.items():
        np.testing.assert_array_equal(getattr(graph, name), array)


def test_an_unweighted_graph_stays_so_where_it_can() -> None:
    assert with_edge_type_weights(GRAPH, {}) is GRAPH
    assert with_edge_type_weights(GRAPH, {"noise": 1}) is GRAPH
    assert with_edge_type_weights(GRAPH, {"noise": 0}).weights is None
    assert with_edge_type_weights(GRAPH, {"noise": 0.5}).weights is not None
    assert not len(with_edge_type_weights(GRAPH, {"noise": 0, "cites": 0}).indices)


@pytest.mark.parametrize(
    ("graph", "weights", "message"),
    [
        (GRAPH, {"niose": 0}, "edge_type_weights: the graph has no edge type 'niose'. Did you mean 'noise'"),
        (GRAPH, {"noise": -1}, "edge_type_weights: the weight of 'noise' is -1"),
        (GRAPH, {"noise": float("nan")}, "edge_type_weights: the weight of 'noise' is nan"),
        (GRAPH, {"noise": float("inf")}, "edge_type_weights: the weight of 'noise' is inf"),
        (toy_graph(2, [(0, 1)]), {"noise": 0}, "edge_type_weights: the edges of the graph have no types"),
    ],
)
def test_bad_weights_are_named(graph: AttributedGraph, weights: dict[str, float], message: str) -> None:
    with pytest.raises(InputError) as raised:
        with_edge_type_weights(graph, weights)
    assert str(raised.value).startswith(message)
