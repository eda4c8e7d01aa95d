"""Graph folders: a graph on disk that opens without being read, whatever its size.

A folder holds ``graph.json`` (see `graphcond.graphs.store`), the CSR arrays as ``.npy`` files and the
node table as an Arrow file. All of them are memory-mapped; pictures stay where they are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from graphcond.attributed_graph import AttributedGraph, NodeTable
from graphcond.config import Config, as_input_error
from graphcond.errors import InputError
from graphcond.graphs.columns import from_arrow, to_arrow
from graphcond.graphs.soundness import CHECKS, REBUILD, broken, check_arrays, check_columns, check_strings
from graphcond.io.arrays import load_array
from graphcond.io.cache import passed_once
from graphcond.io.files import atomic_folder, check_writable, read_json, would_lose, write_json
from graphcond.io.fingerprint import file_digest
from graphcond.io.readable import check_readable
from graphcond.io.tally import Tally


@contextmanager
def npy_file(file: Path, dtype: np.dtype) -> Iterator[Callable[[np.ndarray], None]]:
    """Open a new ``.npy`` file, and give the function that appends to its one-dimensional array.

    `numpy.save` gives the same bytes.

    Raises:
        OSError: the file cannot be written, or its disk is full.
    """
    with file.open("wb") as handle:

        def write_header(length: int) -> None:
            """Of one length in bytes, since numpy leaves room in it for any ``length``."""
            header = np.lib.format.header_data_from_array_1_0(np.empty(0, dtype)) | {"shape": (length,)}
            np.lib.format.write_array_header_1_0(handle, header)

        write_header(0)
        start = handle.tell()
        yield lambda array: write_array(handle, array.astype(dtype, copy=False))
        length = (handle.tell() - start) // dtype.itemsize
        handle.seek(0)
        write_header(length)


def save_array(file: Path, array: np.ndarray) -> None:
    """Write a whole array, as `numpy.save` does.

    Raises:
        OSError: the file cannot be written, or its disk is full.
    """
    with file.open("wb") as handle:
        np.lib.format.write_array_header_1_0(handle, np.lib.format.header_data_from_array_1_0(array))
        write_array(handle, array)


def write_array(handle: BinaryIO, array: np.ndarray) -> None:
    """Write an array's bytes; the errors of `numpy.ndarray.tofile` lack the cause.

    Raises:
        OSError: the disk is full.
    """
    handle.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


MANIFEST = "graph.json"

AnyManifest = TypeVar("AnyManifest", bound=Config)


class FileEntry(Config):
    """One file of a graph folder."""

    bytes: int
    """Its size."""
    sha256: str
    """Its checksum, in hexadecimal."""


class Files(Config):
    """The files of a graph folder."""

    indptr: FileEntry
    indices: FileEntry
    nodes: FileEntry
    weights: FileEntry | None = None
    edge_types: FileEntry | None = None
    given: FileEntry | None = None

    def present(self) -> dict[str, FileEntry]:
        """The entries of the files that the folder holds, by file name."""
        entries = {name: getattr(self, name) for name in type(self).model_fields}
        return {file_name(name): entry for name, entry in entries.items() if entry is not None}


class Manifest(Config):
    """The content of ``graph.json``."""

    format: Literal["graphcond graph"] = "graphcond graph"
    version: Literal[1] = 1
    nodes: int
    """Number of nodes."""
    edges: int
    """Number of entries of ``indices``: an undirected edge counts twice."""
    directed: bool
    edge_types: list[str]
    pictures_root: str | None = None
    """The folder that picture paths are relative to: absolute, or relative to the graph folder."""
    tally: Tally | None = None
    """What was read and left out when the graph was built."""
    files: Files


def file_name(part: str) -> str:
    """Name of the file with ``part`` of a graph."""
    return "nodes.arrow" if part == "nodes" else f"{part}.npy"


def describe(file: Path) -> FileEntry:
    """Size and checksum of ``file``."""
    return FileEntry(bytes=file.stat().st_size, sha256=file_digest(file))


def is_graph_folder(path: Path | str) -> bool:
    """Return True if ``path`` is a folder with a ``graph.json``."""
    return (Path(path) / MANIFEST).is_file()


def read_manifest(folder: Path) -> Manifest:
    """Read ``graph.json`` and check that every file it lists has its size.

    Raises:
        InputError: not a graph folder, one of another version, or one with a missing or shortened file.
    """
    place = folder / MANIFEST
    if not place.is_file():
        raise broken(f"expected a graph folder, but it has no {MANIFEST}", folder)
    manifest = parse_manifest(Manifest, read_json(place), place, what="graph folder", remedy=REBUILD)
    for name, entry in manifest.files.present().items():
        file = folder / name
        if not file.is_file():
            raise broken("the file is missing", file)
        size = file.stat().st_size
        if size != entry.bytes:
            raise broken(f"the file was cut short or changed: it has {size} bytes, not {entry.bytes}", file)
    return manifest


def parse_manifest(
    kind: type[AnyManifest], content: object, place: Path, *, what: str, remedy: str
) -> AnyManifest:
    """Validate the manifest of a folder.

    Args:
        kind: its class; the default of its ``version`` is the only version that is read.
        content: the file's JSON.
        place: the manifest's file.
        what: noun for the folder in errors.
        remedy: the remedy of errors.

    Raises:
        InputError: the version is another, or a field is missing, unknown or of the wrong type.
    """
    version = content.get("version") if isinstance(content, dict) else None
    known = kind.model_fields["version"].default
    if version != known:
        raise InputError(
            f"this is a {what} of version {version!r:.20}, and this graphcond reads version {known}",
            place=place.parent,
            remedy=remedy,
        )
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise as_input_error(error, kind, place, remedy=remedy) from None


def check_sums(folder: Path, manifest: Manifest) -> None:
    """Compare the checksum of every file with the manifest; reads the whole folder.

    Raises:
        InputError: a file was changed.
    """
    for name, entry in manifest.files.present().items():
        if describe(folder / name) != entry:
            raise broken("the file does not have its checksum: it was changed", folder / name)


ARRAYS = {"indptr": "i8", "indices": "i4 i8", "weights": "f4", "edge_types": "u1", "given": "i8"}
"""The arrays of a graph with the dtypes that each may have."""

ATTRIBUTE = "attribute:"
"""Prefix of the names of further columns in the Arrow file."""


def save_graph(graph: AttributedGraph, folder: Path | str) -> None:
    """Write ``graph`` as a graph folder that appears whole or not at all. Pictures are not copied.

    An existing graph folder is replaced.

    Raises:
        InputError: ``folder`` holds something else, or the graph's own pictures.
    """
    folder = Path(folder)
    check_replaceable(folder, graph.root)
    with atomic_folder(folder) as temporary:
        write_graph(graph, temporary, folder)


def open_graph(folder: Path | str) -> AttributedGraph:
    """Open a graph folder; its arrays and columns are memory maps.

    The first time, all of it is read and checked; that it passed is kept in the cache until a file changes.

    Raises:
        InputError: the folder is missing, cut short, changed, inconsistent or of another version.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    stamps = [_stamp(folder / name) for name in (MANIFEST, *manifest.files.present())]
    arrays = {part: _open_array(folder, part) for part in ARRAYS if getattr(manifest.files, part)}
    table = _open_nodes(folder / file_name("nodes"))
    # Each file can be whole and still belong to another graph.
    lengths = dict.fromkeys(ARRAYS, manifest.edges) | {"indptr": manifest.nodes + 1, "given": manifest.nodes}
    if len(table) != manifest.nodes or any(len(arrays[part]) != lengths[part] for part in arrays):
        raise broken("the files and graph.json disagree", folder)

    def check_content() -> None:
        """Read every file: whoever changes one can change its checksum too, so content is checked as well."""
        check_sums(folder, manifest)
        check_strings(table, folder / file_name("nodes"))
        files = {part: folder / file_name(part) for part in arrays}
        check_arrays(arrays, files, nodes=manifest.nodes, edge_types=len(manifest.edge_types))

    passed_once("graphs", (CHECKS, *stamps), check_content)
    root = manifest.pictures_root
    columns = {name: from_arrow(table[name]) for name in table.column_names}
    others = [name for name in columns if name.startswith(ATTRIBUTE)]
    return AttributedGraph(
        nodes=NodeTable(
            ids=columns["id"],
            texts=columns["text"],
            pictures=columns["picture"],
            types=columns.get("type"),
            splits=columns.get("split"),
            attributes={name.removeprefix(ATTRIBUTE): columns[name] for name in others},
        ),
        **arrays,
        edge_type_names=tuple(manifest.edge_types),
        directed=manifest.directed,
        root=None if root is None else Path(os.path.normpath(folder / root)),
        tally=manifest.tally or Tally(),
    )


