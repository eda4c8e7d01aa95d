"""From any path that holds a graph to the graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from graphcond.errors import InputError
from graphcond.graphs.detect import Format, detect
from graphcond.graphs.metadata import read_metadata
from graphcond.graphs.source import GraphSource
from graphcond.graphs.store import open_graph
from graphcond.graphs.tables import read_edge_list, read_tables
from graphcond.types import AttributedGraph

_READERS = {
    Format.METADATA: read_metadata,
    Format.TABLES: read_tables,
    Format.EDGE_LIST: read_edge_list,
}


def read_source(path: Path | str, columns: Mapping[str, str] | None = None) -> GraphSource:
    """Read a folder or file of any format but the graph folder's own.

    Args:
        path: a folder with ``metadata.jsonl``, one with ``nodes.*`` and ``edges.*``, or a list of edges.
        columns: what the format's columns are called in the files, where they differ.

    Raises:
        InputError: nothing readable stands there, or what stands there is broken.
    """
    kind = detect(path)
    if kind is Format.GRAPH_FOLDER:
        raise InputError("is a graph folder already", place=path, remedy="name the data it was built from")
    return _READERS[kind](path, columns)


def load_graph(path: Path | str) -> AttributedGraph:
    """Open a graph folder, or read any other source as an undirected graph in memory.

    Raises:
        InputError: nothing readable stands there, or what stands there is broken.
    """
    return open_graph(path) if detect(path) is Format.GRAPH_FOLDER else read_source(path).graph()
