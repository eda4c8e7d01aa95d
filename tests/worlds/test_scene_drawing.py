"""Scenes are drawn where their boxes are, in their colours."""

from __future__ import annotations

import numpy as np
import pytest

from graphcond.errors import InputError
from graphcond.scene_graph import Box, SceneGraph
from graphcond.worlds import COLORS, SHAPES, draw_scene

BOX = Box(0.25, 0.375, 0.625, 0.75)


def drawn(shape: str, color: str, resolution: int = 64, seed: int = 0, box: Box = BOX) -> np.ndarray:
    graph = SceneGraph((shape,), (), ((color,),), (box,))
    return np.asarray(draw_scene(graph, seed, resolution), float)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_fills_its_box_and_nothing_else(shape: str) -> None:
    red, blue = drawn(shape, "red"), drawn(shape, "blue")
    rows, columns = np.nonzero(np.abs(red - blue).sum(-1) > 20)
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == pytest.approx(
        (16, 24, 40, 48), abs=1.01
    )


@pytest.mark.parametrize("color", COLORS)
def test_a_shape_has_its_colour_within(color: str) -> None:
    middle = drawn("circle", color)[33:39, 25:31].mean((0, 1))
    distances = {name: np.abs(middle - value).sum() for name, value in COLORS.items()}
    assert min(distances, key=distances.__getitem__) == color


def test_colours_are_clearly_apart() -> None:
    colors = np.array(list(COLORS.values()), float)
    distances = np.abs(colors[:, None] - colors[None]).sum(-1)
    assert distances[~np.eye(len(colors), dtype=bool)].min() > 90


def test_small_objects_lie_on_large_ones_in_any_order() -> None:
    outer, inner = Box(0.1, 0.1, 0.9, 0.9), Box(0.4, 0.4, 0.6, 0.6)
    first = SceneGraph(("square", "circle"), (), (("red",), ("yellow",)), (outer, inner))
    second = SceneGraph(("circle", "square"), (), (("yellow",), ("red",)), (inner, outer))
    for graph in (first, second):
        assert np.asarray(draw_scene(graph, 0))[32, 32, 1] > 180


def test_seed_settles_everything_but_moves_nothing() -> None:
    assert np.array_equal(drawn("star", "red", seed=5), drawn("star", "red", seed=5))
    assert not np.array_equal(drawn("star", "red", seed=5), drawn("star", "red", seed=6))


def test_resolution_only_changes_the_size() -> None:
    small, large = drawn("heart", "green", 64), drawn("heart", "green", 128)
    reduced = large.reshape(64, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(reduced - small).mean() < 3


@pytest.mark.parametrize(
    ("graph", "problem"),
    [
        (SceneGraph(("circle",), (), (("red",),)), "object 0: the object has no box"),
        (SceneGraph(("sheep",), (), (("red",),), (BOX,)), "'sheep' cannot be drawn"),
        (SceneGraph(("circle",), (), (("big",),), (BOX,)), "has no colour"),
    ],
)
def test_what_cannot_be_drawn_is_said(graph: SceneGraph, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        draw_scene(graph, 0)
