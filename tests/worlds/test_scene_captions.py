"""Captions of scenes: mostly lists of objects, seldom relations; they fit the scenes that they tell of."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from graphcond.scene_graph import Box, SceneGraph
from graphcond.worlds import PREDICATES, SceneWorld
from graphcond.worlds.captions import vocabulary
from graphcond.worlds.scene_captions import KINDS, SHARES, SceneCaption, caption_of, draw_caption

SCENE = SceneGraph(
    ("circle", "square"),
    ((0, "left of", 1),),
    (("red",), ("blue",)),
    (Box(0.1, 0.4, 0.3, 0.6), Box(0.6, 0.4, 0.8, 0.6)),
)


def caption(kind: str, seed: int = 1) -> SceneCaption:
    return caption_of(SCENE, kind, np.random.default_rng(seed))


def test_kinds_of_captions() -> None:
    assert {caption("objects", seed).text for seed in range(40)} == {
        "a red circle and a blue square",
        "a blue square and a red circle",
        "a circle and a square",
        "a square and a circle",
    }
    assert caption("relation").text == caption("sentence").text == "a red circle left of a blue square"
    assert caption("image").text == "an image"
    assert caption("empty").text == ""


def test_an_image_and_nothing_tell_nothing() -> None:
    for kind in ("image", "empty"):
        assert caption(kind).told == SceneGraph(())


@pytest.mark.parametrize("kind", KINDS)
def test_a_caption_fits_its_own_scene(kind: str) -> None:
    world = SceneWorld(seed=8, count=60)
    for index, graph in enumerate(world.graphs):
        assert caption_of(graph, kind, np.random.default_rng(index)).fits(graph)


def test_a_caption_does_not_fit_a_scene_that_lacks_something() -> None:
    red = SceneGraph(("circle", "square"), (), (("red",), ("red",)), SCENE.boxes)
    swapped = SceneGraph(SCENE.objects, (), SCENE.attributes, SCENE.boxes[::-1])
    assert not SceneCaption("", SceneGraph(("circle", "circle"))).fits(SCENE)
    assert not SceneCaption("", SceneGraph(SCENE.objects, (), SCENE.attributes)).fits(red)
    assert SceneCaption("", SceneGraph(SCENE.objects)).fits(red)
    assert not caption("relation").fits(swapped)
    assert SceneCaption("", SceneGraph(SCENE.objects, (), SCENE.attributes)).fits(swapped)


def test_shares_of_captions() -> None:
    assert sum(SHARES) == pytest.approx(1)
    world = SceneWorld(seed=9, count=600)
    texts = [draw_caption(graph, np.random.default_rng(n)).text for n, graph in enumerate(world.graphs)]
    found = Counter(
        text
        if text in ("an image", "")
        else "relation"
        if any(f" {name} " in text for name in PREDICATES)
        else "objects"
        for text in texts
    )
    assert found["objects"] > found["an image"] > found["relation"] * 0.8 > found[""] * 0.8
    assert found["an image"] / len(texts) == pytest.approx(0.25, abs=0.05)
    assert found[""] / len(texts) == pytest.approx(0.1, abs=0.04)


def test_captions_use_only_words_that_the_base_knows() -> None:
    words = set(vocabulary())
    for index, graph in enumerate(SceneWorld(seed=10, count=100).graphs):
        for kind in KINDS:
            assert set(caption_of(graph, kind, np.random.default_rng(index)).text.split()) <= words
