from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace

import numpy as np
import pytest

from graphcond.errors import Notice, StorageError
from graphcond.io.cache import Arrays, Layout, cache_entry, cached, cached_rows
from graphcond.io.files import default_cache_folder

LAYOUTS = {"a": Layout((4, 2), np.float16), "b": Layout((4,), np.int64)}


class Filler:
    width = 2

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, rows: slice) -> Iterator[Arrays]:
        self.calls += 1
        numbers = np.arange(rows.start, rows.stop)
        yield {"a": np.full((len(numbers), self.width), 1.5), "b": numbers}


def filled(
    key: str, fill: Callable[[slice], Iterable[Arrays]], at_once: int = 100, **changed: Layout
) -> Arrays:
    return cached_rows(key, LAYOUTS | changed, fill, at_once=at_once)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path / "cache"))


def test_filled_once_and_memory_mapped() -> None:
    fill = Filler()
    for _ in range(2):
        arrays = filled("key", fill)
        assert isinstance(arrays["a"], np.memmap)
        assert (arrays["a"] == 1.5).all()
        assert arrays["b"].tolist() == [0, 1, 2, 3]
        with pytest.raises(ValueError, match="read-only"):
            arrays["a"][0, 0] = 0
    assert fill.calls == 1
    filled("other key", fill)
    assert fill.calls == 2


def test_what_is_damaged_or_of_another_shape_is_filled_again() -> None:
    fill = Filler()
    filled("key", fill)
    file = default_cache_folder() / "training" / "key" / "b.npy"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.warns(Notice, match="key is damaged and is computed again"):
        assert filled("key", fill)["b"].tolist() == [0, 1, 2, 3]
    assert fill.calls == 2
    fill.width = 3
    with pytest.warns(Notice, match="damaged"):
        filled("key", fill, a=Layout((4, 3), np.float16))
    assert fill.calls == 3


@pytest.mark.parametrize("name", ["a.npy", "b.npy", "SHA256SUMS"])
def test_a_flipped_bit_is_never_believed(name: str) -> None:
    fill = Filler()
    filled("key", fill)
    file = default_cache_folder() / "training" / "key" / name
    whole = file.read_bytes()
    for place in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[place] ^= 1 << place % 8
        file.write_bytes(broken)
        with pytest.warns(Notice, match="damaged"):
            arrays = filled("key", fill)
        assert (arrays["a"] == 1.5).all()
        assert arrays["b"].tolist() == [0, 1, 2, 3]
        assert file.read_bytes() == whole


def test_an_entry_without_checksums_is_filled_again() -> None:
    fill = Filler()
    filled("key", fill)
    (default_cache_folder() / "training" / "key" / "SHA256SUMS").unlink()
    filled("key", fill)
    assert fill.calls == 2


def test_a_failed_fill_leaves_nothing() -> None:
    def fail(rows: slice) -> Iterator[Arrays]:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        filled("key", fail)
    assert not any((default_cache_folder() / "training").iterdir())


def test_an_interrupted_fill_goes_on_where_it_was() -> None:
    asked: list[slice] = []
    seen: list[tuple[int, int]] = []

    def fill(rows: slice) -> Iterator[Arrays]:
        asked.append(rows)
        for row in range(rows.start, rows.stop):
            if row == 3 and len(asked) == 2:
                raise KeyboardInterrupt
            yield {"a": np.full((1, 2), row), "b": np.array([row])}

    def run() -> Arrays:
        return cached_rows("key", LAYOUTS, fill, at_once=2, progress=lambda *counts: seen.append(counts))

    with pytest.raises(KeyboardInterrupt):
        run()
    assert cached("training", "key", str) is None
    arrays = run()
    assert asked == [slice(0, 2), slice(2, 4), slice(2, 4)]
    assert arrays["b"].tolist() == arrays["a"][:, 0].tolist() == [0, 1, 2, 3]
    assert seen == [(0, 4), (1, 4), (2, 4), (2, 4), (3, 4), (2, 4), (3, 4), (4, 4)]
    assert not any((default_cache_folder() / "unfinished").iterdir())


def test_a_part_that_was_damaged_is_filled_again() -> None:
    fill = Filler()

    def stop(rows: slice) -> Iterator[Arrays]:
        if rows.start == 3:
            raise KeyboardInterrupt
        return fill(rows)

    with pytest.raises(KeyboardInterrupt):
        filled("key", stop, at_once=1)
    parts = sorted((default_cache_folder() / "unfinished" / "key").glob("*.npz"))
    assert len(parts) == fill.calls == 3
    broken = bytearray(parts[1].read_bytes())
    broken[len(broken) // 3] ^= 1
    parts[1].write_bytes(broken)
    parts[2].write_bytes(b"")
    assert filled("key", fill, at_once=1)["b"].tolist() == [0, 1, 2, 3]
    assert fill.calls == 6


def test_those_who_fill_at_once_divide_the_parts() -> None:
    both = Barrier(2)
    asked: list[int] = []

    def fill(rows: slice) -> Iterator[Arrays]:
        if rows.start < 2:
            both.wait(timeout=30)  # passed only if two are at it
        asked.append(rows.start)
        yield from Filler()(rows)

    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(filled, "key", fill, 1) for _ in range(2)]
        assert [one.result()["b"].tolist() for one in found] == [[0, 1, 2, 3]] * 2
    assert sorted(asked) == [0, 1, 2, 3]


def test_a_full_disk_is_seen_before_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=10))
    fill = Filler()
    with pytest.raises(StorageError, match="GB are needed") as error:
        filled("key", fill)
    assert "GRAPHCOND_CACHE" in str(error.value)
    assert fill.calls == 0


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="the cache cannot be written"):
        filled("key", Filler())


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
