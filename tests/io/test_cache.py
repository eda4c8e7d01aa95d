from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from graphcond.errors import Notice, StorageError
from graphcond.io.cache import Arrays, Layout, cache_entry, cached, cached_arrays
from graphcond.io.files import default_cache_folder

LAYOUTS = {"a": Layout((3, 2), np.float16), "b": Layout((4,), np.int64)}


class Filler:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, arrays: Arrays) -> None:
        self.calls += 1
        arrays["a"][:] = 1.5
        arrays["b"][:] = np.arange(4)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path / "cache"))


def test_filled_once_and_memory_mapped() -> None:
    fill = Filler()
    for _ in range(2):
        arrays = cached_arrays("key", LAYOUTS, fill)
        assert isinstance(arrays["a"], np.memmap)
        assert (arrays["a"] == 1.5).all()
        assert arrays["b"].tolist() == [0, 1, 2, 3]
        with pytest.raises(ValueError, match="read-only"):
            arrays["a"][0, 0] = 0
    assert fill.calls == 1
    cached_arrays("other key", LAYOUTS, fill)
    assert fill.calls == 2


def test_what_is_damaged_or_of_another_shape_is_filled_again() -> None:
    fill = Filler()
    cached_arrays("key", LAYOUTS, fill)
    file = default_cache_folder() / "training" / "key" / "b.npy"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.warns(Notice, match="key is damaged and is computed again"):
        assert cached_arrays("key", LAYOUTS, fill)["b"].tolist() == [0, 1, 2, 3]
    assert fill.calls == 2
    with pytest.warns(Notice, match="damaged"):
        cached_arrays("key", LAYOUTS | {"a": Layout((5, 2), np.float16)}, fill)
    assert fill.calls == 3


@pytest.mark.parametrize("name", ["a.npy", "b.npy", "SHA256SUMS"])
def test_a_flipped_bit_is_never_believed(name: str) -> None:
    fill = Filler()
    cached_arrays("key", LAYOUTS, fill)
    file = default_cache_folder() / "training" / "key" / name
    whole = file.read_bytes()
    for place in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[place] ^= 1 << place % 8
        file.write_bytes(broken)
        with pytest.warns(Notice, match="damaged"):
            arrays = cached_arrays("key", LAYOUTS, fill)
        assert (arrays["a"] == 1.5).all()
        assert arrays["b"].tolist() == [0, 1, 2, 3]
        assert file.read_bytes() == whole


def test_an_entry_without_checksums_is_filled_again() -> None:
    fill = Filler()
    cached_arrays("key", LAYOUTS, fill)
    (default_cache_folder() / "training" / "key" / "SHA256SUMS").unlink()
    cached_arrays("key", LAYOUTS, fill)
    assert fill.calls == 2


def test_a_failed_fill_leaves_nothing() -> None:
    def fail(arrays: Arrays) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        cached_arrays("key", LAYOUTS, fail)
    assert not any((default_cache_folder() / "training").iterdir())


def test_a_full_disk_is_seen_before_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=10))
    fill = Filler()
    with pytest.raises(StorageError, match="GB are needed") as error:
        cached_arrays("key", LAYOUTS, fill)
    assert "GRAPHCOND_CACHE" in str(error.value)
    assert fill.calls == 0


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="the cache cannot be written"):
        cached_arrays("key", LAYOUTS, Filler())


def test_an_entry_is_there_whole_or_not_at_all() -> None:
    def read(folder: Path) -> str:
        return (folder / "text").read_text()

    def write(text: str) -> None:
        with cache_entry("room", "key") as folder:
            (folder / "text").write_text(text)
            if text == "half":
                raise KeyboardInterrupt

    assert cached("room", "key", read) is None
    with pytest.raises(KeyboardInterrupt):
        write("half")
    assert cached("room", "key", read) is None
    write("whole")
    assert cached("room", "key", read) == "whole"
    with pytest.raises(KeyboardInterrupt):
        write("half")
    assert cached("room", "key", read) == "whole"
