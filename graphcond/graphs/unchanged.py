"""Whether a graph folder is still what it was when a long run began to read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from graphcond.errors import InputError
from graphcond.graphs.manifest import MANIFEST, FileEntry, describe, read_manifest

Stamp: TypeAlias = tuple[int, int, int]
"""Inode, size and time of the last change in nanoseconds."""


@dataclass(frozen=True)
class FolderState:
    """A graph folder as it was: for each file its checksum and its stamp."""

    folder: Path
    files: Mapping[str, tuple[FileEntry, Stamp]]

    def check(self) -> None:
        """See that every file is the same; a file is only read if its stamp has changed.

        Raises:
            InputError: a file has another content, or is gone.
        """
        for name, (entry, stamp) in self.files.items():
            file = self.folder / name
            try:
                now = _stamp(file)
                same = now == stamp or _described(file, now) == entry
            except OSError:
                same = False
            if not same:
                raise InputError("was changed while it was in use", place=file, remedy="start again")


def folder_state(source: Path | str) -> FolderState | None:
    """The state of a graph folder, to be taken before it is opened; None where ``source`` is none.

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
    return found.st_ino, found.st_size, found.st_mtime_ns


@lru_cache
def _described(file: Path, stamp: Stamp) -> FileEntry:
    return describe(file)
