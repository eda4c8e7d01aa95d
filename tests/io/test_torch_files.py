"""Files of torch.save: read without running anything, whatever stands in them."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphcond.errors import InputError
from graphcond.io.tensors import load_torch_file
from tests.graphs.pickles import Malicious

CONTENT = {
    "weight": torch.arange(6.0).reshape(2, 3),
    "steps": [1, 2.5, "three", None],
    "deep": {"x": (True,)},
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("in_memory", [True, False])
def test_tensors_numbers_lists_and_dicts(tmp_path: Path, zipped: bool, in_memory: bool) -> None:
    torch.save(CONTENT, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    found = load_torch_file(tmp_path / "a.pt", in_memory=in_memory)
    assert torch.equal(found.pop("weight"), CONTENT["weight"])
    assert found == {"steps": CONTENT["steps"], "deep": CONTENT["deep"]}


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "float16", "float32", "float64"])
def test_numpy_arrays_and_numbers(tmp_path: Path, dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    torch.save({"array": array, "number": array[1, 2]}, tmp_path / "a.pt")
    found = load_torch_file(tmp_path / "a.pt")
    assert found["array"].dtype == array.dtype
    assert np.array_equal(found["array"], array)
    assert found["number"] == array[1, 2]


class Named:
    """A class of somebody's package."""


def test_a_class_only_where_it_is_allowed(tmp_path: Path) -> None:
    torch.save(Named(), tmp_path / "a.pt")
    assert isinstance(load_torch_file(tmp_path / "a.pt", classes=[Named]), Named)
    with pytest.raises(InputError, match="it could run code"):
        load_torch_file(tmp_path / "a.pt")


def pickled(file: Path, content: Any) -> None:
    file.write_bytes(pickle.dumps(content))


def saved_as_of_old(file: Path, content: Any) -> None:
    torch.save(content, file, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("write", [lambda file, content: torch.save(content, file), saved_as_of_old, pickled])
@pytest.mark.parametrize("wrap", [lambda evil: evil, lambda evil: [evil], lambda evil: OrderedDict(a=evil)])
def test_nothing_is_executed(tmp_path: Path, recwarn: pytest.WarningsRecorder, write: Any, wrap: Any) -> None:
    write(tmp_path / "evil.pt", wrap(Malicious(tmp_path / "executed")))
    with pytest.raises(InputError, match=r"evil\.pt: .* it could run code"):
        load_torch_file(tmp_path / "evil.pt")
    assert not recwarn.list
    assert [path.name for path in tmp_path.iterdir()] == ["evil.pt"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged"),
        (b"hello", "is damaged"),
        (b"\x80", "is damaged"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "is damaged"),
        (b"PK\x03\x04", "cannot be read: PytorchStreamReader failed"),
    ],
)
def test_what_is_no_such_file(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.pt: the file {message}"):
        load_torch_file(tmp_path / "a.pt")


@pytest.mark.parametrize("kept", [100, 700, -200])
def test_a_file_that_was_cut_off(tmp_path: Path, kept: int) -> None:
    torch.save(CONTENT, tmp_path / "a.pt")
    (tmp_path / "a.pt").write_bytes((tmp_path / "a.pt").read_bytes()[:kept])
    with pytest.raises(InputError, match=r"a\.pt: "):
        load_torch_file(tmp_path / "a.pt")


def test_no_file(tmp_path: Path) -> None:
    for path, problem in ((tmp_path / "nowhere.pt", "no such file"), (tmp_path, "got a folder")):
        with pytest.raises(InputError, match=problem):
            load_torch_file(path)


def test_too_little_memory_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(CONTENT, tmp_path / "a.pt")

    def full(*args: Any, **options: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(torch, "load", full)
    with pytest.raises(MemoryError):
        load_torch_file(tmp_path / "a.pt")
