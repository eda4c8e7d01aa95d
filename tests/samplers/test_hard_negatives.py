"""Swaps that change what a scene says, and none that do not."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.samplers import swapped
from graphcond.samplers.hard_negatives import is_symmetric, meaning_of
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
    "word",
    [
        *("next to", "Near", "by", "same color as", "has the same shape as", "touching", "standing next to"),
        *("right next to", "is next to", "are near", "near ", "parked beside", "walking with", "talking to"),
        *(
            "connected to",
            "far from",
            "grazing close to",
            "sitting right by",
            "next_to",
            "in the same row as",
        ),
        *("is very close to", "dancing with each other", "Seated across from", "kissing", "lying alongside"),
    ],
)
def test_symmetric(word: str) -> None:
    assert is_symmetric(word)


@pytest.mark.parametrize(
    "word",
    [
        *("left of", "on", "bigger than", "holding", "behind", "sameness of", "right of", "covered with"),
        *(
            "filled with",
            "pulled by",
            "standing on",
            "sitting to the right of",
            "looking at",
            "!",
            "with her",
        ),
    ],
)
def test_not_symmetric(word: str) -> None:
    assert not is_symmetric(word)


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("is standing to the left of", ("left of", 1)),
        ("on the right side of", ("left of", -1)),
        ("sitting under", ("above", -1)),
        ("is in", ("inside", 1)),
        ("walking behind", ("in front of", -1)),
        ("worn by", ("wearing", -1)),
        ("Looking_At", ("looking at", 1)),
    ],
)
def test_meanings(word: str, meaning: tuple[str, int]) -> None:
    assert meaning_of(word) == meaning


def test_a_relation_stated_from_both_ends_is_turned_at_both() -> None:
    scene = SceneGraph(
        ["circle", "square", "star"],
        [[0, "left of", 1], [1, "standing to the right of", 0], [2, "above", 1]],
    )
    sentences = {swap(scene, seed).sentence for seed in range(12)}
    assert sentences == {
        "a square left of a circle , a circle standing to the right of a square , a star above a square",
        "a circle left of a square , a square standing to the right of a circle , a square above a star",
    }


def test_no_swap_that_is_stated_from_the_other_end() -> None:
    twins = SceneGraph(["cat", "mat", "cat"], [[0, "on", 1], [2, "lying under", 1]])
    assert swap(twins) is None


CORES = {
    "left of": ("left", 1),
    "right of": ("left", -1),
    "above": ("above", 1),
    "below": ("above", -1),
    "in front of": ("front", 1),
    "behind": ("front", -1),
    "inside": ("in", 1),
    "surrounding": ("in", -1),
    "near": ("near", 0),
    "next to": ("next", 0),
    "beside": ("beside", 0),
    "admiring": ("admiring", 1),
}


@st.composite
def spoken_scenes(draw: st.DrawFn) -> tuple[SceneGraph, list[tuple[str, int]]]:
    """A scene whose predicates are said in different ways, and what each of them means."""
    labels = draw(st.lists(st.sampled_from(["cat", "dog", "tree"]), min_size=1, max_size=5))
    ends = st.integers(0, len(labels) - 1)
    said = st.tuples(
        st.sampled_from(["", "is ", "standing ", "Sitting right ", "is seen "]), st.sampled_from(list(CORES))
    )
    triples = draw(st.lists(st.tuples(ends, said, ends), max_size=8))
    colours = [draw(st.lists(st.sampled_from(["red", "big"]), max_size=1)) for _ in labels]
    relations = [(subject, "".join(words), target) for subject, words, target in triples]
    return SceneGraph(labels, relations, colours), [CORES[words[1]] for _, words, _ in triples]


def closure(scene: SceneGraph, meanings: list[tuple[str, int]]) -> set[tuple]:
    """All that is true by what a scene states: from both ends, and both ways where a relation is mutual."""
    look = [(scene.objects[place], frozenset(scene.attributes_of(place))) for place in range(len(scene))]
    facts = set()
    for (subject, _, target), (name, direction) in zip(scene.relationships, meanings, strict=True):
        ends = (look[subject], look[target])
        if direction >= 0:
            facts.add((ends[0], name, ends[1]))
        if direction <= 0:
            facts.add((ends[1], name, ends[0]))
    return facts


@settings(max_examples=200, deadline=None)
@given(spoken=spoken_scenes(), seed=st.integers(0, 99))
def test_no_negative_is_a_true_sentence_or_contradicts_itself(spoken, seed: int) -> None:
    scene, meanings = spoken
    negative = swap(scene, seed)
    if negative is None:
        return
    said, true = closure(negative.scene, meanings), closure(scene, meanings)
    looks = [
        Counter((one.objects[n], one.attributes_of(n)) for n in range(len(one)))
        for one in (scene, negative.scene)
    ]
    assert not said <= true or looks[0].keys() != looks[1].keys()
    if negative.kind == "attributes":
        return
    turned = [
        number
        for number, (now, was) in enumerate(
            zip(negative.scene.relationships, scene.relationships, strict=True)
        )
        if now != was
    ]
    for number in turned:
        one = SceneGraph(scene.objects, [negative.scene.relationships[number]], scene.attributes)
        assert not closure(one, [meanings[number]]) & true
    directed = {
        (subject, target, name) if direction > 0 else (target, subject, name)
        for (subject, _, target), (name, direction) in zip(
            negative.scene.relationships, meanings, strict=True
        )
        if direction
    }
    before = {
        (subject, target, name) if direction > 0 else (target, subject, name)
        for (subject, _, target), (name, direction) in zip(scene.relationships, meanings, strict=True)
        if direction
    }
    both_ways = {fact for fact in directed if (fact[1], fact[0], fact[2]) in directed}
    assert len(both_ways) <= len({fact for fact in before if (fact[1], fact[0], fact[2]) in before})


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
