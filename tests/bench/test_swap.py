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
        seed=5,
        progress=lambda *state: seen.append(state),
    )
    assert draws == [([0, 1, 2], "graph", 5), ([3], "graph", 5)] * 2
    assert (result.both.mean, result.objects.mean, result.both.n) == (1, 1, 4)
    assert seen == [(3, 8), (4, 8), (7, 8), (8, 8)]


class AsDrawn:
    """Sees the graph whose number is the color of a picture."""

    identity = "as drawn"

    def __init__(self, graphs: list[SceneGraph]) -> None:
        self.graphs = graphs

    def detect(self, pictures: Any, asked: Any) -> list[SceneGraph]:
        return [self.graphs[picture.getpixel((0, 0))[0]] for picture in pictures]


@pytest.mark.parametrize(("perfect", "chance"), [(True, 1 / 16), (False, 0.0)])
def test_chance_keeps_the_objects_and_takes_the_places_of_another_pair(
    monkeypatch: pytest.MonkeyPatch, perfect: bool, chance: float
) -> None:
    """Four directions on either side: 1 in 16, of pictures that show their objects."""
    pairs = swap_pairs(120)
    graphs = [graph if perfect else scene("star") for pair in pairs for graph in pair]

    def drawn(*_: Any) -> tuple[list[Any], list[Any]]:
        numbers = np.arange(len(graphs)).reshape(-1, 2)
        return tuple([plain((number, 0, 0)) for number in side] for side in numbers.T.tolist())  # type: ignore[return-value]

    monkeypatch.setattr(swap, "_draw", drawn)
    result = swap_test(None, AsDrawn(graphs), pairs)  # type: ignore[arg-type]
    assert result.both.mean == result.objects.mean == float(perfect)
    assert result.chance.mean == pytest.approx(chance, abs=0.05)
    assert bool(result.chance.mean) is perfect


def test_too_little_to_test() -> None:
    pipe: Any = None
    for pairs in ([], PAIRS[:1]):
        with pytest.raises(InputError, match=f"expected two pairs, got {len(pairs)}"):
            swap_test(pipe, ByColor(), pairs)


def test_the_worlds_pairs_can_be_told_apart() -> None:
    for there, back in swap_pairs(20):
        assert there.objects == back.objects
        assert there.relationships != back.relationships
        assert len(set(there.objects)) == 2
