"""Which format a path is in."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from graphcond.errors import InputError
from graphcond.graphs.formats.dgl import is_dgl_file
from graphcond.graphs.formats.dgl_csv_meta import META
from graphcond.graphs.formats.magb import magb_files
from graphcond.graphs.formats.metadata import METADATA, metadata_folders
from graphcond.graphs.formats.mm_graph import CLASSIFICATION, LINKS, is_mm_graph
from graphcond.graphs.formats.ogb import is_ogb
from graphcond.graphs.manifest import MANIFEST
from graphcond.graphs.reading.table_files import SUFFIXES
from graphcond.graphs.reading.tabular import find_table


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
