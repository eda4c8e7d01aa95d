"""What is kept of a scene."""

from __future__ import annotations

import numpy as np
import pytest

from graphcond.context import SampledScene
from graphcond.samplers import SceneTriplesSampler
from graphcond.scene_graph import MASK_SIDE, Relationship, SceneGraph
from tests.scene_builders import EMPTY, LOOPED, SHEEP, UNRELATED

CHAIN = SceneGraph(
    [f"thing {n}" for n in range(40)],
    [(n, "on", n + 1) for n in range(10, 30)],
    {n: ["red", "big"] for n in range(40)},
    [(0, 0, (n + 1) / 40, 1) for n in range(40)],
    np.arange(40)[:, None, None] * np.ones((1, MASK_SIDE, MASK_SIDE)) % 2 == 0,
)


def keep(scene: SceneGraph, *, seed: int | None = None, **choices: int) -> SampledScene:
    generator = None if seed is None else np.random.default_rng(seed)
    return SceneTriplesSampler(**choices).sample([scene], generator).scenes[0]


@pytest.mark.parametrize("seed", [None, 0])
def test_keeps_all_that_fits(seed: int | None) -> None:
    scene = keep(SHEEP, seed=seed)
    assert scene.words == ("sky", "grass", "sheep", "blue", "clear", "white")
    assert scene.objects == 3
    assert scene.triples == (
        *((0, "above", 1), (2, "standing on", 1)),
        *((0, "is", 3), (0, "is", 4), (2, "is", 5)),
    )
    assert scene.boxes == SHEEP.boxes
    assert keep(LOOPED, seed=seed).triples == LOOPED.relationships
    assert keep(UNRELATED, seed=seed).words == UNRELATED.objects
    assert keep(EMPTY, seed=seed) == SampledScene((), 0, (), ())


def test_attributes_can_be_left_out() -> None:
    scene = keep(SHEEP, attributes=False)
    assert scene.words == SHEEP.objects
    assert scene.triples == SHEEP.relationships


def test_without_relations_the_first_objects_are_kept() -> None:
    scene = SceneGraph([f"thing {n}" for n in range(9)])
    assert keep(scene, objects=4).words == scene.objects[:4]


def test_without_a_generator_objects_come_as_relations_name_them() -> None:
    scene = keep(CHAIN, objects=5, attributes=False)
    assert scene.words == tuple(f"thing {n}" for n in (10, 11, 12, 13, 14))
    assert scene.triples == tuple(Relationship(n, "on", n + 1) for n in range(4))


@pytest.mark.parametrize("seed", [None, *range(5)])
def test_what_is_kept_belongs_together(seed: int | None) -> None:
    scene = keep(CHAIN, seed=seed, objects=12, triples=15)
    numbers = [int(word.split()[1]) for word in scene.words[:12]]
    assert numbers == sorted(set(numbers))
    assert len(scene.triples) == 15
    for subject, predicate, target in scene.triples:
        assert subject < 12
        if predicate == "is":
            assert target >= 12
        else:
            assert (numbers[subject], predicate, numbers[target]) in CHAIN.relationships
    assert len(scene.words) - 12 == sum(triple.predicate == "is" for triple in scene.triples)
    assert scene.boxes == tuple(CHAIN.boxes[n] for n in numbers)
    assert scene.masks is not None
    assert scene.masks[:, 0, 0].tolist() == [n % 2 == 0 for n in numbers]


def test_chance_comes_from_seed_and_scene() -> None:
    kept = {keep(CHAIN, seed=seed, objects=8).words for seed in range(6)}
    assert len(kept) > 3
    other = SceneGraph(CHAIN.objects[::-1], CHAIN.relationships)
    places = [
        [s.objects.index(word) for word in keep(s, seed=0, objects=8).words[:8]] for s in (CHAIN, other)
    ]
    assert places[0] != places[1]


def test_relations_go_before_attributes_where_nothing_is_left_to_chance() -> None:
    scene = SceneGraph(["cat", "mat"], [[0, "on", 1]], [["red"], ["blue"]])
    assert keep(scene, triples=2).words == ("cat", "mat", "red")
    assert keep(scene, triples=0).triples == ()
