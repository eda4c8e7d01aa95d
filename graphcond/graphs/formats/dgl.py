"""Graphs of DGL, in memory and in files of `dgl.save_graphs`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphcond.attributed_graph import AttributedGraph, NodeEmbeddings, NodeTable
from graphcond.errors import InputError, at
from graphcond.graphs.groups import (
    OWN_NAMES,
    PLAIN,
    EdgeGroup,
    Groups,
    NodeGroup,
    VectorReaders,
    check_room,
    embeddings_of,
    readers_of,
    source_of,
)
from graphcond.graphs.source import GraphFormat, GraphSource
from graphcond.io.optional import optional
from graphcond.io.readable import check_readable

KEYS = {**OWN_NAMES, "type": "_TYPE", "edge_type": "_TYPE"}
"""The names of our columns in the data of DGL's nodes and edges; ``_TYPE`` is `dgl.NTYPE`."""

FEATURES = "feat"
"""Name of the features of nodes in DGL's data sets."""

SAVED = (".pt", ".pth", ".bin")
"""Endings of the files that DGL and PyG write."""

MAGIC = bytes.fromhex("3fa1b446f04f2edd")
"""The first bytes of files of `dgl.save_graphs`."""


def from_dgl(
    graph: Any,
    columns: Mapping[str, str] | None = None,
    *,
    nodes: NodeTable | None = None,
    directed: bool = False,
    root: Path | None = None,
) -> AttributedGraph:
    """A graph of a homogeneous or heterogeneous `dgl.DGLGraph`.

    Nodes come type after type, in DGL's order; see `embeddings_from_dgl` for their features. DGL holds
    numbers only, so texts and pictures come with ``nodes``; without it, ids are row numbers (``type:number``
    where there are several types). Data of one number a node become attributes, ``train_mask`` and its like
    are splits.

    Args:
        graph: the graph.
        columns: the names of ``id``, ``split``, ``type``, ``weight`` and ``edge_type`` in its data, where
            they differ from `KEYS`.
        nodes: the node table.
        directed: keep edges in the one direction they have.
        root: the folder that pictures are in.

    Raises:
        InputError: ``nodes`` has another length, masks overlap, or a weight is not a finite number >= 0.
    """
    source = source_of(groups_of(graph), KEYS, columns, nodes=nodes, root=root)
    return source.graph(directed=directed)


def embeddings_from_dgl(
    graph: Any, *, extra: str = FEATURES, pictures: str = "picture_feat", texts: str = "text_feat"
) -> NodeEmbeddings:
    """The features of a `dgl.DGLGraph` for samplers, in the order of `from_dgl`'s nodes.

    Each part has its name in the node data; types of nodes without it get zeros.

    Raises:
        InputError: none of these exist, or one of them does not have one row for each node, or has several
            widths.
    """
    return embeddings_of(groups_of(graph), {"extra": extra, "pictures": pictures, "texts": texts})


def groups_of(graph: Any, place: object = "the graph") -> Groups:
    """The nodes and edges of a `dgl.DGLGraph`.

    Raises:
        InputError: the nodes do not fit into memory.
    """
    with at(place):
        check_room(graph.num_nodes())
    plain_nodes, plain_edges = len(graph.ntypes) == 1, len(graph.canonical_etypes) == 1
    nodes = {
        PLAIN if plain_nodes else kind: NodeGroup(graph.num_nodes(kind), dict(graph.nodes[kind].data))
        for kind in graph.ntypes
    }
    edges = {}
    for kind in graph.canonical_etypes:
        sources, targets = (end.cpu().numpy() for end in graph.edges(etype=kind, order="eid"))
        start, end = (PLAIN, PLAIN) if plain_nodes else (kind[0], kind[2])
        edges[start, PLAIN if plain_edges else kind[1], end] = EdgeGroup(
            sources.astype(np.int64), targets.astype(np.int64), dict(graph.edges[kind].data)
        )
    return Groups(nodes, edges)


def read_dgl_file(file: Path | str, columns: Mapping[str, str] | None = None) -> GraphSource:
    """Read a file of `dgl.save_graphs` with one graph; it needs DGL. See `from_dgl` for what is read.

    Raises:
        InputError: as `load_dgl_graph` and `from_dgl`.
    """
    file = Path(file)
    return source_of(groups_of(load_dgl_graph(file), file), KEYS, columns, place=file)


def dgl_features(file: Path) -> VectorReaders:
    """The vectors of nodes in a file of `dgl.save_graphs`, by name."""
    return readers_of(groups_of(load_dgl_graph(file), file), file)


def is_dgl_file(file: Path) -> bool:
    """Return True if the file begins like files of `dgl.save_graphs`."""
    check_readable(file)
    with file.open("rb") as handle:
        return handle.read(len(MAGIC)) == MAGIC


def load_dgl_graph(file: Path) -> Any:
    """The one graph in a file of `dgl.save_graphs`.

    DGL itself may crash on a file that was cut within its last part; a file cut earlier is an error.

    Raises:
        InputError: DGL is missing, or the file is damaged, of another kind or holds several graphs.
    """
    if not is_dgl_file(file):
        raise InputError("the file was not written by dgl.save_graphs", place=file, remedy="check the file")
    dgl = optional("dgl", "'graphcond[dgl]' (Python 3.11)")
    try:
        graphs, _ = dgl.load_graphs(str(file))
    except Exception as error:  # DGL's own, or any error of its C++ on a damaged file
        reason = str(error).partition("\n")[0]
        problem = f"the file cannot be read: {reason}"
        raise InputError(problem, place=file, remedy="fetch the file again") from None
    if len(graphs) != 1:
        raise InputError(f"expected one graph, got {len(graphs)}", place=file, remedy="save one graph")
    return graphs[0]


DGL_FILE = GraphFormat(
    name="dgl",
    files="a .bin, .pt or .pth file of dgl.save_graphs",
    signs=lambda path: path.suffix in SAVED and path.is_file() and is_dgl_file(path),
    read=read_dgl_file,
    features=dgl_features,
)
