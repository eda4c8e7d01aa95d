"""Files of arrays that are damaged in any way are an error for the user."""

from __future__ import annotations

import io
import os
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from graphcond.errors import InputError
from graphcond.io.arrays import load_archive, load_array


def npy(header: str, data: bytes = b"") -> bytes:
    """An ``.npy`` file with any header."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"PK\x03\x04",
        npy("{"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", b"\0" * 4),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}", b"\0" * 12),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2**60, 2**60)}"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}"),
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"\0" * 8),
        npy("__import__('os').system('x')"),
        npy("[" * 300),
    ],
)
def test_damaged_arrays(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npy: .*Write it again"):
        load_array(tmp_path / "a.npy", remedy="write it again")


def test_archives(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    np.savez_compressed(file, x=np.arange(100), y=np.ones(3))
    x, y = load_archive(file, ("x", "y"), what="masks", remedy="write it again")
    assert (x.tolist(), y.tolist()) == (list(range(100)), [1, 1, 1])
    with pytest.raises(InputError, match="an archive of several"):
        load_array(file, remedy="write it again")
    with pytest.raises(InputError, match=r"cannot be read as masks \(.*z"):
        load_archive(file, ("z",), what="masks", remedy="write it again")
    whole = file.read_bytes()
    for place in range(0, len(whole), 3):
        broken = bytearray(whole)
        broken[place] ^= 0x55
        file.write_bytes(broken)
        with suppress(InputError):  # any other error fails
            load_archive(file, ("x", "y"), what="masks", remedy="write it again")
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("x.npy", npy("{"))
    file.write_bytes(sink.getvalue())
    with pytest.raises(InputError, match="cannot be read as masks"):
        load_archive(file, ("x",), what="masks", remedy="write it again")


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    for name, problem in {"pipe.npy": "not a regular file", "nowhere.npy": "no such file"}.items():
        with pytest.raises(InputError, match=problem):
            load_array(tmp_path / name, remedy="write it again")
