"""Detections held against a graph: who is whom is settled by label and colour, never by relations."""

from __future__ import annotations

from graphcond.scene_graph import Box, SceneGraph
from graphcond.worlds import Detected, SceneWorld, matches

LEFT, RIGHT, TOP = Box(0.1, 0.4, 0.3, 0.6), Box(0.7, 0.4, 0.9, 0.6), Box(0.4, 0.05, 0.6, 0.25)
GRAPH = SceneGraph(("circle", "square"), ((0, "left of", 1),), (("red",), ("blue",)))


def detected(*objects: tuple[str, str, Box]) -> Detected:
    labels, colors, boxes = zip(*objects, strict=True) if objects else ((), (), ())
    return Detected(labels, colors, boxes, tuple(0.9 - 0.1 * n for n in range(len(objects))))


def test_a_right_picture_is_right() -> None:
    checked = matches(GRAPH, detected(("square", "blue", RIGHT), ("circle", "red", LEFT)))
    assert checked.found == (1, 0)
    assert checked.right
    assert checked.occurred == checked.attributes == (True, True)
    assert checked.relations == (True,)


def test_a_swapped_picture_has_its_objects_but_not_its_relation() -> None:
    checked = matches(GRAPH, detected(("circle", "red", RIGHT), ("square", "blue", LEFT)))
    assert checked.occurred == checked.attributes == (True, True)
    assert checked.relations == (False,)
    assert not checked.right


def test_a_missing_object_takes_its_relations_along() -> None:
    checked = matches(GRAPH, detected(("circle", "red", LEFT)))
    assert checked.occurred == (True, False)
    assert checked.attributes == (True, False)
    assert checked.relations == (False,)
    assert matches(GRAPH, detected()).occurred == (False, False)


def test_a_wrong_colour_still_occurs() -> None:
    checked = matches(GRAPH, detected(("circle", "green", LEFT), ("square", "blue", RIGHT)))
    assert checked.occurred == (True, True)
    assert checked.relations == (True,)
    assert checked.attributes == (False, True)
    assert not checked.right


def test_colour_is_preferred_to_score_and_to_relations() -> None:
    seen = detected(("circle", "green", LEFT), ("square", "blue", TOP), ("circle", "red", RIGHT))
    assert matches(GRAPH, seen).found == (2, 1)
    assert matches(GRAPH, seen).relations == (False,)


def test_without_a_colour_the_best_score_is_taken_whatever_the_relations_say() -> None:
    graph = SceneGraph(("circle", "square"), ((0, "left of", 1),))
    seen = detected(("circle", "red", RIGHT), ("circle", "green", LEFT), ("square", "blue", TOP))
    assert matches(graph, seen).found == (0, 2)
    assert matches(graph, seen).attributes == (None, None)


def test_an_object_does_not_take_what_another_fits_better() -> None:
    graph = SceneGraph(("circle", "circle"), (), (("red",), ("blue",)))
    assert matches(graph, detected(("circle", "blue", LEFT), ("circle", "green", RIGHT))).found == (1, 0)


def test_only_equal_objects_share_detections_out_by_relations() -> None:
    twins = SceneGraph(("circle", "circle"), ((0, "left of", 1),), (("red",), ("red",)))
    seen = detected(("circle", "red", RIGHT), ("circle", "red", LEFT))
    assert matches(twins, seen).found == (1, 0)
    assert matches(twins, seen).right
    told_apart = SceneGraph(("circle", "circle"), ((0, "left of", 1),), (("red",), ("blue",)))
    seen = detected(("circle", "green", RIGHT), ("circle", "white", LEFT))
    assert matches(told_apart, seen).found == (0, 1)
    assert matches(told_apart, seen).relations == (False,)


def test_many_equal_objects_are_checked_in_a_moment() -> None:
    many = SceneGraph(("circle",) * 12, tuple((n, "left of", n + 1) for n in range(11)))
    boxes = [Box(n / 12, 0.4, (n + 0.9) / 12, 0.5) for n in range(12)]
    assert all(matches(many, detected(*(("circle", "red", box) for box in boxes))).occurred)


def test_the_truth_about_a_scene_is_right() -> None:
    for graph in SceneWorld(seed=12, count=80).graphs:
        truth = detected(
            *((label, graph.attributes_of(n)[0], graph.boxes[n]) for n, label in enumerate(graph.objects))
        )
        assert matches(graph, truth).right
        assert truth.as_scene_graph() == SceneGraph(graph.objects, (), graph.attributes, graph.boxes)


def test_relations_that_the_world_does_not_know_never_hold() -> None:
    graph = SceneGraph(("circle", "square"), ((0, "behind", 1),))
    assert matches(graph, detected(("circle", "red", LEFT), ("square", "blue", RIGHT))).relations == (False,)
