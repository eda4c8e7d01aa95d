"""Small graphs and embeddings for tests of samplers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from graphcond.attributed_graph import ABSENT, AttributedGraph, EdgeList, NodeEmbeddings, NodeTable
from graphcond.graphs import build_graph


def toy_graph(
    nodes: int,
    edges: Sequence[tuple[int, int]] = (),
    *,
    weights: Sequence[float] | None = None,
    types: Sequence[str] | None = None,
    node_types: Sequence[str] | None = None,
    directed: bool = False,
    without_picture: Sequence[int] = (),
    given: np.ndarray | None = None,
) -> AttributedGraph:
    """A graph whose nodes all have a picture, but for those named; its arrays cannot be written.

    The attribute ``links`` names the edges of each node, and the node itself.
    """
    pairs = np.array(edges, np.int64).reshape(-1, 2)
    table = NodeTable(
        ids=[f"n{row}" for row in range(nodes)],
        texts=[f"node {row}" for row in range(nodes)],
        pictures=[None if row in without_picture else f"{row}.png" for row in range(nodes)],
        types=node_types,
        attributes={"links": _links(nodes, edges)},
    )
    weighed = None if weights is None else np.array(weights, np.float32)
    edge_list = EdgeList(pairs[:, 0], pairs[:, 1], weighed, types)
    graph = build_graph(table, edge_list, directed=directed, root=None, given=given)
    for array in arrays_of(graph).values():
        array.flags.writeable = False
    return graph


def _links(nodes: int, edges: Sequence[tuple[int, int]]) -> list[str]:
    links = [[f"n{row}"] for row in range(nodes)]
    for place, (left, right) in enumerate(edges):
        links[left].append(f"edge {place}")
        links[right].append(f"edge {place}")
    return ["|".join(own) for own in links]


def arrays_of(graph: AttributedGraph) -> dict[str, np.ndarray]:
    """The arrays of a graph by name."""
    return {name: value for name, value in vars(graph).items() if isinstance(value, np.ndarray)}


def toy_embeddings(graph: AttributedGraph, seed: int = 0) -> NodeEmbeddings:
    """Random embeddings in float16; the rows of nodes without a picture are zero."""
    draws = np.random.default_rng(seed)
    pictures = draws.normal(size=(len(graph), 6)).astype(np.float16)
    pictures[[picture is None for picture in graph.nodes.pictures]] = 0
    texts = draws.normal(size=(len(graph), 6)).astype(np.float16)
    return NodeEmbeddings(pictures, texts, draws.normal(size=(len(graph), 4)))


@st.composite
def toy_graphs(draw: st.DrawFn, *, directed: bool | None = None, typed: bool = False) -> AttributedGraph:
    """Graphs of up to 12 nodes, isolated and dangling ones among them, with ready-made neighbors.

    Edges are of types a, b and c and nodes of types x and y, where ``typed`` or chance wants it.
    """
    nodes = draw(st.integers(1, 12))
    row = st.integers(0, nodes - 1)
    edges = draw(st.lists(st.tuples(row, row), max_size=30))
    weights = st.lists(st.sampled_from([0.25, 1.0, 3.0]), min_size=len(edges), max_size=len(edges))
    types = st.lists(st.sampled_from("abc"), min_size=len(edges), max_size=len(edges))
    node_types = st.lists(st.sampled_from("xy"), min_size=nodes, max_size=nodes)
    given_row = st.lists(st.sampled_from([ABSENT, *range(nodes)]), min_size=4, max_size=4)
    return toy_graph(
        nodes,
        edges,
        weights=draw(st.none() | weights),
        types=draw(types if typed else st.none() | types),
        node_types=draw(node_types if typed else st.none() | node_types),
        directed=draw(st.booleans()) if directed is None else directed,
        without_picture=draw(st.sets(row, max_size=nodes // 2)),
        given=np.array(draw(st.lists(given_row, min_size=nodes, max_size=nodes)), np.int64),
    )
