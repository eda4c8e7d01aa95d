"""The labels by eye fit the pictures, and the oracle agrees with them."""

from __future__ import annotations

import pytest

from benchmarks.by_eye import Seen, agreement, labels, measured, pictures
from graphcond.scene_graph import SceneGraph
from graphcond.worlds import COLORS, SHAPES


def seen(text: str) -> list[Seen]:
    return [Seen(*(frozenset(word.split("|")) for word in one.split())) for one in text.split(", ")]


def found(text: str) -> SceneGraph:
    words = [one.split() for one in text.split(", ")] if text else []
    return SceneGraph([shape for _, shape in words], attributes=[[color] for color, _ in words])


@pytest.mark.parametrize(
    ("eye", "oracle", "counts"),
    [
        ("red star", "red star", [[1, 1], [1, 1], [1, 1]]),
        ("red star, blue star", "blue star", [[1, 2], [1, 1], [1, 1]]),
        ("red|orange star", "orange star, blue ring", [[1, 1], [1, 1], [1, 2]]),
        ("red star, green ?", "black star, green heart", [[1, 1], [0, 1], [2, 2]]),
        ("red star", "", [[0, 1], [0, 0], [0, 0]]),
    ],
)
def test_objects_are_compared_one_to_one(eye: str, oracle: str, counts: list[list[int]]) -> None:
    assert agreement(seen(eye), found(oracle)).tolist() == counts


def test_every_picture_has_labels_of_the_world() -> None:
    told = labels()
    assert len(told) == len(pictures()) == 90
    for one in (one for picture in told for one in picture):
        assert one.colors <= set(COLORS)
        assert one.shapes <= {*SHAPES, "?"}


def test_the_oracle_agrees_with_the_eye_on_generated_pictures() -> None:
    right, of = measured().sum(0).T
    assert (right / of).min() > 0.95
