"""Which format a path is in."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from graphcond.errors import InputError
from graphcond.graphs.manifest import MANIFEST
from graphcond.graphs.metadata import METADATA, metadata_folders
from graphcond.graphs.tabular import SUFFIXES, find_table


class Format(Enum):
    """The formats that graphs are read from."""

    GRAPH_FOLDER = "graph folder"
    METADATA = "metadata.jsonl"
    TABLES = "nodes.* and edges.*"
    EDGE_LIST = "list of edges"


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
    if path.is_file():
        remedy = "name the folder that holds it" if path.name in (METADATA, MANIFEST) else "name a folder"
        raise InputError("is no list of edges", place=path, remedy=remedy)
    raise InputError("no such file or folder", place=path, remedy="check the path")


def _detect_folder(folder: Path) -> Format:
    if (folder / MANIFEST).is_file():
        return Format.GRAPH_FOLDER
    found = [Format.METADATA] if metadata_folders(folder) else []
    if find_table(folder, "nodes") or find_table(folder, "edges"):
        found.append(Format.TABLES)
    if not found:
        raise InputError(
            f"holds no graph: looked for {MANIFEST}, {METADATA} (also in train, val and test), "
            f"and nodes.* with edges.* ({', '.join(SUFFIXES)})",
            place=folder,
            remedy="check the path",
        )
    if len(found) > 1:
        raise InputError(
            f"holds both {METADATA} and {Format.TABLES.value}", place=folder, remedy="move one away"
        )
    return found[0]
