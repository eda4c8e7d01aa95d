"""Files of numpy arrays from anywhere: nothing in them is executed, and damage is an error for the user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from graphcond.errors import InputError
from graphcond.io.readable import check_readable


def load_array(path: Path, *, remedy: str) -> np.ndarray:
    """The array of an ``.npy`` file as a read-only memory map.

    Raises:
        InputError: the file is missing, damaged, no regular file or not one array of plain numbers.
    """
    path = Path(path)
    with _damage_told(path, "an array", remedy):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise InputError("expected one array, got an archive of several", place=path, remedy=remedy)
    return array


def load_archive(path: Path, names: Sequence[str], *, what: str, remedy: str) -> list[np.ndarray]:
    """The arrays of those names in an ``.npz`` file, in memory.

    Raises:
        InputError: the file is missing, damaged or no regular file, or lacks one; ``what`` names its content.
    """
    with _damage_told(path, what, remedy), np.load(path, allow_pickle=False) as archive:
        return [archive[name] for name in names]


@contextmanager
def _damage_told(path: Path, what: str, remedy: str) -> Iterator[None]:
    check_readable(path, missing=remedy)
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # numpy evaluates the header as Python text: a damaged one raises anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"the file cannot be read as {what} ({reason})", place=path, remedy=remedy) from None
