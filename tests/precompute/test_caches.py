"""What is in the cache folder is told, checked and pruned."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from graphcond.features.feature_cache import FeatureCache
from graphcond.io.cache import Arrays, Layout, cache_entry, cached, cached_rows
from graphcond.io.files import default_cache_folder
from graphcond.precompute.caches import cache_entries, damaged_entries, prune_cache


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with two worlds, embeddings, and latents of which the half is there."""
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path / "cache"))
    for name in ("one", "two"):
        with cache_entry("worlds", name) as new:
            (new / "picture").write_bytes(bytes(1000))

    def fill(rows: slice) -> Iterator[Arrays]:
        if rows.start:
            raise KeyboardInterrupt
        yield {"moments": np.zeros(1)}

    with pytest.raises(KeyboardInterrupt):
        cached_rows("latents-0", {"moments": Layout((2,), np.float64)}, fill, at_once=1)
    FeatureCache().put("clip", {"key": np.zeros(8, np.float32)})
    return default_cache_folder()


def age(path: Path, days: float) -> None:
    for one in (path, *path.rglob("*")):
        os.utime(one, (time.time() - days * 86_400,) * 2)


def names(found: list[Path]) -> list[str]:
    return sorted(path.name for path in found)


def test_entries_have_their_kind_and_size(folder: Path) -> None:
    entries = cache_entries()
    assert [entry.sort for entry in entries] == ["unfinished/latents", "worlds", "worlds"]
    assert all(1000 < entry.bytes < 1200 and entry.unused < 0.1 for entry in entries[1:])
    assert FeatureCache().counts() == {"clip": (1, 32)}


def test_an_entry_that_is_deleted_meanwhile_is_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deleted(entry: Path, pattern: str) -> list[Path]:
        return [entry / "gone"] if entry.name == "one" else [*entry.glob(pattern)]

    monkeypatch.setattr(Path, "rglob", deleted)
    assert names([entry.folder for entry in cache_entries()]) == ["latents-0", "two"]


def test_an_empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path / "none"))
    assert (cache_entries(), list(damaged_entries()), prune_cache(0, features=True)) == ([], [], [])
    assert FeatureCache().counts() == {}
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("harm", [lambda file: file.write_bytes(bytes(999) + b"1"), Path.unlink])
def test_what_is_damaged_is_named(folder: Path, harm: Callable[[Path], object]) -> None:
    assert list(damaged_entries()) == []
    harm(folder / "worlds" / "two" / "picture")
    assert names([path for path, _ in damaged_entries()]) == ["two"]
    database = FeatureCache().file
    database.write_bytes(b"x" * 5000)
    assert names([path for path, _ in damaged_entries()]) == ["features.sqlite", "two"]


def test_what_was_not_used_for_long_is_deleted(folder: Path) -> None:
    for path in (folder / "worlds" / "one", folder / "worlds" / "two", folder / "unfinished" / "latents-0"):
        age(path, 40)
    assert cached("worlds", "one", lambda entry: len(list(entry.iterdir()))) == 2  # now it is used
    would = prune_cache(30, dry_run=True)
    assert names([entry.folder for entry in would]) == ["latents-0", "two"]
    assert len(cache_entries()) == 3
    gone = prune_cache(30, features=True)
    assert [entry.folder for entry in gone] == [entry.folder for entry in would]
    assert names([entry.folder for entry in cache_entries()]) == ["one"]
    assert FeatureCache().counts() == {"clip": (1, 32)}, "it was written just now"
    assert names([entry.folder for entry in prune_cache(0, features=True)]) == ["features.sqlite", "one"]
    assert FeatureCache().counts() == {}
