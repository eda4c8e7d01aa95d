from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graphcond.errors import InputError
from graphcond.scenes import read_scenes
from tests.scenes.scenes import shared, write

ROW = [[[0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.501, 0.6], [0.0, 0.0, 0.99, 0.99]], ["bus", "road", "__image__"]]


def test_xywh_boxes_are_cut_at_the_edge_and_dummies_dropped(tmp_path: Path) -> None:
    (scene,) = read_scenes(write(tmp_path / "data.json", [ROW]))
    assert (scene.objects, scene.relationships) == (("bus", "road"), ())
    assert scene.boxes[0] == pytest.approx((0.1, 0.2, 0.4, 0.6))
    assert scene.boxes[1] == pytest.approx((0.5, 0.5, 1.0, 1.0))


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ([[[0, 0, 1, 1]], ["a", "b"]], r"entry 0: 1 boxes for 2 labels"),
        ([[[0, 0, 1, 1]]], r"entry 0: \[1\]: is missing"),
        ([[[0, 0, 1]], ["a"]], r"entry 0: \[0\]\[0\]\[3\]: is missing"),
        ([[[0, 0, 1, 1]], [""]], r"entry 0: \[1\]\[0\]: expected words"),
        ([{"boxes": 1}, ["a"]], r"entry 0: \[0\]: expected a valid list"),
    ],
)
def test_refused(row: Any, problem: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=problem):
        read_scenes(write(tmp_path / "data.json", [row]))


def test_the_release() -> None:
    scenes = read_scenes(shared("sgcond_boxes.json"))
    assert len(scenes) == 10
    assert scenes[0].objects == ("bus", "sky-other", "tree", "road")
    assert scenes[0].boxes[0] == pytest.approx((0.1218, 0.1304, 0.9206, 0.8976), abs=1e-4)
    assert all(scene.boxes and "__image__" not in scene.objects for scene in scenes)
