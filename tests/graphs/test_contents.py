from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graphcond.attributed_graph import AttributedGraph, NodeTable
from graphcond.graphs import build_graph
from graphcond.graphs.inspect import missing_pictures, same_pictures, undecodable_pictures
from tests.graphs.graphs import edge_list, node_table, write_picture


@pytest.fixture
def graph(tmp_path: Path) -> AttributedGraph:
    """Pictures: one, none at all, missing, a copy of the first, another, of the same size as the first."""
    pictures = ["a.png", None, "gone.png", "copy.png", "b.png", "sized.png"]
    write_picture(tmp_path / "a.png", 1)
    write_picture(tmp_path / "b.png", 2)
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "copy.png").write_bytes(content)
    (tmp_path / "sized.png").write_bytes(b"x" * len(content))
    nodes = NodeTable([str(row) for row in range(6)], [""] * 6, pictures)
    return build_graph(nodes, edge_list([]), root=tmp_path)


def test_missing(graph: AttributedGraph) -> None:
    assert missing_pictures(graph) == [2]


def test_same(graph: AttributedGraph) -> None:
    calls: list[tuple[int, int]] = []
    same = same_pictures(graph, lambda done, total: calls.append((done, total)))
    np.testing.assert_array_equal(same, [0, -1, -1, 0, 4, 5])
    assert calls[-1][0] == calls[-1][1]


def test_undecodable(graph: AttributedGraph) -> None:
    calls: list[tuple[int, int]] = []
    broken = undecodable_pictures(graph, lambda done, total: calls.append((done, total)))
    assert broken == {5: "the file is not a picture"}
    assert calls[-1] == (5, 5)


def test_a_graph_without_pictures() -> None:
    graph = build_graph(NodeTable(["a"], [""], [None]), edge_list([]))
    assert (missing_pictures(graph), same_pictures(graph).tolist()) == ([], [-1])


def test_a_name_too_long_for_a_file_is_missing() -> None:
    nodes = replace(node_table(2), pictures=["x" * 5000 + ".png", None])
    assert missing_pictures(build_graph(nodes, edge_list([]))) == [0]
