"""Arrays written to ``.npy`` files piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np


class NpyWriter:
    """A one-dimensional array that grows in its file; `numpy.save` gives the same bytes.

    Args:
        handle: an empty file.
        dtype: of the entries.
    """

    def __init__(self, handle: BinaryIO, dtype: np.dtype) -> None:
        self.handle, self.dtype, self.length = handle, dtype, 0
        self._write_header()

    def append(self, array: np.ndarray) -> None:
        """Write more entries.

        Raises:
            OSError: the disk is full.
        """
        write_array(self.handle, array.astype(self.dtype, copy=False))
        self.length += len(array)

    def finish(self) -> None:
        """Write the length; numpy leaves room for it in the header."""
        self.handle.seek(0)
        self._write_header()

    def _write_header(self) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (self.length,),
        }
        np.lib.format.write_array_header_1_0(self.handle, header)


@contextmanager
def npy_file(file: Path, dtype: np.dtype) -> Iterator[NpyWriter]:
    """Open a new ``.npy`` file to append to.

    Raises:
        OSError: the place refuses, or its disk is full.
    """
    with file.open("wb") as handle:
        writer = NpyWriter(handle, dtype)
        yield writer
        writer.finish()


def save_array(file: Path, array: np.ndarray) -> None:
    """Write a whole array, as `numpy.save` does.

    Raises:
        OSError: the place refuses, or its disk is full.
    """
    with file.open("wb") as handle:
        np.lib.format.write_array_header_1_0(handle, np.lib.format.header_data_from_array_1_0(array))
        write_array(handle, array)


def write_array(handle: BinaryIO, array: np.ndarray) -> None:
    """Write an array's bytes; `numpy.ndarray.tofile` does not say why it cannot.

    Raises:
        OSError: the disk is full.
    """
    handle.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
