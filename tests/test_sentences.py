"""A scene graph written out in words."""

from __future__ import annotations

from graphcond.scene_graph import SceneGraph, list_of, sentence_of


def test_relations_are_clauses_with_attributes_before_labels() -> None:
    graph = SceneGraph(
        ("circle", "square", "star"),
        ((0, "left of", 1), (1, "above", 2)),
        (("red",), ("blue",), ("big", "orange")),
    )
    assert sentence_of(graph) == "a red circle left of a blue square , a blue square above a big orange star"


def test_objects_in_no_relation_are_named_too() -> None:
    graph = SceneGraph(("sky", "apple", "dog"), ((0, "above", 2),), ((), ("orange",), ()))
    assert sentence_of(graph) == "a sky above a dog , an orange apple"


def test_an_object_may_relate_to_itself() -> None:
    assert sentence_of(SceneGraph(("man",), ((0, "looking at", 0),))) == "a man looking at a man"


def test_nothing_is_the_empty_sentence() -> None:
    assert sentence_of(SceneGraph(())) == ""


def test_lists_in_words() -> None:
    assert list_of([]) == ""
    assert list_of(["a star"]) == "a star"
    assert list_of(["a star", "a ring"]) == "a star and a ring"
    assert list_of(["a star", "a ring", "a heart"]) == "a star , a ring and a heart"
