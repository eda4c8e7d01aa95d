"""The cache computes once, survives processes and kills, and says when it is damaged."""

from __future__ import annotations

import hashlib
import multiprocessing
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Barrier
from weakref import ref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from graphcond.errors import InputError
from graphcond.features.feature_cache import FeatureCache, cached_pictures, cached_texts, picture_table
from graphcond.io.files import default_cache_folder


class Counting:
    """Embeds a picture as its mean color and a text as its length, and counts what it is asked."""

    identity = "counting@1"
    width = 3

    def __init__(self) -> None:
        self.asked: list[int] = []

    def embed_pictures(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        self.asked.append(len(pictures))
        return np.array([np.asarray(picture).mean((0, 1)) for picture in pictures], np.float32)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.asked.append(len(texts))
        return np.array([[len(text)] * 3 for text in texts], np.float32)


def _picture(path: Path, color: str) -> Path:
    Image.new("RGB", (4, 4), color).save(path)
    return path


@pytest.fixture
def paths(tmp_path: Path) -> list[Path | None]:
    red, copy, blue = (
        _picture(tmp_path / name, color)
        for name, color in (("a.png", "red"), ("b.png", "red"), ("c.png", "blue"))
    )
    return [red, None, copy, blue, red]


EXPECTED = np.array([[255, 0, 0], [0, 0, 0], [255, 0, 0], [0, 0, 255], [255, 0, 0]], np.float32)


@pytest.mark.parametrize("keep", [True, False])
def test_each_content_is_embedded_once(paths: list[Path | None], tmp_path: Path, keep: bool) -> None:
    cache = FeatureCache(tmp_path / "cache") if keep else None
    extractor = Counting()
    for _ in range(2):
        np.testing.assert_array_equal(cached_pictures(extractor, paths, cache), EXPECTED)
    assert extractor.asked == ([2] if keep else [2, 2])


def test_changed_pictures_are_embedded_again(tmp_path: Path) -> None:
    cache, extractor = FeatureCache(tmp_path), Counting()
    path = _picture(tmp_path / "x.png", "red")
    cached_pictures(extractor, [path], cache)
    _picture(path, "blue")
    np.testing.assert_array_equal(cached_pictures(extractor, [path], cache), [[0, 0, 255]])


def test_extractors_and_kinds_are_kept_apart(tmp_path: Path) -> None:
    cache, extractor, other = FeatureCache(tmp_path), Counting(), Counting()
    other.identity = "counting@2"
    cached_texts(extractor, ["a", "bc", "a"], cache)
    cached_texts(other, ["a"], cache)
    assert extractor.asked == [2]
    assert other.asked == [1]
    assert cache.get(extractor.identity, [_key("a")]) == {}
    assert cache.get(f"{extractor.identity}#text", [_key("a"), "unknown"]).keys() == {_key("a")}


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_progress_counts_up_to_all(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    texts = [str(number) for number in range(75)]
    for _ in range(2):
        cached_texts(Counting(), texts, FeatureCache(tmp_path), lambda *counts: seen.append(counts))
    assert seen == [(0, 75), (32, 75), (64, 75), (75, 75), (75, 75)]


def test_an_interrupted_run_keeps_what_it_had(tmp_path: Path) -> None:
    cache, extractor = FeatureCache(tmp_path), Counting()
    texts = [str(number) for number in range(75)]

    def stop(done: int, _: int) -> None:
        if done == 64:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_texts(extractor, texts, cache, stop)
    cached_texts(extractor, texts, cache)
    assert extractor.asked == [32, 32, 11]


def test_those_who_embed_at_once_divide_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphcond.features.feature_cache.PART", 10)
    texts, both = [str(number) for number in range(35)], Barrier(2)
    extractors = [Counting(), Counting()]

    def fill(extractor: Counting) -> np.ndarray:
        def meet(done: int, total: int) -> None:
            if len(extractor.asked) == 1:
                both.wait(timeout=30)  # passed only if each has embedded a part

        return cached_texts(extractor, texts, FeatureCache(tmp_path), meet)

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(fill, extractors)
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(one[:, 0], [len(text) for text in texts])
    assert sum(sum(extractor.asked) for extractor in extractors) == 35
    assert all(extractor.asked for extractor in extractors)
    assert not any((tmp_path / "unfinished").iterdir())


def test_those_who_open_a_new_cache_at_once_wait_for_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        for attempt in range(50):
            together, cache = Barrier(4), FeatureCache(tmp_path / str(attempt))

            def look(_: int, together: Barrier = together, cache: FeatureCache = cache) -> object:
                together.wait(timeout=30)
                return cache.get("counting", ["a"])

            assert list(pool.map(look, range(4))) == [{}] * 4


def test_jpegs_are_decoded_no_larger_than_the_network_needs(tmp_path: Path) -> None:
    class Seeing(Counting):
        side = 50

        def embed_pictures(self, pictures: Sequence[Image.Image]) -> np.ndarray:
            return np.array([[*picture.size, 0] for picture in pictures], np.float32)

    Image.new("RGB", (900, 420)).save(tmp_path / "large.jpg")
    Image.new("RGB", (199, 900)).save(tmp_path / "narrow.jpg")
    Image.new("RGB", (900, 420)).save(tmp_path / "large.png")
    paths = [tmp_path / name for name in ("large.jpg", "narrow.jpg", "large.png")]
    sizes = cached_pictures(Seeing(), paths, cache := FeatureCache(tmp_path))
    np.testing.assert_array_equal(sizes[:, :2], [[225, 105], [199, 900], [900, 420]])
    assert list(cache.counts()) == ["counting@1#draft100"]  # apart from those of whole pictures
    assert cache.counts()["counting@1#draft100"] == (3, 36)


def test_a_table_need_not_keep_its_network(paths: list[Path | None]) -> None:
    extractor = Counting()
    gone = ref(extractor)
    table = picture_table(extractor, paths, again=Counting)
    del extractor
    assert gone() is None
    np.testing.assert_array_equal(table[np.arange(len(paths))], EXPECTED)


@given(st.lists(st.text(), max_size=8))
def test_rows_follow_the_texts(texts: list[str]) -> None:
    rows = cached_texts(Counting(), texts)
    np.testing.assert_array_equal(rows, np.array([[len(text)] * 3 for text in texts]).reshape(-1, 3))


def test_vectors_return_bit_for_bit(tmp_path: Path) -> None:
    vector = np.random.default_rng(0).standard_normal(1024).astype(np.float32)
    FeatureCache(tmp_path).put("x", {"key": vector})
    np.testing.assert_array_equal(FeatureCache(tmp_path).get("x", ["key"])["key"], vector)


def _write(folder: Path, number: int, steps: int, running: Connection) -> None:
    cache = FeatureCache(folder)
    for step in range(steps):
        cache.put("x", {f"{number}-{step}-{i}": np.full(256, step, np.float32) for i in range(16)})
        if step == 5:
            running.send(True)


def _start(folder: Path, number: int, steps: int) -> tuple[BaseProcess, Connection]:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_write, args=(folder, number, steps, sender))
    process.start()
    return process, receiver


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_processes_write_at_once_and_a_kill_does_no_harm(tmp_path: Path) -> None:
    victim, running = _start(tmp_path, 9, 10**6)
    writers = [_start(tmp_path, number, 20)[0] for number in (0, 1)]
    assert running.recv()
    victim.kill()
    for process in (victim, *writers):
        process.join()
    assert [process.exitcode for process in (victim, *writers)] == [-signal.SIGKILL, 0, 0]
    keys = [f"{number}-{step}-{i}" for number in (0, 1) for step in range(20) for i in range(16)]
    found = FeatureCache(tmp_path).get("x", [*keys, "9-3-0"])
    assert len(found) == len(keys) + 1
    assert all((vector == int(key.split("-")[1])).all() for key, vector in found.items())


def test_a_file_that_is_no_cache_is_named(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    cache.file.write_text("not a database, but long enough to be looked at" * 100)
    with pytest.raises(InputError, match=r"features\.sqlite: the feature cache is damaged.*Delete the file"):
        cache.get("x", ["key"])


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    cache.put("x", {"key": np.full(64, 1.25, np.float32)})
    content = cache.file.read_bytes()
    number = np.float32(1.25).tobytes()
    assert number * 64 in content
    cache.file.write_bytes(content.replace(number * 64, number * 63 + np.float32(2).tobytes()))
    with pytest.raises(InputError, match="checksum"):
        cache.get("x", ["key"])


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="GRAPHCOND_CACHE"):
        FeatureCache(tmp_path / "file").put("x", {})


def test_very_large_pictures_are_scaled_down(tmp_path: Path) -> None:
    class Sizes(Counting):
        def embed_pictures(self, pictures: Sequence[Image.Image]) -> np.ndarray:
            return np.array([[*picture.size, 0] for picture in pictures], np.float32)

    Image.new("L", (5000, 2500)).save(tmp_path / "large.png")
    Image.new("L", (2048, 8)).save(tmp_path / "long.png")
    sizes = cached_pictures(Sizes(), [tmp_path / "large.png", tmp_path / "long.png"])
    np.testing.assert_array_equal(sizes[:, :2], [[2048, 1024], [2048, 8]])


def test_missing_and_broken_pictures_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.png"):
        cached_pictures(Counting(), [tmp_path / "nowhere.png"])
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(InputError, match=r"text\.jpg: the file is not a picture"):
        cached_pictures(Counting(), [tmp_path / "text.jpg"])


def test_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path))
    assert FeatureCache().file.parent == tmp_path
    monkeypatch.delenv("GRAPHCOND_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_cache_folder() == tmp_path / "home" / ".cache" / "graphcond"