def check_replaceable(folder: Path, root: Path | None = None) -> None:
    """Refuse to write a graph folder over anything but an empty or a graph folder.

    Raises:
        InputError: ``folder`` is a file, holds something else, or holds ``root``, the pictures' folder.
        StorageError: the folder cannot be written.
    """
    if would_lose(folder, MANIFEST):
        problem = "the folder exists and is not a graph folder"
        raise InputError(problem, place=folder, remedy="choose a new folder")
    if root is not None and root.resolve().is_relative_to(folder.resolve()):
        raise InputError(
            "the folder holds the pictures of this graph", place=folder, remedy="choose another folder"
        )
    check_writable(folder / MANIFEST)


def write_graph(graph: AttributedGraph, into: Path, folder: Path) -> None:
    """Write the files of a graph folder ``into`` a folder that will be moved to ``folder``.

    Files of arrays that exist already are left as they are.
    """
    for part in ARRAYS:
        array, file = getattr(graph, part), into / file_name(part)
        if array is not None and not file.exists():
            save_array(file, np.ascontiguousarray(array))
    _write_nodes(graph.nodes, into / file_name("nodes"))
    parts = [part for part in Files.model_fields if (into / file_name(part)).exists()]
    root = None if graph.root is None else graph.root.resolve()
    if root is not None:
        # Pictures in the folder, or beside it, are moved along with it; others stay where they are.
        relative = Path(os.path.relpath(root, folder.resolve()))
        root = root if relative.parts[:2] == ("..", "..") else relative
    manifest = Manifest(
        nodes=len(graph),
        edges=len(graph.indices),
        directed=graph.directed,
        edge_types=list(graph.edge_type_names),
        pictures_root=None if root is None else root.as_posix(),
        tally=graph.tally,
        files=Files(**{part: describe(into / file_name(part)) for part in parts}),
    )
    write_json(into / MANIFEST, manifest.model_dump(exclude_none=True))


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


