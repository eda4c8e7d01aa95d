from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from graphcond.errors import InputError
from graphcond.scene_graph import LONGEST_LABEL, MOST_OBJECTS, Box, Relationship, SceneGraph
from tests.typecheck import unchecked


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
        (([""],), r"objects\[0\]: expected words, got an empty text\. Name it"),
        ((["  \n"],), r"objects\[0\]: expected words"),
        ((["sky", 3],), r"objects\[1\]: expected a valid string, got 3\. Write objects"),
        ((["\ud800"],), r"objects\[0\]: .*unicode string, got '\\ud800'"),
        ((["x" * (LONGEST_LABEL + 1)],), r"objects\[0\]: string should have at most 500 characters"),
        (("sky",), r"objects: expected a list, got str"),
        (({"sky": 1},), r"objects: expected a list, got dict"),
        (({"sky", "grass"},), r"objects: expected a list, got set"),
        ((None,), r"objects: expected a list, got NoneType"),
        ((["sky"] * (MOST_OBJECTS + 1),), r"objects: 1001 are too many, the limit is 1000"),
        ((["sky"], [[0, "above", 1]]), r"relationships\[0\]: points to object 1, but there are 1"),
        ((["sky"], [[0, "above", -1]]), r"points to object -1"),
        (([], [[0, "above", 0]]), r"but there are 0\. Add objects first"),
        (
            (["sky", "sea"], [[True, "above", 0]]),
            r"relationships\[0\]\[0\]: expected a valid integer, got True",
        ),
        (
            (["sky", "sea"], [[0.0, "above", 1]]),
            r"relationships\[0\]\[0\]: expected a valid integer, got 0\.0",
        ),
        (
            (["sky", "sea"], [["sky", "above", "sea"]]),
            r"relationships\[0\]\[0\]: .*got 'sky'; .*\[2\]: .*got 'sea'",
        ),
        ((["sky", "sea"], [[0, "above", 10**5000]]), r"points to object a int"),
        ((["sky", "sea"], [[0, " ", 1]]), r"relationships\[0\]\[1\]: expected words"),
        ((["sky", "sea"], [[0, None, 1]]), r"relationships\[0\]\[1\]: .*got None"),
        ((["sky", "sea"], [[0, "above"]]), r"relationships\[0\]\[2\]: is missing"),
        ((["sky", "sea"], ["0a1"]), r"relationships\[0\]: expected a list, got str"),
        ((["sky"], [[0, "by", 0]] * 10_001), r"relationships: 10001 are too many"),
        ((["sky"], (), {1: "blue"}), r"attributes: there is no object 1, there are 1"),
        ((["sky"], (), {"²": "blue"}), r"attributes: there is no object '²'"),
        ((["sky"], (), {"9" * 5000: "blue"}), r"attributes: there is no object '999"),
        ((["sky"], (), {True: "blue"}), r"attributes: there is no object True"),
        ((["sky"], (), {0: "blue", "0": "red"}), r"attributes: object 0 occurs twice"),
        ((["sky"], (), [["blue"], ["red"]]), r"attributes: there are 2 rows for 1 objects"),
        ((["sky"], (), [0]), r"attributes\[0\]: expected a list, got int"),
        ((["sky"], (), [[""]]), r"attributes\[0\]\[0\]: expected words"),
        ((["sky"], (), (), [[0, 0, 1, 1]] * 2), r"boxes: there are 2 rows for 1 objects"),
        ((["sky"], (), (), [[0, 0, 1]]), r"boxes\[0\]\[3\]: is missing"),
        ((["sky"], (), (), [[0, 0, 1, "1"]]), r"boxes\[0\]\[3\]: .*got '1'"),
        ((["sky"], (), (), [[0, 0, 1, True]]), r"boxes\[0\]\[3\]: .*got True"),
        ((["sky"], (), (), [7]), r"boxes\[0\]: expected a list, got int"),
        ((["sky"], (), (), [[0, 0, 1, float("nan")]]), r"boxes\[0\]\[3\]: .*got nan"),
        ((["sky"], (), (), [[0, 0, 1, 10**400]]), r"boxes\[0\]\[3\]: .*got 1000"),
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
    with unchecked(), pytest.raises(InputError, match=r"masks: expected bool of shape \(1, 16, 16\), got "):
        make(["sky"], masks=masks)


def test_arrays_and_generators_are_lists() -> None:
    scene = make(
        (word for word in ("sky", "sea")),
        [(np.int64(0), "above", np.int64(1))],
        boxes=np.array([[0, 0, 1, 0.5], [0, 0.5, 1, 1]], np.float32),
    )
    assert scene == make(["sky", "sea"], [[0, "above", 1]], boxes=[[0, 0, 1, 0.5], [0, 0.5, 1, 1]])
    assert [type(end) for end in (scene.relationships[0].subject, scene.relationships[0].object)] == [
        int,
        int,
    ]


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        make(["sky", 3], [[0, "above", "sea"]], boxes=[[0, 0, 2, 1], None])
    for place in ("objects[1]: ", "relationships[0][2]: ", "boxes[0]: "):
        assert place in caught.value.problem
    assert caught.value.remedy


def test_it_needs_no_torch() -> None:
    code = "import sys, graphcond.scene_graph; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
