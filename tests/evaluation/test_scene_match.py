"""Objects of a graph and of a picture are paired by what they are, never by what would be kind."""

from __future__ import annotations

import numpy as np
import pytest

from graphcond.evaluation import match_scene
from graphcond.types import Box, SceneGraph
from graphcond.worlds.scene_check import Detected, matches
from tests.evaluation.scene_doubles import scene

LEFT, RIGHT = Box(0.0, 0.4, 0.2, 0.6), Box(0.8, 0.4, 1.0, 0.6)


def test_labels_pair_whatever_their_case_and_each_seen_object_once() -> None:
    match = match_scene(scene("Star ring star heart"), scene("ring star"))
    assert match.places == (1, 0, None, None)


def test_attributes_come_before_order() -> None:
    match = match_scene(scene("star star", colors="red blue"), scene("star star", colors="blue red"))
    assert match.places == (1, 0)
    assert match.attributes == ((True,), (True,))
    match = match_scene(scene("star star", colors="red blue"), scene("star star", colors="green red"))
    assert match.places == (1, 0)
    assert match.attributes == ((True,), (False,))


def test_relations_need_both_ends_and_the_predicate() -> None:
    wanted = scene("star ring heart", (0, "left of", 1), (1, "above", 2))
    match = match_scene(wanted, scene("star ring", (0, "left of", 1)))
    assert (match.ends, match.relations, match.related) == ((True, False), (True, False), False)
    match = match_scene(wanted, scene("star ring heart", (0, "above", 1), (1, "above", 2)))
    assert (match.ends, match.relations) == ((True, True), (False, True))
    assert match_scene(wanted, scene("star ring heart", *wanted.relationships)).related


def test_a_spatial_relation_may_be_stated_from_either_end() -> None:
    wanted = scene("star ring", (0, "left of", 1), (0, "near", 1))
    seen = scene("star ring", (1, "Right Of", 0), (1, "near", 0))
    assert match_scene(wanted, seen).relations == (True, False)


def test_relations_do_not_choose_between_objects_that_are_told_apart() -> None:
    wanted = scene("star star", (0, "left of", 1), colors="red blue")
    assert not match_scene(wanted, scene("star star", (1, "left of", 0), colors="red blue")).related
    twins = scene("star star ring", (0, "left of", 2), (2, "left of", 1), colors="red red blue")
    seen = scene("star star ring", (1, "left of", 2), (2, "left of", 0), colors="red red blue")
    assert match_scene(twins, seen).relations == (True, True)


def test_boxes_settle_what_is_left() -> None:
    wanted = scene("star star", boxes=(LEFT, RIGHT))
    assert match_scene(wanted, scene("star star", boxes=(RIGHT, LEFT))).places == (1, 0)


def test_a_relation_to_itself_and_a_crowd() -> None:
    assert match_scene(scene("star", (0, "near", 0)), scene("star", (0, "near", 0))).relations == (True,)
    crowd = SceneGraph(("sheep",) * 300, ((0, "near", 299),))
    match = match_scene(crowd, crowd)
    assert sorted(place for place in match.places if place is not None) == list(range(300))


def test_empty_graphs_match() -> None:
    assert match_scene(SceneGraph(()), scene("star")).related
    assert match_scene(scene("star"), SceneGraph(())).places == (None,)


@pytest.mark.parametrize("seed", range(3))
def test_it_agrees_with_the_scene_worlds_own_check(seed: int) -> None:
    from graphcond.evaluation.scene_world import OracleDetector
    from graphcond.worlds.scenes import SceneWorld

    rng = np.random.default_rng(seed)
    world = SceneWorld(seed=seed, count=60)
    graphs = [world.graph(row) for row in range(60)]
    seen = [disturbed(graph, rng) for graph in graphs]
    detector = OracleDetector(Sees(seen))
    from tests.evaluation.doubles import plain

    for graph, found, read in zip(
        graphs, seen, detector.detect([plain("red", 64)] * 60, graphs), strict=True
    ):
        ours, theirs = match_scene(graph, read), matches(graph, found)
        assert [place is not None for place in ours.places] == list(theirs.occurred)
        assert sum(ours.relations) == sum(theirs.relations)
        assert sum(map(sum, ours.attributes)) == sum(right is True for right in theirs.attributes)


def disturbed(graph: SceneGraph, rng: np.random.Generator) -> Detected:
    """The scene with boxes exchanged, a colour changed and an object lost, now and then."""
    order = rng.permutation(len(graph)).tolist()
    boxes = [graph.boxes[place] for place in (order if rng.random() < 0.5 else range(len(graph)))]
    kept = [place for place in order if rng.random() < 0.9]
    colors = [graph.attributes_of(place)[0] if rng.random() < 0.8 else "red" for place in range(len(graph))]
    return Detected(
        tuple(graph.objects[place] for place in kept),
        tuple(colors[place] for place in kept),
        tuple(boxes[place] for place in kept),  # type: ignore[arg-type]
        tuple(np.linspace(1, 0.5, len(kept)).tolist()),
    )


class Sees:
    def __init__(self, found: list[Detected]) -> None:
        self.found = found

    def detect(self, pixels: object) -> list[Detected]:
        return self.found[: len(pixels)] if len(self.found) <= 64 else self.found  # type: ignore[arg-type]
