"""Results that are computed once and kept in the cache folder, each in its own folder.

An entry appears whole or not at all, with the checksums of its files. An entry whose files do not have them,
or that cannot be read, counts as missing: it is computed again and replaced, and a notice says so. A cache
that cannot be written is an error that names ``GRAPHCOND_CACHE``.
"""

from __future__ import annotations

import errno
import os
import shutil
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np
from numpy.lib.format import open_memmap

from graphcond.errors import InputError, Notice, StorageError
from graphcond.io.arrays import load_array
from graphcond.io.files import atomic_file, atomic_folder, default_cache_folder, writing
from graphcond.io.fingerprint import file_digest, fingerprint
from graphcond.io.locks import claimed, divided
from graphcond.progress import Progress, silent

Arrays = dict[str, np.ndarray]
Result = TypeVar("Result")


ROOM, UNFINISHED = "training", "unfinished"
"""The parts of the cache with the arrays of `cached_rows`, and with those that are not complete yet."""

CHECKSUMS = "SHA256SUMS"
"""File of an entry with the checksums of all others, as ``sha256sum --check`` reads them."""


def cached(room: str, key: str, read: Callable[[Path], Result]) -> Result | None:
    """The result that is kept under ``key``; None if there is none, or it is damaged.

    All files of the entry are read once, about 1 GB/s.

    Args:
        room: the part of the cache.
        key: names the inputs of the result; see `graphcond.io.fingerprint.fingerprint`.
        read: the result in a folder. It raises an `InputError`, an `OSError` or a `ValueError` if it is not
            there or not whole.
    """
    folder = default_cache_folder() / room / key
    if not (folder / CHECKSUMS).exists():  # no entry, or one of a version without checksums
        return None
    try:
        if intact(folder):
            result = read(folder)
            with suppress(OSError):
                os.utime(folder)  # entries that were not used for long may be pruned
            return result
    except (InputError, OSError, ValueError, EOFError):
        pass
    warnings.warn(f"{folder} is damaged and is computed again", Notice, stacklevel=2)
    return None


def intact(entry: Path) -> bool:
    """True if the files of an entry have their checksums.

    Raises:
        OSError, ValueError: a file cannot be read, or the checksums are not text.
    """
    return (entry / CHECKSUMS).read_text(encoding="utf-8") == _checksums(entry)


def _checksums(folder: Path) -> str:
    files = (file for file in sorted(folder.rglob("*")) if not file.is_dir() and file.name != CHECKSUMS)
    return "".join(f"{file_digest(file)}  {file.relative_to(folder).as_posix()}\n" for file in files)


def passed_once(room: str, parts: Sequence[object], check: Callable[[], None]) -> None:
    """Run ``check``, unless it passed before for the same inputs.

    That it passed is kept as an empty file in the cache; where that cannot be written, it runs each time.

    Args:
        room: the part of the cache.
        parts: what the outcome depends on; see `graphcond.io.fingerprint.fingerprint`.
        check: raises if something is wrong.
    """
    passed = default_cache_folder() / room / fingerprint(*parts)
    if passed.is_file():
        return
    check()
    with suppress(OSError):
        passed.parent.mkdir(parents=True, exist_ok=True)
        passed.touch()


@contextmanager
def cache_entry(room: str, key: str, *, needed: int = 0) -> Iterator[Path]:
    """Yield an empty folder to write a result into; it is kept under ``key`` if the block succeeds.

    Args:
        room: the part of the cache.
        key: as for `cached`.
        needed: bytes that will be written, if they are known; they are compared with the free space first.

    Raises:
        StorageError: the cache folder cannot be written, or its disk is too small.
    """
    folder = default_cache_folder() / room / key
    with _naming_the_cache(folder), atomic_folder(folder) as new:
        check_room(new, needed)
        yield new
        (new / CHECKSUMS).write_text(_checksums(new), encoding="utf-8")


def check_room(folder: Path, needed: int) -> None:
    """Check that a disk has room: writing a memory map on a full disk kills the process.

    Raises:
        OSError: fewer than ``needed`` bytes are free.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(errno.ENOSPC, f"{needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free")


@contextmanager
def _naming_the_cache(place: Path) -> Iterator[None]:
    try:
        yield
    except StorageError as error:
        remedy = f"{error.remedy} (GRAPHCOND_CACHE)"
        raise StorageError(f"the cache {error.problem}", place=place, remedy=remedy) from error


@dataclass(frozen=True)
class Layout:
    """Shape and number format of one array."""

    shape: tuple[int, ...]
    dtype: type[np.generic]

    @property
    def size(self) -> int:
        """Bytes."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


