from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from graphcond.attributed_graph import ABSENT, AttributedGraph, NodeTable
from graphcond.context import NeighborContext
from graphcond.errors import InputError
from graphcond.graphs import build_graph, export_metadata, read_metadata
from tests.graphs.graphs import edge_list, write_metadata, write_picture


def context(targets: list[int], neighbors: list[list[int]]) -> NeighborContext:
    chosen = np.array(neighbors, np.int64)
    return NeighborContext(np.array(targets, np.int64), chosen, np.ones(chosen.shape, np.float32))


@pytest.fixture
def graph(tmp_path: Path) -> AttributedGraph:
    pictures = ["x/a.png", "x/ü b.png", None, "c.png"]
    for color, picture in enumerate(pictures):
        if picture is not None:
            write_picture(tmp_path / picture, color)
    nodes = NodeTable(["a", "b", "none", "c"], ['say "a"', "", "n", "c"], pictures)
    return build_graph(nodes, edge_list([(0, 1)]), root=tmp_path)


def test_lines_are_those_of_the_release(graph: AttributedGraph, tmp_path: Path) -> None:
    export_metadata(graph, context([3, 0], [[1, 2, 0], [1, ABSENT, ABSENT]]), tmp_path / "metadata.jsonl")
    lines = (tmp_path / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"center": "c.png", "text": "c", "neighbors": ["x/ü b.png", "x/a.png"]},
        {"center": "x/a.png", "text": 'say "a"', "neighbors": ["x/ü b.png"]},
    ]
    source = read_metadata(tmp_path)
    assert source.nodes.ids == ["c.png", "x/a.png", "x/ü b.png"]
    assert source.given is not None
    assert source.given.tolist() == [[2, 1], [2, ABSENT], [ABSENT, ABSENT]]


def test_round_trip_of_a_folder(tmp_path: Path) -> None:
    lines = [
        {"center": "a b.png", "text": "one", "neighbors": ["c.png", "d#1.png"]},
        {"center": "c.png", "text": "two", "neighbors": []},
    ]
    folder = write_metadata(tmp_path, lines, ["a b.png", "c.png", "d#1.png"])
    before = (folder / "metadata.jsonl").read_text()
    graph = read_metadata(folder).graph()
    assert graph.given is not None
    targets = graph.nodes.in_split("train").tolist()
    export_metadata(graph, context(targets, graph.given[targets].tolist()), folder / "metadata.jsonl")
    assert (folder / "metadata.jsonl").read_text() == before


def test_a_target_without_picture(graph: AttributedGraph, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the target 'none' has no picture"):
        export_metadata(graph, context([2], [[0]]), tmp_path / "metadata.jsonl")
    assert not (tmp_path / "metadata.jsonl").exists()


def test_pictures_outside_of_the_files_folder(graph: AttributedGraph, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.png lies outside"):
        export_metadata(graph, context([0], [[1]]), tmp_path / "elsewhere/metadata.jsonl")
