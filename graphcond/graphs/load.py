"""From any path that holds a graph to the graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from graphcond.errors import InputError
from graphcond.graphs.detect import Format, detect
from graphcond.graphs.formats.dgl import read_dgl_file
from graphcond.graphs.formats.dgl_csv import read_dgl_csv
from graphcond.graphs.formats.magb import read_magb
from graphcond.graphs.formats.metadata import read_metadata
from graphcond.graphs.formats.mm_graph import read_mm_graph
from graphcond.graphs.formats.ogb import read_ogb
from graphcond.graphs.formats.pyg import read_pyg
from graphcond.graphs.formats.tables import read_edge_list, read_tables
from graphcond.graphs.source import GraphSource
from graphcond.graphs.store import open_graph
from graphcond.types import AttributedGraph

_READERS = {
    Format.METADATA: read_metadata,
    Format.TABLES: read_tables,
    Format.EDGE_LIST: read_edge_list,
    Format.DGL_CSV: read_dgl_csv,
    Format.OGB: read_ogb,
    Format.MM_GRAPH: read_mm_graph,
    Format.MAGB: read_magb,
    Format.PYG: read_pyg,
    Format.DGL: read_dgl_file,
}


def read_source(path: Path | str, columns: Mapping[str, str] | None = None) -> GraphSource:
    """Read a folder or file of any format but the graph folder's own.

    Args:
        path: a folder or file of one of `graphcond.graphs.detect.Format`.
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
