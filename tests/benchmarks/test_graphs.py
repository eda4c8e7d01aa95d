from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from benchmarks.graphs import SIZES, Size, generate, write_csv
from graphcond.attributed_graph import AttributedGraph, EdgeList
from graphcond.graphs import build_graph


def rebuilt(graph: AttributedGraph) -> AttributedGraph:
    rows = np.repeat(np.arange(len(graph)), graph.degrees)
    return build_graph(graph.nodes, EdgeList(rows, graph.indices.astype(np.int64)))


@pytest.mark.parametrize("size", [Size(1000, 5000, 5), Size(60, 1700, 1)])
def test_counts_are_exact_and_rows_are_what_the_builder_makes(size: Size) -> None:
    graph = generate(size)
    assert len(graph) == size.nodes
    assert len(graph.indices) == 2 * size.edges
    expected = rebuilt(graph)
    np.testing.assert_array_equal(graph.indptr, expected.indptr)
    np.testing.assert_array_equal(graph.indices, expected.indices)
    assert graph.indptr.dtype == expected.indptr.dtype
    assert graph.indices.dtype == expected.indices.dtype


def test_a_seed_gives_one_graph() -> None:
    size = Size(300, 1500, 3)
    np.testing.assert_array_equal(generate(size).indices, generate(size).indices)
    assert (generate(size, seed=1).indices != generate(size).indices).any()


def test_degrees_are_heavy_tailed() -> None:
    degrees = generate(Size(20_000, 140_000, 100)).degrees
    assert degrees.max() > 30 * np.median(degrees)


def test_edges_gather_in_communities() -> None:
    """Two neighbors of a node are far more often linked than any two nodes."""
    graph = generate(Size(2000, 20_000, 20))
    rows = [set(graph.neighbors(node).tolist()) for node in range(len(graph))]
    draws = np.random.default_rng(0)
    pairs = [draws.choice(list(row), 2, replace=False) for row in rows if len(row) > 1]
    linked = np.mean([one in rows[other] for one, other in pairs])
    assert linked > 5 * len(graph.indices) / len(graph) ** 2


def test_the_promised_sizes() -> None:
    assert {name: (size.nodes, size.edges) for name, size in SIZES.items()} == {
        "S": (93_000, 637_000),
        "M": (179_000, 3_000_000),
        "L": (311_000, 50_000_000),
    }


def test_the_csv_holds_each_edge_once_in_no_order(tmp_path: Path) -> None:
    graph = generate(Size(200, 900, 2))
    write_csv(graph, tmp_path / "edges.csv.gz")
    with gzip.open(tmp_path / "edges.csv.gz", "rt") as lines:
        assert next(lines).replace('"', "").strip() == "src,dst"
        edges = np.loadtxt(lines, delimiter=",", dtype=np.int64)
    assert len(edges) == 900
    assert (np.diff(edges[:, 0]) < 0).any()
    assert {tuple(edge) for edge in np.sort(edges, axis=1).tolist()} == {
        (row, other) for row in range(200) for other in graph.neighbors(row).tolist() if row < other
    }
