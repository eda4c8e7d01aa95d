from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphcond.errors import InputError
from graphcond.graphs import build_graph, from_scipy, to_scipy
from tests.graphs.graphs import assert_same, edge_list, edge_pairs, node_table, rich_graph

sparse = pytest.importorskip("scipy.sparse", reason="needs scipy")


@given(edge_pairs(), st.booleans(), st.booleans())
def test_round_trip(pairs: tuple[int, list[tuple[int, int]]], directed: bool, weighted: bool) -> None:
    count, ends = pairs
    weights = np.arange(2, len(ends) + 2, dtype=np.float32) if weighted and ends else None
    graph = build_graph(node_table(count), edge_list(ends, weights=weights), directed=directed)
    back = from_scipy(to_scipy(graph), graph.nodes, directed=directed)
    if not len(graph.indices):  # nothing says that no edges have weights
        weights = graph.weights
        assert len(back.indices) == 0
        return
    assert_same(back, graph)


def test_shares_memory_and_keeps_weights() -> None:
    graph = rich_graph()
    matrix = to_scipy(graph)
    assert matrix.format == "csr"
    assert matrix[0, 1] == 1.5
    assert np.shares_memory(matrix.data, graph.weights)


@pytest.mark.parametrize("kind", ["csr_matrix", "csc_array", "coo_matrix", "lil_array", "dok_array"])
def test_every_kind_of_matrix(kind: str) -> None:
    matrix = getattr(sparse, kind)(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], bool))
    graph = from_scipy(matrix)
    assert list(graph.nodes.ids) == ["0", "1", "2"]
    assert graph.weights is None
    assert [graph.neighbors(node).tolist() for node in range(3)] == [[1], [0, 2], [1]]


def test_a_matrix_that_is_not_symmetric() -> None:
    matrix = sparse.csr_array(np.array([[0, 2.0], [1.0, 0]]))
    undirected, directed = from_scipy(matrix), from_scipy(matrix, directed=True)
    assert undirected.weights is not None
    assert directed.weights is not None
    assert undirected.weights.tolist() == [3, 3]
    assert directed.weights.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("matrix", "problem"),
    [
        (sparse.csr_array(np.ones((2, 3))), r"got the shape \(2, 3\)"),
        (
            sparse.coo_array(([1.0], ([0], [1])), (10**12, 10**12)),
            "the matrix: there are 10{12} nodes",
        ),
        (np.ones((2, 2)), "expected a sparse matrix, got ndarray"),
        (sparse.csr_array(np.array([[0, -1.0], [0, 0]])), "edge 0 has the weight -1"),
        (sparse.csr_array(np.array([[0, np.nan], [0, 0]])), "edge 0 has the weight nan"),
        (sparse.csr_array(np.array([[0, 1j], [0, 0]])), "expected numbers in 'weight', got ndarray"),
    ],
)
def test_bad_matrices(matrix: object, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        from_scipy(matrix)


def test_a_node_table_of_another_length() -> None:
    with pytest.raises(InputError, match="the node table has 3 rows for 2 nodes"):
        from_scipy(sparse.csr_array((2, 2)), node_table(3))


def test_without_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "scipy.sparse", None)
    with pytest.raises(InputError, match=r"scipy\.sparse cannot be imported .* `pip install scipy`"):
        to_scipy(rich_graph())
