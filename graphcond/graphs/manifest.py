"""``graph.json``: what a graph folder holds, checked before anything else in it is read."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import ValidationError

from graphcond.component import Config
from graphcond.errors import InputError
from graphcond.files import read_json, write_json

MANIFEST = "graph.json"
REBUILD = "build it again with `graphcond data build`"

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
        """File name to entry, for those that the folder holds."""
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
    """What picture paths are relative to; itself relative to the graph folder, or absolute."""
    files: Files


def file_name(part: str) -> str:
    """The file that holds ``part`` of a graph."""
    return "nodes.arrow" if part == "nodes" else f"{part}.npy"


def describe(file: Path) -> FileEntry:
    """Size and checksum of ``file``."""
    with file.open("rb") as handle:
        return FileEntry(bytes=file.stat().st_size, sha256=hashlib.file_digest(handle, "sha256").hexdigest())


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write ``graph.json`` into ``folder``."""
    write_json(folder / MANIFEST, manifest.model_dump(exclude_none=True))


def read_manifest(folder: Path) -> Manifest:
    """Read ``graph.json`` and check that every file it lists has its size.

    Raises:
        InputError: no graph folder, one of another version, or one with a missing or shortened file.
    """
    place = folder / MANIFEST
    if not place.is_file():
        raise InputError(f"is no graph folder: it holds no {MANIFEST}", place=folder, remedy=REBUILD)
    manifest = parse_manifest(Manifest, read_json(place), place, what="graph folder", remedy=REBUILD)
    for name, entry in manifest.files.present().items():
        _check_size(folder / name, entry)
    return manifest


def parse_manifest(
    kind: type[AnyManifest], content: object, place: Path, *, what: str, remedy: str
) -> AnyManifest:
    """The manifest that stands in ``place``, a file of the folder that it describes.

    Args:
        kind: its class; the default of its ``version`` is the only one that is read.
        content: the file's JSON.
        place: the file.
        what: what an error calls the folder.
        remedy: what an error tells to do.

    Raises:
        InputError: it is of another version, or something in it is missing, unknown or of the wrong type.
    """
    version = content.get("version") if isinstance(content, dict) else None
    known = kind.model_fields["version"].default
    if version != known:
        raise InputError(
            f"is a {what} of version {version!r:.20}, and this graphcond reads version {known}",
            place=place.parent,
            remedy=remedy,
        )
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"'{where}': {first['msg']}", place=place, remedy=remedy) from None


def check_sums(folder: Path, manifest: Manifest) -> None:
    """Compare the checksum of every file with the manifest; reads the whole folder.

    Raises:
        InputError: a file was changed.
    """
    for name, entry in manifest.files.present().items():
        if describe(folder / name) != entry:
            raise InputError(
                "does not have its checksum: it was changed", place=folder / name, remedy=REBUILD
            )


def _check_size(file: Path, entry: FileEntry) -> None:
    if not file.is_file():
        raise InputError("is missing", place=file, remedy=REBUILD)
    if file.stat().st_size != entry.bytes:
        raise InputError(
            f"has {file.stat().st_size} bytes instead of {entry.bytes}: it was cut short or changed",
            place=file,
            remedy=REBUILD,
        )
