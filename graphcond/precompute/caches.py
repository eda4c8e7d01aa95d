"""The cache folder: its entries, those that are damaged, and those that were not used for long."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from graphcond.errors import InputError
from graphcond.features.feature_cache import FeatureCache
from graphcond.io.cache import UNFINISHED, intact
from graphcond.io.files import default_cache_folder, writing

DAY = 86_400.0
"""Seconds."""


@dataclass(frozen=True)
class CacheEntry:
    """One result in the cache folder.

    Args:
        folder: where its files are.
        sort: its room and kind: ``training/latents``, or ``unfinished/latents`` for parts of a result.
        bytes: size of its files.
        unused: days since it was last read or written.
    """

    folder: Path
    sort: str
    bytes: int
    unused: float


def cache_entries() -> list[CacheEntry]:
    """All results in the cache folder except embeddings, which `FeatureCache` keeps in one file."""
    root = default_cache_folder()
    found = []
    for folder in sorted(root.glob("*/*")):
        if folder.name.startswith(".") or not folder.is_dir():  # one that is being written
            continue
        kind = folder.name.rpartition("-")[0]
        try:
            states = [one.stat() for one in (folder, *folder.rglob("*"))]
        except FileNotFoundError:  # another process is deleting it, or parts of it
            continue
        size, used = sum(state.st_size for state in states[1:]), max(state.st_mtime for state in states)
        sort = f"{folder.parent.name}/{kind}" if kind else folder.parent.name
        found.append(CacheEntry(folder, sort, size, max(time.time() - used, 0.0) / DAY))
    return found


def damaged_entries() -> Iterator[tuple[Path, str]]:
    """Read everything in the cache folder; yields each damaged entry, with its problem."""
    for entry in cache_entries():
        if entry.folder.parent.name == UNFINISHED:  # its parts are checked when they are joined
            continue
        try:
            if not intact(entry.folder):
                yield entry.folder, "a file does not match its checksum"
        except (OSError, ValueError) as error:
            yield entry.folder, f"it cannot be read ({error})"
    try:
        FeatureCache().check()
    except InputError as error:
        yield FeatureCache().file, error.problem


def prune_cache(unused_for: float, *, features: bool = False, dry_run: bool = False) -> list[CacheEntry]:
    """Delete the results that nobody has used for a number of days.

    A running process keeps what it has opened, and computes again what it still needs.

    Args:
        unused_for: days.
        features: also delete the file of all embeddings, if nothing was written to it in these days.
        dry_run: delete nothing.

    Returns:
        What is deleted.

    Raises:
        StorageError: something cannot be deleted.
    """
    found = [entry for entry in cache_entries() if entry.unused >= unused_for]
    file = FeatureCache().file
    if features and file.exists():
        parts = sorted(file.parent.glob(f"{file.name}*"))
        unused = (time.time() - max(part.stat().st_mtime for part in parts)) / DAY
        size = sum(part.stat().st_size for part in parts)
        found += [CacheEntry(file, "features", size, unused)] if unused >= unused_for else []
    for entry in found if not dry_run else ():
        with writing(entry.folder):
            if entry.folder.is_dir():
                shutil.rmtree(entry.folder)
            else:
                for part in parts:
                    part.unlink()
    return found