def cached_rows(
    key: str,
    layouts: Mapping[str, Layout],
    fill: Callable[[slice], Iterable[Arrays]],
    *,
    at_once: int,
    progress: Progress | None = None,
) -> Arrays:
    """Read-only arrays from the cache, memory-mapped, however large; or filled now, part by part.

    Processes that fill the same arrays at once divide the parts. A process that is killed loses the parts
    that it worked on; the others are kept, as files with checksums. While parts are joined they need their
    space twice.

    Args:
        key: as for `cached`.
        layouts: of every array, by name; all have the same number of rows.
        fill: yields the rows of a part, in order, in pieces of any length. What it yields must not depend on
            the part.
        at_once: rows of a part.
        progress: called with the rows that are done, by any process, and all rows.

    Raises:
        StorageError: as `cache_entry`.
    """
    return _Rows(key, layouts, fill, at_once, progress).arrays()


class _Rows:
    """The work of `cached_rows`."""

    def __init__(
        self,
        key: str,
        layouts: Mapping[str, Layout],
        fill: Callable[[slice], Iterable[Arrays]],
        at_once: int,
        progress: Progress | None,
    ) -> None:
        self._key, self._layouts, self._fill = key, layouts, fill
        self._progress = progress or silent(key)
        self._count, self._at_once = next(iter(layouts.values())).shape[0], at_once
        self._entry = default_cache_folder() / ROOM / key
        self._work = default_cache_folder() / UNFINISHED / key
        self._before = self._stamp()

    def arrays(self) -> Arrays:
        found = cached(ROOM, self._key, self._read)
        if found is not None:
            return found
        size = sum(layout.size for layout in self._layouts.values())
        with _naming_the_cache(self._entry), writing(self._work):
            self._work.mkdir(parents=True, exist_ok=True)
            check_room(self._work, size)
        parts = [f"{start:012d}" for start in range(0, self._count, self._at_once)]
        if len(parts) > 1:  # a single part is written where it belongs at once
            divided(self._work, parts, lambda part: self._whole() or self._file(part).exists(), self._do)
        with claimed(self._work / "whole.lock", wait=True):
            if not self._whole():
                with cache_entry(ROOM, self._key, needed=size) as folder:
                    self._join(parts, folder)
        shutil.rmtree(self._work, ignore_errors=True)
        return self._read(self._entry)

    def _read(self, folder: Path) -> Arrays:
        arrays = {
            name: load_array(folder / f"{name}.npy", remedy="delete the folder") for name in self._layouts
        }
        if any(arrays[name].shape != layout.shape for name, layout in self._layouts.items()):
            raise ValueError("an array has another shape")
        return arrays

    def _stamp(self) -> tuple[int, int] | None:
        with suppress(OSError):
            state = (self._entry / CHECKSUMS).stat()
            return state.st_ino, state.st_mtime_ns
        return None

    def _whole(self) -> bool:
        """True if another process has joined and deleted the parts since this object was made."""
        return self._stamp() not in (None, self._before)

    def _file(self, part: str) -> Path:
        return self._work / f"{part}.npz"

    def _rows(self, part: str) -> slice:
        return slice(int(part), min(int(part) + self._at_once, self._count))

    def _do(self, part: str) -> None:
        arrays: dict[str, Any] = {
            name: array.astype(self._layouts[name].dtype) for name, array in self._filled(part).items()
        }
        with (
            _naming_the_cache(self._file(part)),
            atomic_file(self._file(part)) as new,
            new.open("wb") as opened,
        ):
            np.savez(opened, **arrays)

    def _filled(self, part: str) -> Arrays:
        done = min(self._at_once * len(list(self._work.glob("*.npz"))), self._count)
        self._progress(done, self._count)
        pieces: list[Arrays] = []
        for piece in self._fill(self._rows(part)):
            pieces.append(piece)
            done = min(done + len(next(iter(piece.values()))), self._count)
            self._progress(done, self._count)
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in self._layouts}

    def _join(self, parts: Sequence[str], folder: Path) -> None:
        joined = {
            name: open_memmap(folder / f"{name}.npy", mode="w+", dtype=one.dtype, shape=one.shape)
            for name, one in self._layouts.items()
        }
        for part in parts:
            for name, array in (self._kept(part) or self._filled(part)).items():
                joined[name][self._rows(part)] = array
        for array in joined.values():
            array.flush()

    def _kept(self, part: str) -> Arrays | None:
        """The arrays of a part; None if it is missing or damaged, which the checksums of its file show."""
        try:
            with np.load(self._file(part)) as arrays:
                return {name: arrays[name] for name in self._layouts}
        except (OSError, ValueError, EOFError, KeyError, BadZipFile, zlib.error):
            return None