def _open_nodes(file: Path) -> pa.Table:
    """The node table as a memory map; the names and types of its columns are checked."""
    check_readable(file)
    try:
        table = pa.ipc.open_file(pa.memory_map(str(file))).read_all()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise broken(f"the file cannot be read as a node table ({error})", file) from None
    check_columns(table, file)
    return table


def _open_array(folder: Path, part: str) -> np.ndarray:
    file = folder / file_name(part)
    array = load_array(file, remedy=REBUILD)
    kinds, dimensions = ARRAYS[part].split(), 2 if part == "given" else 1
    if array.dtype.str[1:] not in kinds or array.ndim != dimensions:
        known = " or ".join(np.dtype(kind).name for kind in kinds)
        raise broken(f"expected {dimensions}-d {known}, got {array.ndim}-d {array.dtype}", file)
    return array


Stamp: TypeAlias = tuple[int, int, int, int, int]
"""Device, inode, size, and the times of the last change of content and of inode in nanoseconds."""


@dataclass(frozen=True)
class FolderState:
    """The state of a graph folder: for each file its checksum and its stamp."""

    folder: Path
    files: Mapping[str, tuple[FileEntry, Stamp]]

    def check(self) -> None:
        """Check that every file is the same; a file is only read if its stamp has changed.

        Raises:
            InputError: a file has another content, or is missing.
        """
        for name, (entry, stamp) in self.files.items():
            file = self.folder / name
            try:
                now = _stamp(file)
                same = now == stamp or _described(file, now) == entry
            except (OSError, InputError):
                same = False
            if not same:
                raise InputError("the file was changed while it was in use", place=file, remedy="start again")


def folder_state(source: Path | str) -> FolderState | None:
    """The state of a graph folder, to be taken before it is opened; None if ``source`` is not one.

    Raises:
        InputError: a file is missing or cut short.
    """
    folder = Path(source)
    if not (folder / MANIFEST).is_file():
        return None
    entries = {MANIFEST: describe(folder / MANIFEST), **read_manifest(folder).files.present()}
    return FolderState(folder, {name: (entry, _stamp(folder / name)) for name, entry in entries.items()})


def _stamp(file: Path) -> Stamp:
    found = file.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@lru_cache
def _described(file: Path, stamp: Stamp) -> FileEntry:
    return describe(file)
