from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphcond.graphs.store import npy_file, save_array


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32, np.uint8])
@pytest.mark.parametrize("lengths", [[], [0], [1], [3, 0, 100_000]])
def test_pieces_give_the_bytes_of_numpy(tmp_path: Path, dtype: type, lengths: list[int]) -> None:
    pieces = [np.arange(length).astype(dtype) for length in lengths]
    with npy_file(tmp_path / "pieces.npy", np.dtype(dtype)) as append:
        for piece in pieces:
            append(piece)
    np.save(tmp_path / "whole.npy", np.concatenate([np.empty(0, dtype), *pieces]))
    assert (tmp_path / "pieces.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


@pytest.mark.parametrize("shape", [(0,), (5,), (3, 4), (0, 4)])
def test_a_whole_array_gives_the_bytes_of_numpy(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape)).reshape(shape)
    save_array(tmp_path / "ours.npy", array)
    np.save(tmp_path / "numpy.npy", array)
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()
