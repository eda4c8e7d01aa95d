"""Precomputed embeddings: three formats in, floats out, nothing executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from graphcond.errors import InputError
from graphcond.features.embedding_files import load_embeddings

MATRIX = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)


def _write(path: Path, array: Any) -> Path:
    if path.suffix == ".npy":
        np.save(path, array.numpy() if isinstance(array, torch.Tensor) else array)
    elif path.suffix == ".safetensors":
        save_file({"x": torch.as_tensor(array)}, path)
    else:
        torch.save(torch.as_tensor(array), path)
    return path


@pytest.mark.parametrize("ending", [".npy", ".safetensors", ".pt"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_all_formats_return_what_was_stored(tmp_path: Path, ending: str, dtype: type) -> None:
    path = _write(tmp_path / f"x{ending}", MATRIX.astype(dtype))
    embeddings = load_embeddings(path, 5)
    assert embeddings.dtype == dtype
    np.testing.assert_array_equal(embeddings, MATRIX.astype(dtype))


def test_npy_stays_on_disk(tmp_path: Path) -> None:
    assert isinstance(load_embeddings(_write(tmp_path / "x.npy", MATRIX), 5), np.memmap)


@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
def test_bfloat16_becomes_float32(tmp_path: Path, ending: str) -> None:
    tensor = torch.from_numpy(MATRIX).bfloat16()
    embeddings = load_embeddings(_write(tmp_path / f"x{ending}", tensor), 5)
    np.testing.assert_array_equal(embeddings, tensor.float().numpy())


@pytest.mark.parametrize("ending", [".npy", ".safetensors", ".pt"])
@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (MATRIX[:4], "has 4 rows for 5 nodes"),
        (MATRIX.astype(np.int64), "int64"),
        (MATRIX.astype(np.float64), "float64"),
        (MATRIX[0], r"shape \(7,\)"),
        (MATRIX[:, :0], r"shape \(5, 0\)"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path: Path, ending: str, array: np.ndarray, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        load_embeddings(_write(tmp_path / f"x{ending}", array), 5)


@pytest.mark.parametrize("ending", [".npy", ".safetensors", ".pt"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_named(tmp_path: Path, ending: str, dtype: type, wrong: float) -> None:
    matrix = np.ones((5000, 3), dtype)
    matrix[[4321, 4999], 2] = wrong
    path = _write(tmp_path / f"x{ending}", matrix)
    with pytest.raises(InputError, match=rf"x\{ending}: row 4321, counted from 0, holds NaN or infinity"):
        load_embeddings(path, 5000)


@pytest.mark.parametrize("ending", [".npy", ".safetensors", ".pt"])
def test_truncated_files_are_refused(tmp_path: Path, ending: str) -> None:
    path = _write(tmp_path / f"x{ending}", MATRIX)
    whole = path.read_bytes()
    for content in (whole[:150], b"abc", b""):
        path.write_bytes(content)
        with pytest.raises(
            InputError, match=r"cannot be read as embeddings \(.+\)|is damaged|cannot be read: "
        ):
            load_embeddings(path, 5)


@pytest.mark.parametrize("ending", [".npy", ".safetensors", ".pt"])
def test_missing_files_are_refused(tmp_path: Path, ending: str) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_embeddings(tmp_path / f"x{ending}", 5)


class _Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("trap-was-sprung"),)


def test_pickles_are_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(_Trap(), "x.pt")
    np.save("x.npy", np.array([_Trap()], object), allow_pickle=True)
    for name in ("x.pt", "x.npy"):
        with pytest.raises(InputError, match=r"cannot be read|could run code"):
            load_embeddings(Path(name), 1)
    assert not Path("trap-was-sprung").exists()


def test_files_with_several_tensors_are_refused(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(5, 2), "y": torch.zeros(5, 2)}, tmp_path / "x.safetensors")
    torch.save({"x": torch.zeros(5, 2)}, tmp_path / "x.pt")
    with pytest.raises(InputError, match="2 tensors instead of one"):
        load_embeddings(tmp_path / "x.safetensors", 5)
    with pytest.raises(InputError, match=r"x\.pt: expected numbers in embeddings, got dict. Save a tensor"):
        load_embeddings(tmp_path / "x.pt", 5)


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"did you mean '\.npy'|Did you mean '\.npy'"):
        load_embeddings(tmp_path / "x.npz", 5)
