"""From any path that holds a graph to the graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from graphcond.attributed_graph import AttributedGraph
from graphcond.errors import InputError, Notice, did_you_mean
from graphcond.graphs.formats import dgl, dgl_csv, magb, metadata, mm_graph, ogb, pyg, tables
from graphcond.graphs.groups import VectorReaders
from graphcond.graphs.source import GraphFormat, GraphSource
from graphcond.graphs.store import MANIFEST, is_graph_folder, open_graph
from graphcond.io.formats import find_format, formats_by_name

FORMATS: tuple[GraphFormat, ...] = (
    metadata.METADATA_FOLDER,
    tables.TABLES,
    tables.EDGE_LIST,
    dgl_csv.DGL_CSV,
    ogb.OGB,
    mm_graph.MM_GRAPH,
    magb.MAGB,
    pyg.PYG_FILE,
    dgl.DGL_FILE,
)
"""The formats of this package; other packages add theirs at the entry point ``graphcond.formats``."""

_ELSEWHERE = "give a file of one embedding per node as --features"


def graph_formats() -> dict[str, GraphFormat]:
    """Every format that graphs are read from, by name, those of other packages last.

    Raises:
        InputError: as `graphcond.config.registered`.
    """
    return formats_by_name(FORMATS, GraphFormat, "graphcond.formats")


def detect(path: Path | str) -> GraphFormat:
    """The format of ``path``.

    Raises:
        InputError: the path does not exist, is in no format or in several, or is a graph folder.
    """
    path = Path(path)
    if is_graph_folder(path):
        raise InputError("is a graph folder already", place=path, remedy="name the data it was built from")
    formats = graph_formats()
    folder = path.parent
    of_folder = path.is_file() and (
        is_graph_folder(folder) or any(kind.signs(folder) for kind in formats.values())
    )
    return find_format(
        path,
        formats,
        place=path,
        noun=f"a graph folder ({MANIFEST}) or a graph",
        several="move the files of the others away",
        remedy="name the folder that holds the file" if of_folder else "check the path",
    )


def read_source(
    path: Path | str, columns: Mapping[str, str] | None = None, *, skip_bad_rows: bool = False
) -> GraphSource:
    """Read a folder or file of any format but the graph folder's own.

    Args:
        path: a folder or file of one of `graph_formats`.
        columns: what the format's columns are called in the files, where they differ.
        skip_bad_rows: leave broken rows out and count them, in place of an error.

    Raises:
        InputError: as `detect`, or the files are broken.
    """
    kind = detect(path)
    return kind.read(*kind.given(Path(path), columns, skip_bad_rows=skip_bad_rows))


def load_graph(
    path: Path | str, *, skip_bad_rows: bool = False, say: Callable[[str], None] | None = None
) -> AttributedGraph:
    """Open a graph folder, or read any other source as an undirected graph in memory.

    Args:
        path: a graph folder, or what `read_source` takes.
        skip_bad_rows: as `read_source`.
        say: called with a sentence for each sort of data that was left out. Without it, sources other than
            graph folders give a `Notice`.

    Raises:
        InputError: as `detect`, or the files are broken.
    """
    opened = is_graph_folder(path)
    graph = open_graph(path) if opened else read_source(path, skip_bad_rows=skip_bad_rows).graph()
    for loss in graph.tally.losses():
        if say is not None:
            say(f"{path}: {loss}")
        elif not opened:
            warnings.warn(f"{path}: {loss}", Notice, stacklevel=2)
    return graph


def find_features(path: Path | str) -> VectorReaders:
    """The vectors that come with a graph: their name, and what reads them.

    Rows are those of the graph that `read_source` gives; types of nodes without such vectors get zeros.

    Raises:
        InputError: as `detect`, ``path`` is broken, or its format has no vectors of nodes.
    """
    kind = detect(path)
    if kind.features is None:
        raise InputError(f"the format {kind.name} has no vectors of nodes", place=path, remedy=_ELSEWHERE)
    return kind.features(Path(path))


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
