"""Swaps that change what a scene says, and none that do not."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.samplers import swapped
from graphcond.samplers.hard_negatives import is_symmetric
from graphcond.scene_graph import SceneGraph
from tests.scene_builders import CROWD, EMPTY, ONE, UNRELATED, scene_graphs

RED_CAT = SceneGraph(["cat", "mat"], [[0, "on", 1]], [["red"], ["blue"]])


def swap(scene: SceneGraph, seed: int = 0):
    return swapped(scene, np.random.default_rng(seed))


def test_both_kinds_come() -> None:
    found = {swap(RED_CAT, seed).kind: swap(RED_CAT, seed) for seed in range(20)}
    assert set(found) == {"relation", "attributes"}
    assert found["relation"].scene.relationships == ((1, "on", 0),)
    assert found["relation"].sentence == "a blue mat on a red cat"
    assert found["attributes"].scene.attributes == (("blue",), ("red",))
    assert found["attributes"].sentence == "a blue cat on a red mat"


@pytest.mark.parametrize(
    "scene",
    [
        EMPTY,
        ONE,
        UNRELATED,
        CROWD,  # all "next to"
        SceneGraph(["cat", "cat"], [[0, "on", 1]]),
        SceneGraph(["cat", "mat"], [[0, "on", 0]]),
        SceneGraph(["cat", "mat"], [[0, "on", 1], [1, "on", 0]]),
        SceneGraph(["cat", "mat", "cat"], [[0, "on", 1], [1, "on", 2]]),
        SceneGraph(["cat", "mat"], [[0, "Same colour as", 1]]),
        SceneGraph(["cat", "mat"], [], [["red"], ["red"]]),
        SceneGraph(["cat", "mat"], [], [["red"], []]),
        SceneGraph(["cat", "cat"], [], [["red"], ["blue"]]),
        SceneGraph(["cat", "cat"], [[0, "beside", 1]], [["red"], ["blue"]]),
        SceneGraph(["cat", "mat", "cat", "mat"], [], [["red"], ["blue"], ["blue"], ["red"]]),
    ],
    ids=[
        *("empty", "one", "unrelated", "symmetric", "twins", "loop", "both ways", "both ways by a twin"),
        *("same", "equal attributes", "one attribute", "equal labels", "equal labels, symmetric"),
        "true already",
    ],
)
def test_no_swap_that_leaves_the_meaning(scene: SceneGraph) -> None:
    assert [swap(scene, seed) for seed in range(8)] == [None] * 8


def test_equal_labels_swap_attributes_where_a_relation_tells_them_apart() -> None:
    scene = SceneGraph(["cat", "cat"], [[0, "above", 1]], [["red"], ["blue"]])
    assert {swap(scene, seed).sentence for seed in range(9)} == {"a blue cat above a red cat"}


def test_a_relation_stated_twice_is_turned_twice() -> None:
    scene = SceneGraph(["cat", "mat"], [[0, "on", 1], [0, "on", 1], [0, "near", 1]])
    assert swap(scene).scene.relationships == ((1, "on", 0), (1, "on", 0), (0, "near", 1))


@pytest.mark.parametrize(
    "word", ["next to", "Near", "by", "same color as", "has the same shape as", "touching"]
)
def test_symmetric(word: str) -> None:
    assert is_symmetric(word)


@pytest.mark.parametrize("word", ["left of", "on", "bigger than", "holding", "behind", "sameness of"])
def test_not_symmetric(word: str) -> None:
    assert not is_symmetric(word)


@settings(max_examples=60, deadline=None)
@given(scene=scene_graphs(), seed=st.integers(0, 99))
def test_the_words_stay_and_something_new_is_said(scene: SceneGraph, seed: int) -> None:
    negative = swap(scene, seed)
    if negative is None:
        return
    other = negative.scene
    assert other.objects == scene.objects
    assert other.boxes == scene.boxes
    assert other != scene
    assert Counter(r.predicate for r in other.relationships) == Counter(
        r.predicate for r in scene.relationships
    )
    assert Counter(other.attributes) == Counter(scene.attributes)
    assert (other.relationships == scene.relationships) == (negative.kind == "attributes")
    assert swap(scene, seed) == negative


def test_a_crowd_of_twins_is_answered() -> None:
    scene = SceneGraph(["cat"] * 300, [], [[f"attribute {n % 2}"] for n in range(300)])
    assert swap(scene) is None
