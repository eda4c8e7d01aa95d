"""Graphs and folders that the tests of this room share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from graphcond.attributed_graph import ABSENT, AttributedGraph, EdgeList, NodeTable
from graphcond.graphs import build_graph

SHARED = Path(__file__).parents[2] / "../shared/data"


def node_table(count: int) -> NodeTable:
    return NodeTable(
        ids=[f"n{row}" for row in range(count)],
        texts=[f"text {row}" for row in range(count)],
        pictures=[None] * count,
    )


def edge_list(pairs: Iterable[tuple[int, int]], **columns: Any) -> EdgeList:
    array = np.array(list(pairs), np.int64).reshape(-1, 2)
    return EdgeList(array[:, 0], array[:, 1], **columns)


def rich_graph(root: Path | None = None) -> AttributedGraph:
    """A small graph that has everything a graph can have."""
    nodes = NodeTable(
        ids=["a", "b", "ü c", "d"],
        texts=["A house", "", "Zwei\nHäuser", "d"],
        pictures=["a.png", None, "sub/ü c.png", "d.png"],
        types=["painting", "museum", "painting", "painting"],
        splits=["train", "", "test", "train"],
        attributes={"year": ["1900", "", "1901", "1902"], "text": ["x", "y", "z", "w"]},
    )
    weights = np.array([1.5, 2.0, 0.5], np.float32)
    edges = edge_list([(0, 1), (1, 2), (2, 0)], weights=weights, types=["style", "year", "style"])
    given = np.array([[1, 2], [ABSENT, ABSENT], [0, ABSENT], [ABSENT, ABSENT]], np.int64)
    return build_graph(nodes, edges, root=root, given=given)


def assert_same(left: AttributedGraph, right: AttributedGraph) -> None:
    """Every node column and every array of both graphs agrees."""
    for name in ("ids", "texts", "pictures", "types", "splits"):
        ours, theirs = getattr(left.nodes, name), getattr(right.nodes, name)
        assert (ours is None) == (theirs is None), name
        assert ours is None or list(ours) == list(theirs), name
    assert {k: list(v) for k, v in left.nodes.attributes.items()} == {
        k: list(v) for k, v in right.nodes.attributes.items()
    }
    for name in ("indptr", "indices", "weights", "edge_types", "given"):
        ours, theirs = getattr(left, name), getattr(right, name)
        assert (ours is None) == (theirs is None), name
        if ours is not None:
            assert ours.dtype == theirs.dtype, name
            np.testing.assert_array_equal(ours, theirs, name)
    assert (left.directed, left.edge_type_names) == (right.directed, right.edge_type_names)


def write_picture(path: Path, color: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (color % 256, 40, 90)).save(path)


def write_metadata(
    folder: Path, lines: Iterable[Mapping[str, object] | str], pictures: Iterable[str] = ()
) -> Path:
    """A metadata.jsonl folder with its pictures, each of another color."""
    folder.mkdir(parents=True, exist_ok=True)
    text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "metadata.jsonl").write_text("\n".join(text) + "\n", encoding="utf-8")
    for color, picture in enumerate(pictures):
        write_picture(folder / picture, 20 * color)
    return folder


@st.composite
def edge_pairs(draw: st.DrawFn, most: int = 12) -> tuple[int, list[tuple[int, int]]]:
    """A number of nodes and edges between them, with loops and repeats."""
    count = draw(st.integers(0, most))
    ends = st.integers(0, max(count - 1, 0))
    pairs = draw(st.lists(st.tuples(ends, ends), max_size=40)) if count else []
    return count, pairs
