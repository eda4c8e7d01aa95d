"""Graph folders: a graph on disk that opens at once, whatever its size.

A folder holds ``graph.json`` (see `graphcond.graphs.manifest`), the CSR arrays as ``.npy`` files and the
node table as an Arrow file. All of them are memory-mapped; pictures stay where they are.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from graphcond.errors import InputError
from graphcond.files import atomic_folder, check_writable, would_lose
from graphcond.graphs.columns import ArrowColumn, from_arrow, to_arrow
from graphcond.graphs.manifest import (
    MANIFEST,
    REBUILD,
    Files,
    Manifest,
    describe,
    file_name,
    read_manifest,
    write_manifest,
)
from graphcond.graphs.npy import save_array
from graphcond.types import AttributedGraph, NodeTable

ARRAYS = {"indptr": "i8", "indices": "i4 i8", "weights": "f4", "edge_types": "u1", "given": "i8"}
"""The arrays of a graph and the dtypes that each may have."""

ATTRIBUTE = "attribute:"
"""What the Arrow file puts before the names of further columns."""


def save_graph(graph: AttributedGraph, folder: Path | str) -> None:
    """Write ``graph`` as a graph folder that appears whole or not at all. Pictures are not copied.

    A graph folder that stands there is replaced.

    Raises:
        InputError: ``folder`` holds something else, or the graph's own pictures.
    """
    folder = Path(folder)
    check_replaceable(folder, graph.root)
    with atomic_folder(folder) as temporary:
        write_graph(graph, temporary, folder)


def open_graph(folder: Path | str) -> AttributedGraph:
    """Open a graph folder; its arrays and columns are memory maps.

    Raises:
        InputError: the folder is missing, cut short, inconsistent or of another version.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    arrays = {part: _open_array(folder, part) for part in ARRAYS if getattr(manifest.files, part)}
    graph = AttributedGraph(
        nodes=_open_nodes(folder / file_name("nodes")),
        **arrays,
        edge_type_names=tuple(manifest.edge_types),
        directed=manifest.directed,
        root=None if manifest.pictures_root is None else _resolve(folder, manifest.pictures_root),
    )
    _check_counts(graph, manifest, folder)
    return graph


def check_replaceable(folder: Path, root: Path | None = None) -> None:
    """Refuse to write a graph folder over anything but an empty or a graph folder.

    Raises:
        InputError: ``folder`` is a file, holds something else, or holds ``root``, the pictures' folder.
        WriteError: nothing can be written there.
    """
    if would_lose(folder, MANIFEST):
        raise InputError("exists and is no graph folder", place=folder, remedy="choose a new folder")
    if root is not None and root.resolve().is_relative_to(folder.resolve()):
        raise InputError("holds the pictures of this graph", place=folder, remedy="choose another folder")
    check_writable(folder / MANIFEST)


def write_graph(graph: AttributedGraph, into: Path, folder: Path) -> None:
    """Write the files of a graph folder ``into`` a folder that will be moved to ``folder``.

    Arrays whose files are there already are left as they are.
    """
    for part in ARRAYS:
        array, file = getattr(graph, part), into / file_name(part)
        if array is not None and not file.exists():
            save_array(file, np.ascontiguousarray(array))
    _write_nodes(graph.nodes, into / file_name("nodes"))
    parts = [part for part in Files.model_fields if (into / file_name(part)).exists()]
    manifest = Manifest(
        nodes=len(graph),
        edges=len(graph.indices),
        directed=graph.directed,
        edge_types=list(graph.edge_type_names),
        pictures_root=None if graph.root is None else _relative(graph.root, folder),
        files=Files(**{part: describe(into / file_name(part)) for part in parts}),
    )
    write_manifest(manifest, into)


def _write_nodes(nodes: NodeTable, file: Path) -> None:
    columns: dict[str, Sequence[str] | Sequence[str | None] | None] = {
        "id": nodes.ids,
        "text": nodes.texts,
        "picture": nodes.pictures,
        "type": nodes.types,
        "split": nodes.splits,
        **{f"{ATTRIBUTE}{name}": column for name, column in nodes.attributes.items()},
    }
    table = pa.table({name: to_arrow(column) for name, column in columns.items() if column is not None})
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _open_nodes(file: Path) -> NodeTable:
    try:
        table = pa.ipc.open_file(pa.memory_map(str(file))).read_all()
        columns = {name: from_arrow(table[name]) for name in table.column_names}
        return NodeTable(
            ids=columns["id"],
            texts=columns["text"],
            pictures=columns["picture"],
            types=columns.get("type"),
            splits=columns.get("split"),
            attributes=_attributes(columns),
        )
    except (pa.ArrowException, OSError, KeyError) as error:
        raise InputError(f"cannot be read as a node table ({error})", place=file, remedy=REBUILD) from None


def _attributes(columns: dict[str, ArrowColumn[str]]) -> dict[str, ArrowColumn[str]]:
    named = {name: column for name, column in columns.items() if name.startswith(ATTRIBUTE)}
    return {name.removeprefix(ATTRIBUTE): column for name, column in named.items()}


def _open_array(folder: Path, part: str) -> np.ndarray:
    file = folder / file_name(part)
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"cannot be read as an array ({error})", place=file, remedy=REBUILD) from None
    if array.dtype.str[1:] not in ARRAYS[part].split() or array.ndim != (2 if part == "given" else 1):
        raise InputError(f"holds {array.ndim}-d {array.dtype}", place=file, remedy=REBUILD)
    return array


def _check_counts(graph: AttributedGraph, manifest: Manifest, folder: Path) -> None:
    arrays = {part: getattr(graph, part) for part in ARRAYS if getattr(graph, part) is not None}
    wanted = dict.fromkeys(arrays, manifest.edges) | {"indptr": manifest.nodes + 1}
    if graph.given is not None:
        wanted["given"] = manifest.nodes
    whole = len(graph) == manifest.nodes and all(len(arrays[part]) == wanted[part] for part in arrays)
    if not whole or graph.indptr[0] != 0 or graph.indptr[-1] != manifest.edges:
        raise InputError("its files and its graph.json disagree", place=folder, remedy=REBUILD)


def _relative(root: Path, folder: Path) -> str:
    relative = Path(os.path.relpath(root.resolve(), folder.resolve()))
    near = relative.parts[:2] != ("..", "..")
    return relative.as_posix() if near else root.resolve().as_posix()


def _resolve(folder: Path, root: str) -> Path:
    return Path(os.path.normpath(folder / root))
