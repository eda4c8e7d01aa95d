from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graphcond.errors import InputError
from graphcond.graphs import build_graph, from_networkx, to_networkx
from tests.graphs.graphs import assert_same, edge_list, node_table, rich_graph

networkx = pytest.importorskip("networkx", reason="needs networkx")


def test_round_trip() -> None:
    graph = rich_graph()
    made = to_networkx(graph)
    assert made.nodes["a"] == {
        "text": "A house",
        "image": "a.png",
        "split": "train",
        "type": "painting",
        "year": "1900",
        "attribute_text": "x",
    }
    assert made.edges["a", "b"] == {"weight": 1.5, "type": "style"}
    assert "image" not in made.nodes["b"]
    nodes = replace(
        graph.nodes, attributes={"year": ["1900", "", "1901", "1902"], "attribute_text": [*"xyzw"]}
    )
    assert_same(from_networkx(made), replace(graph, nodes=nodes, given=None))


@pytest.mark.parametrize("directed", [False, True])
def test_round_trip_of_plain_edges(directed: bool) -> None:
    graph = build_graph(node_table(4), edge_list([(0, 1), (1, 0), (2, 1)]), directed=directed)
    made = to_networkx(graph)
    assert made.is_directed() == directed
    assert_same(from_networkx(made), graph)


def test_nodes_of_any_kind() -> None:
    graph = networkx.karate_club_graph()
    ours = from_networkx(graph)
    assert list(ours.nodes.ids)[:3] == ["0", "1", "2"]
    assert ours.nodes.attributes["club"][33] == "Officer"
    assert len(ours.indices) == 2 * graph.number_of_edges()
    assert ours.degrees.tolist() == [graph.degree[node] for node in graph]
    assert ours.weights is not None
    assert ours.weights[0] == graph.edges[0, 1]["weight"]


def test_columns_of_other_names_and_vectors() -> None:
    graph = networkx.Graph()
    graph.add_node(7, asin="x", title="a", vector=np.ones(3))
    graph.add_node(8, asin="y")
    graph.add_edge(7, 8, w=2)
    ours = from_networkx(graph, {"id": "asin", "text": "title", "weight": "w"})
    assert (list(ours.nodes.ids), list(ours.nodes.texts)) == (["x", "y"], ["a", ""])
    assert "vector" not in ours.nodes.attributes
    assert ours.weights is not None
    assert ours.weights.tolist() == [2, 2]
    with pytest.raises(InputError, match="no column is called 'titel'"):
        from_networkx(graph, {"text": "titel"})


def test_parallel_edges_and_edges_without_weight() -> None:
    graph = networkx.MultiGraph()
    graph.add_edge("a", "b", weight=2, type="x")
    graph.add_edge("a", "b", type="y")
    graph.add_edge("b", "b")
    graph.add_edge("b", "c")
    ours = from_networkx(graph)
    assert ours.weights is not None
    assert ours.weights.tolist() == [3, 3, 1, 1]
    assert ours.edge_types is not None
    assert [ours.edge_type_names[number] for number in ours.edge_types] == ["x", "x", "", ""]


def test_an_empty_graph() -> None:
    assert len(from_networkx(networkx.Graph())) == 0


@pytest.mark.parametrize("weight", [-1, float("nan"), "heavy", None])
def test_bad_weights(weight: object) -> None:
    graph = networkx.Graph()
    graph.add_edge(0, 1, weight=weight)
    with pytest.raises(InputError, match="weight"):
        from_networkx(graph)


def test_nodes_that_look_alike() -> None:
    graph = networkx.Graph([(1, "1")])
    with pytest.raises(InputError, match="'1' occurs more than once"):
        from_networkx(graph)


def test_without_networkx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "networkx", None)
    with pytest.raises(InputError, match=r"networkx cannot be imported .* `pip install networkx`"):
        to_networkx(rich_graph())
