"""The swap test counts pairs of which both pictures are right."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from graphcond.bench import swap
from graphcond.bench.swap import pairs_right, swap_test
from graphcond.data.dataset import SceneDataset
from graphcond.errors import InputError
from graphcond.scene_graph import SceneGraph
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


def pictures(colors: str) -> list[Any]:
    return [plain({"r": "red", "b": "blue", "x": "black"}[letter]) for letter in colors]


def test_both_pictures_must_be_right() -> None:
    right = pairs_right(ByColor(), PAIRS, pictures("rrbx"), pictures("brrb"))
    assert right.tolist() == [True, False, False, False]
    shown = pairs_right(ByColor(), PAIRS, pictures("rrbx"), pictures("brrb"), related=False)
    assert shown.tolist() == [True, True, True, False]


def test_one_picture_drawn_twice_is_never_right() -> None:
    for color in "rbx":
        assert not pairs_right(ByColor(), PAIRS, pictures(color * 4), pictures(color * 4)).any()


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[int], str, int]]:
    """The calls of a model that draws every graph right."""
    calls: list[tuple[list[int], str, int]] = []

    class Pictures:
        def __init__(self, pipe: Any, sources: Any, rows: Any, settings: Any) -> None:
            self.graphs = sources["scenes"]

        def make(self, rows: np.ndarray, arm: str, seed: int) -> list[Any]:
            calls.append((rows.tolist(), arm, seed))
            return pictures("".join("r" if self.graphs[row] is THERE else "b" for row in rows))

    monkeypatch.setattr(swap, "ModelPictures", Pictures)
    monkeypatch.setattr(SceneDataset, "views", lambda data, *_: {"scenes": data.scenes.graphs})
    monkeypatch.setattr(swap, "BATCH", 3)
    return calls


def test_both_sides_start_from_the_same_noise(draws: list[tuple[list[int], str, int]]) -> None:
    seen: list[tuple[int, int]] = []
    result = swap_test(
        SimpleNamespace(model=SimpleNamespace(recipe=None, extractors=None)),  # type: ignore[arg-type]
        ByColor(),
        PAIRS,
        pictures("rbx"),
        seed=5,
        progress=lambda *state: seen.append(state),
    )
    assert draws == [([0, 1, 2], "graph", 5), ([3], "graph", 5)] * 2
    assert (result.both.mean, result.objects.mean, result.both.n) == (1, 1, 4)
    assert seen == [(3, 8), (4, 8), (7, 8), (8, 8)]


def test_chance_pairs_pictures_drawn_without_graph(draws: list[tuple[list[int], str, int]]) -> None:
    """r b x r against b x r b: the first and the last pair are right."""
    pipe: Any = SimpleNamespace(model=SimpleNamespace(recipe=None, extractors=None))
    chance = swap_test(pipe, ByColor(), PAIRS, pictures("rbx")).chance
    assert chance.mean == 0.5
    assert chance.low <= 0.5 <= chance.high


def test_too_little_to_test() -> None:
    pipe: Any = None
    with pytest.raises(InputError, match="got 0 and 2"):
        swap_test(pipe, ByColor(), [], pictures("rr"))
    with pytest.raises(InputError, match="got 4 and 1"):
        swap_test(pipe, ByColor(), PAIRS, pictures("r"))


def test_the_worlds_pairs_can_be_told_apart() -> None:
    for there, back in swap_pairs(20):
        assert there.objects == back.objects
        assert there.relationships != back.relationships
        assert len(set(there.objects)) == 2
