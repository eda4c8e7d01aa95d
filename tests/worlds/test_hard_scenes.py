"""Hard scenes: what their graphs tell is true of their pictures, but for contradictions."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from graphcond.evaluation.scene_match import match_scene
from graphcond.evaluation.scene_world import OracleDetector
from graphcond.scene_graph import OPPOSITES, SceneGraph, holds
from graphcond.worlds import COLORS, SceneWorld
from graphcond.worlds.scene_relations import SAME_COLOR, relation_holds

SIDEWAYS = ("left of", "right of", "above", "below")


@pytest.fixture(scope="module")
def world() -> SceneWorld:
    return SceneWorld(seed=3, count=200, difficulty="hard")


def contradictions(graph: SceneGraph) -> int:
    stated = set(graph.relationships)
    return sum(
        (r.object, r.predicate, r.subject) in stated for r in stated if r.predicate in SIDEWAYS
    ) // 2  # fmt: skip


def depth(graph: SceneGraph) -> int:
    """How many objects surround the innermost one."""
    boxes = graph.boxes
    return max(sum(holds("inside", box, other) for other in boxes if other != box) for box in boxes)


def twins(world: SceneWorld, index: int) -> list[int]:
    """Objects of one shape whose colours are neither told nor told by another's."""
    told = world.graph(index)
    coloured = {r.subject for r in told.relationships if r.predicate == SAME_COLOR}
    return [n for n in range(len(told)) if not told.attributes_of(n) and n not in coloured]


def test_scenes_are_settled_by_seed_and_index(world: SceneWorld) -> None:
    longer = SceneWorld(3, 300, difficulty="hard")
    assert all(world.graph(n) == longer.graph(n) for n in (0, 9, 199))
    assert world.draw(9).tobytes() == longer.draw(9).tobytes()
    assert world.graph(0) != SceneWorld(4, 200, difficulty="hard").graph(0)


def test_scenes_have_six_to_twelve_objects_that_find_room(world: SceneWorld) -> None:
    assert set(map(len, world.graphs)) == set(range(6, 13))
    for graph in world.graphs:
        assert all(0 < box.x0 < box.x1 < 1 and 0 < box.y0 < box.y1 < 1 for box in graph.boxes)
        for first, second in combinations(graph.boxes, 2):
            nested = holds("inside", first, second) or holds("inside", second, first)
            apart = min(first.x1, second.x1) <= max(first.x0, second.x0) or min(first.y1, second.y1) <= max(
                first.y0, second.y0
            )
            assert nested or apart


def test_all_that_is_told_is_shown_but_for_one_side_of_a_contradiction(world: SceneWorld) -> None:
    for index in range(len(world)):
        told, shown = world.graph(index), world.shown(index)
        assert (told.objects, told.boxes) == (shown.objects, shown.boxes)
        for words, truth in zip(told.attributes, shown.attributes, strict=True):
            assert words in ((), truth)
        wrong = [
            (subject, predicate, target)
            for subject, predicate, target in told.relationships
            if not (
                shown.attributes[subject] == shown.attributes[target]
                if predicate == SAME_COLOR
                else relation_holds(predicate, shown.boxes[subject], shown.boxes[target])
            )
        ]
        assert len(wrong) == contradictions(told)
        assert all(
            relation_holds(predicate, shown.boxes[target], shown.boxes[subject])
            for subject, predicate, target in wrong
        )


def test_every_hardship_occurs(world: SceneWorld) -> None:
    graphs = world.graphs
    assert 0.08 < np.mean([contradictions(graph) > 0 for graph in graphs]) < 0.25
    assert 0.15 < np.mean([depth(graph) == 2 for graph in graphs]) < 0.5
    assert 0.3 < np.mean([len(twins(world, index)) > 1 for index in range(len(world))]) < 0.7
    stated = Counter(r.predicate for graph in graphs for r in graph.relationships)
    assert set(stated) == {*OPPOSITES, "bigger than", SAME_COLOR}


def test_relations_join_all_objects_often_in_a_long_chain(world: SceneWorld) -> None:
    longest = []
    for graph in world.graphs:
        beside: dict[int, set[int]] = {number: set() for number in range(len(graph))}
        for subject, _, target in graph.relationships:
            beside[subject].add(target)
            beside[target].add(subject)

        def reach(start: int, beside: dict[int, set[int]] = beside) -> dict[int, int]:
            steps, front = {start: 0}, [start]
            for here in front:
                for other in beside[here] - set(steps):
                    steps[other] = steps[here] + 1
                    front.append(other)
            return steps

        assert len(reach(0)) == len(graph), "in one piece"
        longest.append(max(max(reach(start).values()) for start in beside))
    assert np.mean([steps >= 5 for steps in longest]) > 0.3


def test_only_relations_tell_twins_apart(world: SceneWorld) -> None:
    found = 0
    for index in range(len(world)):
        told = world.graph(index)
        same = twins(world, index)
        assert len({told.objects[twin] for twin in same}) <= 1
        said = [
            {(r.predicate, r.object) for r in told.relationships if r.subject == twin}
            | {(OPPOSITES.get(r.predicate), r.subject) for r in told.relationships if r.object == twin}  # type: ignore[call-overload]
            for twin in same
        ]
        assert all(first != second for first, second in combinations(said, 2))
        found += len(same) > 1
    assert found


def test_an_inner_object_can_be_seen(world: SceneWorld) -> None:
    for index in range(len(world)):
        shown = world.shown(index)
        order = sorted(range(len(shown)), key=lambda n: shown.boxes[n].x1 - shown.boxes[n].x0)
        around = [
            next((m for m in order if holds("inside", shown.boxes[n], shown.boxes[m])), None) for n in order
        ]
        for inner, outer in zip(order, around, strict=True):
            if outer is not None:
                pair = (COLORS[shown.attributes[n][0]] for n in (inner, outer))
                assert sum(abs(a - b) for a, b in zip(*pair, strict=True)) >= 200


def test_the_oracle_judges_hard_scenes() -> None:
    world, detector = SceneWorld(seed=91, count=60, difficulty="hard"), OracleDetector.load()
    graphs = [world.shown(index) for index in range(len(world))]
    seen = detector.detect([world.draw(index) for index in range(len(world))], graphs)
    matches = [match_scene(*both) for both in zip(graphs, seen, strict=True)]
    found = [place is not None for match in matches for place in match.places]
    assert np.mean(found) > 0.94
    assert np.mean([right for match in matches for right in match.relations]) > 0.88
    assert np.mean([len(graph) for graph in seen]) < 1.03 * np.mean([len(graph) for graph in graphs])
    plain = OracleDetector(detector.oracle).detect([world.draw(index) for index in range(len(world))], graphs)
    missed = [match_scene(*both).places.count(None) for both in zip(graphs, plain, strict=True)]
    assert sum(missed) > 3 * found.count(False), "which the oracle of plain scenes does not"


@pytest.mark.parametrize("objects", [(2, 6), (6, 13), (9, 8)])
def test_impossible_numbers_of_objects_are_refused(objects: tuple[int, int]) -> None:
    with pytest.raises(
        ValueError, match="objects of hard scenes must be the least and the most, from 6 to 12"
    ):
        SceneWorld(difficulty="hard", objects=objects)
