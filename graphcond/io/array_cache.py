"""Arrays that are computed once and read from disk afterwards, memory-mapped, however large."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from graphcond.errors import WriteError
from graphcond.io.files import atomic_folder, default_cache_folder

Arrays = dict[str, np.ndarray]


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
    """Read-only arrays from the cache, or filled now.

    Args:
        key: names the content; see `graphcond.io.fingerprint.fingerprint`.
        layouts: of every array, by name.
        fill: writes into empty arrays; called only if the cache has no whole set under ``key``.

    Raises:
        WriteError: the cache folder cannot be written or its disk is too small.
    """
    folder = default_cache_folder() / "training" / key
    cached = _open(folder, layouts)
    if cached is not None:
        return cached
    try:
        with atomic_folder(folder) as new:
            _check_space(new, layouts)
            _write(new, layouts, fill)
    except WriteError as error:
        raise WriteError(
            f"the training cache {error.problem}",
            place=folder,
            remedy="make room, or set GRAPHCOND_CACHE to another folder",
        ) from error
    return {name: _map(folder, name) for name in layouts}


def _write(folder: Path, layouts: Mapping[str, Layout], fill: Callable[[Arrays], None]) -> None:
    arrays = {
        name: open_memmap(_file(folder, name), mode="w+", dtype=layout.dtype, shape=layout.shape)
        for name, layout in layouts.items()
    }
    fill(dict(arrays))
    for array in arrays.values():
        array.flush()


def _open(folder: Path, layouts: Mapping[str, Layout]) -> Arrays | None:
    try:
        arrays = {name: _map(folder, name) for name in layouts}
    except (OSError, ValueError, EOFError):  # never written, or damaged: both are computed anew
        return None
    fits = all(arrays[name].shape == layout.shape for name, layout in layouts.items())
    return arrays if fits else None


def _map(folder: Path, name: str) -> np.ndarray:
    return np.load(_file(folder, name), mmap_mode="r", allow_pickle=False)


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy"


def _check_space(folder: Path, layouts: Mapping[str, Layout]) -> None:
    """Writing a memory map on a full disk kills the process, so look first."""
    needed, free = sum(layout.size for layout in layouts.values()), _free_bytes(folder)
    if needed > free:
        raise OSError(f"{needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free")


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free
