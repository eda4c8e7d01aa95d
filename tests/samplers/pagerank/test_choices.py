from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graphcond.errors import InputError
from graphcond.io.files import default_cache_folder
from graphcond.samplers.pagerank import calibration
from graphcond.samplers.pagerank.calibration import Choice, PageRank, calibrated
from graphcond.samplers.pagerank.walk import RandomWalk
from graphcond.samplers.ranking import RankingConstraints
from tests.samplers.toy_graphs import toy_graph

NODES = 4000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path / "cache"))
    return default_cache_folder() / "pagerank"


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The precision of every calibration that tries methods."""
    choose, seen = calibration._chosen, []

    def counted(*arguments: object) -> Choice:
        seen.append(arguments[3])
        return choose(*arguments)

    monkeypatch.setattr(calibration, "_chosen", counted)
    return seen


def walk(seed: int = 0) -> RandomWalk:
    ends = np.random.default_rng(seed).integers(0, NODES, (80_000, 2))
    return RandomWalk.on(toy_graph(NODES, ends.tolist()))


def everyone(count: int = 10) -> RankingConstraints:
    return RankingConstraints(count, np.ones(NODES, bool))


def method(
    on: RandomWalk, wanted: RankingConstraints, *, alpha: float = 0.15, precision: float = 0.9
) -> PageRank:
    return calibrated(on, wanted, alpha=alpha, precision=precision)


@pytest.mark.parametrize("choice", [Choice(epsilon=1.8e-6, far_share=0.0), Choice(steps=8), Choice()])
def test_what_is_written_is_read(choice: Choice, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        Choice.read(tmp_path)
    choice.write(tmp_path)
    assert Choice.read(tmp_path) == choice


def test_the_same_graph_is_calibrated_once(tried: list[float]) -> None:
    first, second = method(walk(), everyone()), method(walk(), everyone())
    assert len(tried) == 1
    assert repr(first) == repr(second)
    targets = np.arange(50)
    one, other = (ranked.rank(targets, everyone()) for ranked in (first, second))
    assert np.array_equal(one.neighbors, other.neighbors)


def test_all_that_decides_is_in_the_name(tried: list[float]) -> None:
    some = np.arange(NODES) % 2 == 0
    method(walk(), everyone())
    method(walk(1), everyone())
    method(walk(), everyone(20))
    method(walk(), replace(everyone(), allowed=some))
    method(walk(), replace(everyone(), divisor=np.arange(1.0, NODES + 1)))
    method(walk(), everyone(), alpha=0.2)
    method(walk(), everyone(), precision=0.95)
    assert len(tried) == 7


def test_a_damaged_file_is_replaced(cache: Path, tried: list[float]) -> None:
    method(walk(), everyone())
    (file,) = cache.glob("*/choice.json")
    for damaged in ("{", "[1]", '{"epsilon": 1, "other": 2}'):
        file.write_text(damaged)
        method(walk(), everyone())
    assert len(tried) == 4


def test_a_place_that_refuses_is_no_error(cache: Path, tried: list[float]) -> None:
    cache.parent.write_text("a file where the folder should be")
    method(walk(), everyone())
    method(walk(), everyone())
    assert len(tried) == 2
