"""From any path that holds a graph to the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path

import numpy as np
from jaxtyping import Float

from graphcond.attributed_graph import AttributedGraph
from graphcond.errors import InputError, did_you_mean
from graphcond.graphs.formats.dgl import dgl_features, is_dgl_file, read_dgl_file
from graphcond.graphs.formats.dgl_csv import META, dgl_csv_features, read_dgl_csv
from graphcond.graphs.formats.magb import magb_files, read_magb
from graphcond.graphs.formats.metadata import METADATA, metadata_folders, read_metadata
from graphcond.graphs.formats.mm_graph import (
    CLASSIFICATION,
    LINKS,
    is_mm_graph,
    mm_graph_features,
    read_mm_graph,
)
from graphcond.graphs.formats.ogb import is_ogb, ogb_features, read_ogb
from graphcond.graphs.formats.pyg import pyg_features, read_pyg
from graphcond.graphs.formats.tables import read_edge_list, read_tables
from graphcond.graphs.groups.source import VectorReaders
from graphcond.graphs.reading.tabular import SUFFIXES, find_table
from graphcond.graphs.source import GraphSource
from graphcond.graphs.store import MANIFEST, open_graph


class Format(Enum):
    """The formats that graphs are read from."""

    GRAPH_FOLDER = "graph folder"
    METADATA = "metadata.jsonl"
    TABLES = "nodes.* and edges.*"
    EDGE_LIST = "a list of edges"
    DGL_CSV = "DGL's meta.yaml"
    OGB = "OGB's raw/edge.csv.gz"
    MM_GRAPH = "MM-Graph's .pt files"
    MAGB = "XGraph.pt and X.csv"
    PYG = "PyG file"
    DGL = "DGL file"


SAVED = (".pt", ".pth", ".bin")
"""Endings of files that PyG and DGL write."""


def detect(path: Path | str) -> Format:
    """Tell the format of ``path`` by the names of its files.

    Raises:
        InputError: the path does not exist, or holds no format or two.
    """
    path = Path(path)
    if path.is_dir():
        return _detect_folder(path)
    if path.is_file() and path.name.endswith(SUFFIXES) and path.name != METADATA:
        return Format.EDGE_LIST
    if path.is_file() and path.name.endswith(SAVED):
        return Format.DGL if is_dgl_file(path) else Format.PYG
    if path.is_file():
        remedy = "name the folder that holds it" if path.name in (METADATA, MANIFEST) else "name a folder"
        raise InputError("is no list of edges", place=path, remedy=remedy)
    raise InputError("no such file or folder", place=path, remedy="check the path")


def _detect_folder(folder: Path) -> Format:
    if (folder / MANIFEST).is_file():
        return Format.GRAPH_FOLDER
    signs = {
        Format.METADATA: metadata_folders(folder),
        Format.DGL_CSV: (folder / META).is_file(),
        Format.OGB: is_ogb(folder),
        Format.MM_GRAPH: is_mm_graph(folder),
        Format.MAGB: magb_files(folder),
    }
    found = [kind for kind, sign in signs.items() if sign]
    tables = find_table(folder, "nodes"), find_table(folder, "edges")
    if any(tables) and found not in ([Format.DGL_CSV], [Format.OGB]):  # these may have tables of such names
        found.append(Format.TABLES)
    if not found:
        raise InputError(
            f"holds no graph: looked for {MANIFEST}, {METADATA} (also in train, val and test), "
            f"nodes.* with edges.* ({', '.join(SUFFIXES)}), {META}, raw/edge.csv.gz, {CLASSIFICATION}, "
            f"{LINKS} and XGraph.pt with X.csv",
            place=folder,
            remedy="check the path",
        )
    if len(found) > 1:
        raise InputError(
            f"holds both {found[0].value} and {found[1].value}", place=folder, remedy="move one away"
        )
    return found[0]


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
        path: a folder or file of one of `graphcond.graphs.load.Format`.
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


_ELSEWHERE = "give a file of one embedding per node as --features"

_FINDERS: dict[Format, Callable[[Path], VectorReaders]] = {
    Format.DGL_CSV: dgl_csv_features,
    Format.OGB: ogb_features,
    Format.MM_GRAPH: mm_graph_features,
    Format.PYG: pyg_features,
    Format.DGL: dgl_features,
}


def find_features(path: Path | str) -> VectorReaders:
    """The vectors that come with a graph: their name, and what reads them.

    Rows are those of the graph that `read_source` gives; types of nodes without such vectors get zeros.

    Raises:
        InputError: ``path`` is broken, or of a format whose vectors are not with its nodes.
    """
    path = Path(path)
    kind = detect(path)
    if kind not in _FINDERS:
        raise InputError(f"vectors of nodes are not read from {kind.value}", place=path, remedy=_ELSEWHERE)
    return _FINDERS[kind](path)


def read_features(path: Path | str, name: str | None = None) -> Float[np.ndarray, "nodes d"]:
    """The vectors ``name`` that come with a graph, in float16 or float32; the only ones if there is no name.

    Raises:
        InputError: there are none of that name, several without it, or they are not one row a node.
    """
    found = find_features(path)
    if name is None and len(found) == 1:
        return next(iter(found.values()))()
    if name not in found:
        raise InputError(
            f"has no vectors '{name}'" if name else f"has {len(found)} vectors for each node",
            place=path,
            remedy=did_you_mean(name or "", found) if found else _ELSEWHERE,
        )
    return found[name]()
