"""Objects of a graph and of a picture are paired by what they are, never by what would be kind."""

from __future__ import annotations

from graphcond.evaluation import match_scene
from graphcond.scene_graph import Box, SceneGraph
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


def test_a_picture_is_right_with_all_objects_attributes_and_relations() -> None:
    wanted = scene("star ring", (0, "left of", 1), colors="red blue")
    assert match_scene(wanted, scene("ring star", (1, "left of", 0), colors="blue red")).right
    green = match_scene(wanted, scene("star ring", (0, "left of", 1), colors="green blue"))
    assert (green.related, green.right) == (True, False)
    assert not match_scene(wanted, scene("star ring", (1, "left of", 0), colors="red blue")).right
    assert not match_scene(wanted, scene("star", colors="red")).right


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
    match = match_scene(wanted, scene("star star", (1, "left of", 0), colors="green white"))
    assert (match.places, match.related) == ((0, 1), False)
    match = match_scene(scene("star ring", (0, "left of", 1)), scene("star star ring", (1, "left of", 2)))
    assert (match.places, match.related) == ((0, 2), False)
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
