"""What ``print`` shows of large things: a line, not their columns."""

from __future__ import annotations

import numpy as np

from graphcond.attributed_graph import EdgeList, NodeTable
from graphcond.data.dataset import GraphDataset, SceneDataset
from graphcond.graphs import build_graph
from graphcond.scene_graph import SceneGraph, SceneSet

COUNT = 300
NODES = NodeTable(
    ids=[f"node {number}" for number in range(COUNT)],
    texts=["a picture"] * COUNT,
    pictures=[None] * COUNT,
    splits=["train"] * COUNT,
    attributes={"artist": ["somebody"] * COUNT},
)


def test_graphs_and_sets_of_scenes_are_printed_in_a_line() -> None:
    ends = np.arange(COUNT - 1, dtype=np.int64)
    edges = EdgeList(ends, ends + 1, types=["next"] * len(ends))
    graph = build_graph(NODES, edges)
    scenes = SceneSet([SceneGraph(["star"])] * COUNT, NODES.ids, NODES.texts, NODES.pictures)
    assert repr(NODES) == "NodeTable(300 nodes, splits, artist)"
    assert repr(edges) == "EdgeList(299 edges, types)"
    assert repr(graph) == f"AttributedGraph({NODES!r}, 299 undirected edges of 1 types, root='None')"
    assert repr(scenes) == "SceneSet(300 scenes, root='None')"
    assert max(len(str(one)) for one in (GraphDataset(graph), SceneDataset(scenes))) < 200
