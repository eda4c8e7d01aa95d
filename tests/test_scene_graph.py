from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphcond.errors import InputError
from graphcond.scene_graph import LONGEST_LABEL, MOST_OBJECTS, Box, Relationship, SceneGraph


def make(*columns: Any, **named: Any) -> SceneGraph:
    return SceneGraph(*columns, **named)


def test_lists_become_tuples() -> None:
    scene = make(["sky", " green   grass "], [[0, "above", 1]], [["blue"], []], [[0, 0, 1, 0.5], None])
    assert scene.objects == ("sky", "green grass")
    assert scene.relationships == (Relationship(0, "above", 1),)
    assert (scene.attributes_of(0), scene.attributes_of(1)) == (("blue",), ())
    assert (scene.box_of(0), scene.box_of(1)) == (Box(0, 0, 1, 0.5), None)
    assert hash(scene) == hash(make(scene.objects, scene.relationships, scene.attributes, scene.boxes))


def test_empty_columns_mean_nothing_is_known() -> None:
    scene = make(["sky"], attributes=[[]], boxes=[None])
    assert (scene.attributes, scene.boxes, len(scene)) == ((), (), 1)
    assert len(make([])) == 0


@pytest.mark.parametrize("key", [1, "1", np.int64(1)])
def test_attributes_by_position(key: object) -> None:
    assert make(["sky", "grass"], attributes={key: "green"}).attributes == ((), ("green",))


def test_an_object_may_stand_in_relation_to_itself() -> None:
    assert make(["sheep"], [[0, "next to", 0]]).relationships == (Relationship(0, "next to", 0),)


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        (([""],), r"objects\[0\]: '' is no label"),
        ((["  \n"],), r"objects\[0\]: .* is no label"),
        ((["sky", 3],), r"objects\[1\]: 3 is no label"),
        ((["\ud800"],), r"objects\[0\]: .* half a character"),
        ((["x" * (LONGEST_LABEL + 1)],), r"objects\[0\]: 501 characters are too long"),
        (("sky",), r"objects: is str, not a list"),
        (({"sky": 1},), r"objects: is dict, not a list"),
        (({"sky", "grass"},), r"objects: is set, not a list"),
        ((None,), r"objects: is NoneType, not a list"),
        ((["sky"] * (MOST_OBJECTS + 1),), r"objects: 1001 are too many, the limit is 1000"),
        ((["sky"], [[0, "above", 1]]), r"relationships\[0\]: points to object 1, but there are 1"),
        ((["sky"], [[0, "above", -1]]), r"points to object -1"),
        (([], [[0, "above", 0]]), r"but there are 0\. Add objects first"),
        ((["sky", "sea"], [[True, "above", 0]]), r"True is no position"),
        ((["sky", "sea"], [[0.0, "above", 1]]), r"0\.0 is no position"),
        ((["sky", "sea"], [["sky", "above", "sea"]]), r"'sky' is no position"),
        ((["sky", "sea"], [[0, "above", 10**5000]]), r"points to object a int"),
        ((["sky", "sea"], [[0, " ", 1]]), r"relationships\[0\]: ' ' is no label"),
        ((["sky", "sea"], [[0, None, 1]]), r"relationships\[0\]: None is no label"),
        ((["sky", "sea"], [[0, "above"]]), r"relationships\[0\]: \[0, 'above'\] is no relation"),
        ((["sky", "sea"], ["0a1"]), r"relationships\[0\]: '0a1' is no relation"),
        ((["sky"], [[0, "by", 0]] * 10_001), r"relationships: 10001 are too many"),
        ((["sky"], (), {1: "blue"}), r"attributes: there is no object 1, there are 1"),
        ((["sky"], (), {"²": "blue"}), r"attributes: there is no object '²'"),
        ((["sky"], (), {"9" * 5000: "blue"}), r"attributes: there is no object '999"),
        ((["sky"], (), {True: "blue"}), r"attributes: there is no object True"),
        ((["sky"], (), {0: "blue", "0": "red"}), r"attributes: object 0 occurs twice"),
        ((["sky"], (), [["blue"], ["red"]]), r"attributes: 2 lists for 1 objects"),
        ((["sky"], (), [0]), r"attributes\[0\]: is int, not a list"),
        ((["sky"], (), [[""]]), r"attributes\[0\]\[0\]: '' is no label"),
        ((["sky"], (), (), [[0, 0, 1, 1]] * 2), r"boxes: 2 boxes for 1 objects"),
        ((["sky"], (), (), [[0, 0, 1]]), r"boxes\[0\]: \[0, 0, 1\] is no box"),
        ((["sky"], (), (), [[0, 0, 1, "1"]]), r"is no box"),
        ((["sky"], (), (), [[0, 0, 1, True]]), r"is no box"),
        ((["sky"], (), (), [7]), r"boxes\[0\]: 7 is no box"),
        ((["sky"], (), (), [[0, 0, 1, float("nan")]]), r"is no box"),
        ((["sky"], (), (), [[0, 0, 1, 10**400]]), r"is no box"),
        ((["sky"], (), (), [[0, 0, 1, 1.1]]), r"boxes\[0\]: .* lies outside the picture"),
        ((["sky"], (), (), [[-0.1, 0, 1, 1]]), r"lies outside the picture"),
        ((["sky"], (), (), [[0.5, 0, 0.4, 1]]), r"has no area"),
    ],
)
def test_refused(columns: tuple[Any, ...], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        make(*columns)


@pytest.mark.parametrize("masks", [np.ones((2, 16, 16), np.bool_), np.ones((1, 16, 16)), [[True]]])
def test_masks_must_be_one_bool_mask_an_object(masks: Any) -> None:
    with pytest.raises(InputError, match=r"masks: are .* not bool of shape \(1, 16, 16\)"):
        make(["sky"], masks=masks)
