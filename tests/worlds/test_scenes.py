"""The scene world: what its graphs say is true of its pictures, and its prompts give nothing away."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from graphcond.scene_graph import MASK_SIDE, SPATIAL_PREDICATES, SceneGraph, area, holds, margin, overlap
from graphcond.worlds import COLORS, PREDICATES, SHAPES, SceneWorld, relation_holds, swap_pairs
from graphcond.worlds.scene_relations import BIGGER, CLEAR_DEGREES, CLEAR_RATIO

CONTAINMENT = ("inside", "surrounding")


@pytest.fixture(scope="module")
def world() -> SceneWorld:
    return SceneWorld(seed=3, count=400)


def pairs(graph: SceneGraph) -> set[frozenset[int]]:
    return {frozenset((r.subject, r.object)) for r in graph.relationships}


def test_scenes_are_settled_by_seed_and_index(world: SceneWorld) -> None:
    again, longer, other = SceneWorld(3, 400), SceneWorld(3, 500), SceneWorld(4, 400)
    for index in (0, 7, 399):
        assert world.graph(index) == again.graph(index) == longer.graph(index) == world.graphs[index]
        assert np.array_equal(world.draw(index), longer.draw(index))
        assert world.caption(index) == longer.caption(index)
        assert world.split(index) == longer.split(index)
    assert sum(world.graph(n) == other.graph(n) for n in range(50)) == 0


def test_scenes_have_two_to_six_shapes_mostly_up_to_four(world: SceneWorld) -> None:
    counts = Counter(map(len, world.graphs))
    assert set(counts) == {2, 3, 4, 5, 6}
    assert sum(counts[n] for n in (2, 3, 4)) > 0.8 * len(world)
    assert {label for graph in world.graphs for label in graph.objects} == set(SHAPES)
    assert {words for graph in world.graphs for words in graph.attributes} == {(name,) for name in COLORS}


def test_a_world_may_ask_for_few_or_many_objects() -> None:
    assert {len(graph) for graph in SceneWorld(count=30, objects=(1, 1)).graphs} == {1}
    assert {len(graph) for graph in SceneWorld(count=30, objects=(5, 6)).graphs} == {5, 6}


def test_objects_are_mostly_told_apart_by_look(world: SceneWorld) -> None:
    twins = [g for g in world.graphs if len(set(zip(g.objects, g.attributes, strict=True))) < len(g)]
    assert len(twins) < 0.03 * len(world)


def test_every_stated_relation_is_true_with_a_margin(world: SceneWorld) -> None:
    for graph in world.graphs:
        for subject, predicate, target in graph.relationships:
            first, second = graph.boxes[subject], graph.boxes[target]
            assert relation_holds(predicate, first, second)
            if predicate == BIGGER:
                assert area(first) >= CLEAR_RATIO**2 * area(second)
            else:
                assert holds(predicate, first, second)
                assert predicate in CONTAINMENT or margin(first, second) >= CLEAR_DEGREES


def test_relations_join_all_objects_and_number_about_as_many(world: SceneWorld) -> None:
    for graph in world.graphs:
        assert len(graph) - 1 <= len(graph.relationships) <= len(graph) + 1
        reached, edges = {0}, pairs(graph)
        for _ in range(len(graph)):
            reached |= {end for edge in edges if edge & reached for end in edge}
        assert reached == set(range(len(graph)))
        assert all(r.subject != r.object for r in graph.relationships)


def test_every_predicate_is_stated_and_no_direction_is_favoured(world: SceneWorld) -> None:
    counts = Counter(r.predicate for graph in world.graphs for r in graph.relationships)
    assert set(counts) == set(PREDICATES) == {*SPATIAL_PREDICATES, BIGGER}
    directions = [counts[name] for name in ("left of", "right of", "above", "below")]
    assert max(directions) < 1.35 * min(directions)


def test_a_relation_is_rarely_right_by_chance(world: SceneWorld) -> None:
    rng = np.random.default_rng(0)
    hits = []
    for graph in world.graphs:
        others = [other for other in world.graphs if len(other) == len(graph) and other is not graph]
        boxes = [others[rng.integers(len(others))].boxes[n] for n in rng.permutation(len(graph))]
        hits += [relation_holds(r.predicate, boxes[r.subject], boxes[r.object]) for r in graph.relationships]
    assert np.mean(hits) < 0.26


def test_boxes_are_large_enough_and_apart_or_nested(world: SceneWorld) -> None:
    for graph in world.graphs:
        assert all(box.x1 - box.x0 >= 14 / 64 and box.y1 - box.y0 >= 14 / 64 for box in graph.boxes)
        assert all(box.x0 > 0 and box.x1 < 1 and box.y0 > 0 and box.y1 < 1 for box in graph.boxes)
        for first, second in combinations(graph.boxes, 2):
            nested = holds("inside", first, second) or holds("surrounding", first, second)
            assert nested or overlap(first, second) == 0


def test_an_inner_object_differs_in_colour(world: SceneWorld) -> None:
    for graph in world.graphs:
        for subject, predicate, target in graph.relationships:
            if predicate in CONTAINMENT:
                assert graph.attributes_of(subject) != graph.attributes_of(target)


def test_masks_lie_within_boxes(world: SceneWorld) -> None:
    masks = {label: mask for g in world.graphs for label, mask in zip(g.objects, g.masks, strict=True)}
    assert all(mask.shape == (MASK_SIDE, MASK_SIDE) and mask.dtype == bool for mask in masks.values())
    assert masks["square"].all()
    assert not masks["ring"][7:9, 7:9].any()
    assert masks["circle"][7:9, 7:9].all()
    assert 0.2 < masks["star"].mean() < masks["triangle"].mean() + 0.1 < masks["circle"].mean()


def test_scene_set_prompts_give_nothing_away(world: SceneWorld) -> None:
    scenes = world.scenes()
    assert set(scenes.texts) == {"an image"}
    assert len(scenes) == len(set(scenes.ids)) == len(set(scenes.pictures)) == len(world)
    assert scenes.pictures[0] == "pictures/000000.png"
    train, test = scenes.in_split("train"), scenes.in_split("test")
    assert len(train) + len(test) == len(world)
    assert not set(train) & set(test)
    assert 0.13 < len(test) / len(world) < 0.27


def test_scenes_for_validation_are_others_and_change_nothing_else(world: SceneWorld) -> None:
    longer = SceneWorld(seed=3, count=400, validation=60)
    assert len(longer) == 460
    assert longer.graphs[:400] == world.graphs
    assert longer.draw(7).tobytes() == world.draw(7).tobytes()
    scenes = longer.scenes()
    assert scenes.splits is not None
    assert list(scenes.splits[:400]) == world.scenes().splits
    assert scenes.in_split("val").tolist() == list(range(400, 460))
    assert not {repr(graph) for graph in longer.graphs[400:]} & {repr(graph) for graph in longer.graphs[:400]}
    further = SceneWorld(seed=3, count=500, validation=60)
    assert further.graphs[500:] == longer.graphs[400:], "however many scenes are trained on"
    assert further.draw(507).tobytes() == longer.draw(407).tobytes()


def test_swapped_graphs_differ_in_direction_alone() -> None:
    chosen = swap_pairs(40, seed=1)
    assert chosen == swap_pairs(40, seed=1) != swap_pairs(40, seed=2)
    assert chosen[:10] == swap_pairs(10, seed=1)
    for there, back in chosen:
        assert (there.objects, there.attributes, there.boxes) == (back.objects, back.attributes, ())
        (a,), (b,) = there.relationships, back.relationships
        assert (a.subject, a.predicate, a.object) == (b.object, b.predicate, b.subject)
        assert len(set(there.objects)) == len(set(there.attributes)) == 2
    assert Counter(t.relationships[0].predicate for t, _ in chosen) == dict.fromkeys(
        ("left of", "right of", "above", "below"), 10
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"seed": -1},
        {"count": 0},
        {"resolution": 8},
        {"test_share": 1.0},
        {"test_share": -0.1},
        {"objects": (0, 2)},
        {"objects": (3, 2)},
        {"objects": (2, 7)},
        {"validation": -1},
    ],
)
def test_impossible_worlds_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"seed|scene|pixels|share|objects"):
        SceneWorld(**arguments)


@pytest.mark.parametrize("index", [-1, 400])
def test_scenes_that_do_not_exist_are_refused(world: SceneWorld, index: int) -> None:
    with pytest.raises(IndexError, match="of 400"):
        world.graph(index)
