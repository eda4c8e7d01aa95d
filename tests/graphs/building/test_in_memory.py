from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from graphcond.attributed_graph import AttributedGraph, EdgeList, NodeTable
from graphcond.errors import InputError
from graphcond.graphs import build_graph
from tests.graphs.graphs import edge_list, edge_pairs, node_table


def rows(graph: AttributedGraph) -> list[list[int]]:
    return [graph.neighbors(node).tolist() for node in range(len(graph))]


def dense(graph: AttributedGraph, values: np.ndarray | None = None) -> np.ndarray:
    data = np.ones(len(graph.indices)) if values is None else values
    return scipy.sparse.csr_matrix((data, graph.indices, graph.indptr), (len(graph), len(graph))).toarray()


@given(edge_pairs(), st.booleans())
def test_rows_are_those_of_networkx(drawn: tuple[int, list[tuple[int, int]]], directed: bool) -> None:
    count, pairs = drawn
    reference = nx.DiGraph() if directed else nx.Graph()
    reference.add_nodes_from(range(count))
    reference.add_edges_from((a, b) for a, b in pairs if a != b)
    graph = build_graph(node_table(count), edge_list(pairs), directed=directed)
    assert rows(graph) == [sorted(reference.adj[node]) for node in range(count)]
    assert graph.indices.dtype == np.int32
    assert graph.indptr.dtype == np.int64
    assert graph.weights is None


@given(edge_pairs(), st.booleans(), st.data())
def test_weights_of_repeats_are_summed(
    drawn: tuple[int, list[tuple[int, int]]], directed: bool, data: st.DataObject
) -> None:
    count, pairs = drawn
    weights = data.draw(st.lists(st.integers(0, 8), min_size=len(pairs), max_size=len(pairs)))
    expected = np.zeros((count, count))
    for (a, b), weight in zip(pairs, weights, strict=True):
        if a != b:
            expected[a, b] += weight
            expected[b, a] += 0 if directed else weight
    edges = edge_list(pairs, weights=np.array(weights, np.float32))
    graph = build_graph(node_table(count), edges, directed=directed)
    assert graph.weights is not None
    assert graph.weights.dtype == np.float32
    np.testing.assert_array_equal(dense(graph, graph.weights), expected)
    assert (graph.weights > 0).all()


@given(edge_pairs(), st.booleans(), st.data())
def test_type_of_a_repeat_is_that_of_the_first(
    drawn: tuple[int, list[tuple[int, int]]], directed: bool, data: st.DataObject
) -> None:
    count, pairs = drawn
    types = data.draw(st.lists(st.sampled_from("zyx"), min_size=len(pairs), max_size=len(pairs)))
    graph = build_graph(node_table(count), edge_list(pairs, types=types), directed=directed)
    assert graph.edge_type_names == tuple(sorted(set(types)))
    first: dict[tuple[int, int], str] = {}
    for (a, b), kind in zip(pairs, types, strict=True):
        first.setdefault((a, b), kind)
        if not directed:
            first.setdefault((b, a), kind)
    assert graph.edge_types is not None
    found = {
        (node, int(neighbor)): graph.edge_type_names[code]
        for node in range(count)
        for neighbor, code in zip(
            graph.neighbors(node), graph.edge_types[graph.indptr[node] : graph.indptr[node + 1]], strict=True
        )
    }
    assert found == {pair: kind for pair, kind in first.items() if pair[0] != pair[1]}


def test_inputs_stay_as_they_are() -> None:
    edges = edge_list([(2, 1), (0, 1), (1, 1)], weights=np.array([1, 2, 3], np.float32))
    before = edges.sources.copy(), edges.targets.copy()
    build_graph(node_table(3), edges)
    np.testing.assert_array_equal((edges.sources, edges.targets), before)


@pytest.mark.parametrize(
    ("nodes", "edges", "problem"),
    [
        (node_table(2), edge_list([(0, 2)]), "ends at node 2"),
        (node_table(2), edge_list([(-1, 0)]), "ends at node -1"),
        (node_table(2), edge_list([(0, 1)], weights=np.array([-1], np.float32)), "weight -1"),
        (node_table(2), edge_list([(0, 1)], weights=np.array([np.nan], np.float32)), "weight nan"),
        (node_table(2), edge_list([(0, 1)], types=["a", "b"]), "2 types for 1 edges"),
        (
            node_table(300),
            edge_list([(0, n) for n in range(300)], types=[str(n) for n in range(300)]),
            "more than 256 edge types",
        ),
        (NodeTable(["a", "b", "a"], [""] * 3, [None] * 3), edge_list([]), "'a' occurs more than once"),
        (NodeTable(["a", "b"], [""], [None] * 2), edge_list([]), "'texts' has 1 entries for 2"),
    ],
)
def test_bad_input(nodes: NodeTable, edges: EdgeList, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        build_graph(nodes, edges)


@pytest.mark.parametrize(
    ("neighbors", "problem"),
    [([[0]], "1 rows of given neighbors for 2"), ([[0], [2]], "from 0 to 2"), ([[-2], [1]], "-2")],
)
def test_bad_given_neighbors(neighbors: list[list[int]], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        build_graph(node_table(2), edge_list([]), given=np.array(neighbors, np.int64))


def test_weights_too_large_in_sum() -> None:
    edges = edge_list([(0, 1), (1, 0)], weights=np.array([3e38, 3e38], np.float32))
    with pytest.raises(InputError, match="the weights of a repeated edge sum to 6e\\+38"):
        build_graph(node_table(2), edges)
