"""The swap test counts pairs of which both pictures are right."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from graphcond.data.dataset import SceneDataset
from graphcond.errors import InputError
from graphcond.scene_graph import SceneGraph
from graphcond.sweep import parse_sweep
from graphcond.sweep.scores import swap
from graphcond.sweep.scores.swap import SwapScore, pictures_right
from graphcond.worlds.scenes import swap_pairs
from tests.evaluation.doubles import plain
from tests.evaluation.scene_doubles import scene

THERE = scene("star ring", (0, "left of", 1), colors="red blue")
BACK = scene("star ring", (1, "left of", 0), colors="red blue")
PAIRS = [(THERE, BACK)] * 4


class ByColor:
    """Sees the first graph in red pictures, its swap in blue ones, only a star in others."""

    identity = "by color"

    def detect(self, pictures: Any, asked: Any) -> list[SceneGraph]:
        seen = {(255, 0, 0): THERE, (0, 0, 255): BACK}
        return [seen.get(picture.getpixel((0, 0)), scene("star")) for picture in pictures]


class AsDrawn:
    """Sees the graph whose number is the color of a picture."""

    identity = "as drawn"

    def __init__(self, graphs: list[SceneGraph]) -> None:
        self.graphs = graphs

    def detect(self, pictures: Any, asked: Any) -> list[SceneGraph]:
        return [self.graphs[picture.getpixel((0, 0))[0]] for picture in pictures]


def pictures(colors: str) -> list[Any]:
    return [plain({"r": "red", "b": "blue", "x": "black"}[letter]) for letter in colors]


def exam(detector: Any, seed: int = 0) -> Any:
    shared = SimpleNamespace(detector=detector, extractors=lambda features: None)
    return SimpleNamespace(shared=shared, seed=seed, pipe=None, recipe=SimpleNamespace(features=None))


def means(scored: Any) -> dict[str, float]:
    return {figure.metric: figure.measured(seed=0).mean for figure in scored.figures}


def test_each_picture_is_judged_by_its_own_graph() -> None:
    right = pictures_right(ByColor(), PAIRS, pictures("rrbx"), pictures("brrb"))
    assert right.tolist() == [[True, True], [True, False], [False, False], [False, True]]
    shown = pictures_right(ByColor(), PAIRS, pictures("rrbx"), pictures("brrb"), related=False)
    assert shown.tolist() == [[True, True]] * 3 + [[False, True]]


@pytest.mark.parametrize(("colors", "alone"), [("rrrr", 0.5), ("rbxr", 0.375)])
def test_one_picture_drawn_twice_is_never_right_twice_but_often_once(
    monkeypatch: pytest.MonkeyPatch, colors: str, alone: float
) -> None:
    monkeypatch.setattr(swap, "draw_pairs", lambda *_: (pictures(colors), pictures(colors)))
    monkeypatch.setattr(swap, "swap_pairs", lambda count, seed: PAIRS)
    found = means(SwapScore(pairs=4).score(exam(ByColor())))
    assert (found["swap_both"], found["swap_one"]) == (0, alone)


def test_both_sides_start_from_the_same_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[list[int], str, int]] = []

    class DrawsRight:
        def __init__(self, pipe: Any, sources: Any, rows: Any, settings: Any) -> None:
            self.graphs = sources["scenes"]

        def make(self, rows: np.ndarray, arm: str, seed: int) -> list[Any]:
            calls.append((rows.tolist(), arm, seed))
            return pictures("".join("r" if self.graphs[row] is THERE else "b" for row in rows))

    monkeypatch.setattr(swap, "ModelPictures", DrawsRight)
    monkeypatch.setattr(SceneDataset, "views", lambda data, *_: {"scenes": data.scenes.graphs})
    monkeypatch.setattr(swap, "BATCH", 3)
    monkeypatch.setattr(swap, "swap_pairs", lambda count, seed: PAIRS)
    found = SwapScore().score(exam(ByColor(), seed=5))
    assert calls == [([0, 1, 2], "graph", 5), ([3], "graph", 5)] * 2
    assert (means(found)["swap_both"], means(found)["swap_objects"]) == (1, 1)
    assert {figure.n for figure in found.figures} == {4}


@pytest.mark.parametrize(
    ("perfect", "chance", "alone"),
    [(True, 1 / 16, 1 / 4), (False, 0.0, 0.0)],
    ids=["perfect", "objects gone"],
)
def test_chance_keeps_the_objects_and_takes_the_places_of_another_pair(
    monkeypatch: pytest.MonkeyPatch, perfect: bool, chance: float, alone: float
) -> None:
    """Four directions on either side: 1 in 16, of pictures that show their objects."""
    graphs = [graph if perfect else scene("star") for pair in swap_pairs(120) for graph in pair]

    def drawn(*_: Any) -> Any:
        numbers = np.arange(len(graphs)).reshape(-1, 2)
        return tuple([plain((number, 0, 0)) for number in side] for side in numbers.T.tolist())

    monkeypatch.setattr(swap, "draw_pairs", drawn)
    found = means(SwapScore(pairs=120).score(exam(AsDrawn(graphs))))
    assert found["swap_both"] == found["swap_objects"] == float(perfect)
    assert found["swap_chance"] == pytest.approx(chance, abs=0.05)
    assert bool(found["swap_chance"]) is perfect
    assert found["swap_one"] == float(perfect)
    assert found["swap_one_chance"] == pytest.approx(alone, abs=0.08)


def test_one_pair_is_too_little() -> None:
    with pytest.raises(InputError, match=r"scores.0.pairs: .*greater than or equal to 2"):
        parse_sweep({"name": "s", "recipe": "sgcond-i", "scores": [{"kind": "swap", "pairs": 1}]})


def test_the_worlds_pairs_can_be_told_apart() -> None:
    for there, back in swap_pairs(20):
        assert there.objects == back.objects
        assert there.relationships != back.relationships
        assert len(set(there.objects)) == 2
