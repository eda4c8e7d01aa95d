"""Results that are computed once and kept in the cache folder, each in its own folder.

An entry appears whole or not at all, with the checksums of its files. An entry whose files do not have them,
or that cannot be read, counts as missing: it is computed again and replaced, and a notice says so. A cache
that cannot be written is an error that names ``GRAPHCOND_CACHE``.
"""

from __future__ import annotations

import errno
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.lib.format import open_memmap

from graphcond.errors import InputError, Notice, StorageError
from graphcond.io.arrays import load_array
from graphcond.io.files import atomic_folder, default_cache_folder
from graphcond.io.fingerprint import file_digest, fingerprint

Arrays = dict[str, np.ndarray]
Result = TypeVar("Result")


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
        if (folder / CHECKSUMS).read_text(encoding="utf-8") == _checksums(folder):
            return read(folder)
    except (InputError, OSError, ValueError, EOFError):
        pass
    warnings.warn(f"{folder} is damaged and is computed again", Notice, stacklevel=2)
    return None


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
        needed: bytes that will be written, if they are known. Writing a memory map on a full disk kills the
            process, so they are compared with the free space first.

    Raises:
        StorageError: the cache folder cannot be written, or its disk is too small.
    """
    folder = default_cache_folder() / room / key
    try:
        with atomic_folder(folder) as new:
            free = shutil.disk_usage(new).free
            if needed > free:
                lacks = f"{needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free"
                raise OSError(errno.ENOSPC, lacks)
            yield new
            (new / CHECKSUMS).write_text(_checksums(new), encoding="utf-8")
    except StorageError as error:
        raise StorageError(
            f"the cache {error.problem}",
            place=folder,
            remedy=f"{error.remedy} (GRAPHCOND_CACHE)",
        ) from error


@dataclass(frozen=True)
class Layout:
    """Shape and number format of one array."""

    shape: tuple[int, ...]
    dtype: type[np.generic]

    @property
    def size(self) -> int:
        """Bytes."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


def cached_arrays(key: str, layouts: Mapping[str, Layout], fill: Callable[[Arrays], None]) -> Arrays:
    """Read-only arrays from the cache, memory-mapped, however large; or filled now.

    Args:
        key: as for `cached`.
        layouts: of every array, by name.
        fill: writes into empty arrays; called only if the cache has no whole set under ``key``.

    Raises:
        StorageError: as `cache_entry`.
    """

    def read(folder: Path) -> Arrays:
        arrays = {name: load_array(folder / f"{name}.npy", remedy="delete the folder") for name in layouts}
        if any(arrays[name].shape != layout.shape for name, layout in layouts.items()):
            raise ValueError("an array has another shape")
        return arrays

    found = cached("training", key, read)
    if found is not None:
        return found
    with cache_entry("training", key, needed=sum(layout.size for layout in layouts.values())) as folder:
        arrays = {
            name: open_memmap(folder / f"{name}.npy", mode="w+", dtype=layout.dtype, shape=layout.shape)
            for name, layout in layouts.items()
        }
        fill(dict(arrays))
        for array in arrays.values():
            array.flush()
    return read(default_cache_folder() / "training" / key)
