from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from graphcond.errors import InputError
from graphcond.scene_graph import Box
from graphcond.scenes import load_scene_set
from tests.scenes.scenes import write, write_picture

ROW: dict[str, Any] = {
    "image": "a.png",
    "caption": "a dog on grass",
    "objects": [{"phrase": "a dog", "box": [0.1, 0.2, 0.5, 0.6]}, {"phrase": "grass"}],
}


def test_phrases_and_boxes(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    pixels = {
        "image": "a.png",
        "objects": [{"phrase": "dog", "box": [10, 10, 50, 20]}],
        "box_format": "xywh pixels",
        "width": 100,
        "height": 50,
    }
    scenes = load_scene_set(write(tmp_path / "train.jsonl", f"{json.dumps(ROW)}\n{json.dumps(pixels)}\n"))
    assert scenes.graphs[0].objects == ("a dog", "grass")
    assert scenes.graphs[0].boxes == (Box(0.1, 0.2, 0.5, 0.6), None)
    assert scenes.graphs[1].boxes[0] == pytest.approx((0.1, 0.2, 0.6, 0.6))
    assert (scenes.captions, scenes.pictures) == (["a dog on grass", ""], ["a.png", "a.png"])
    assert scenes.texts == ["an image"] * 2


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"objects": [{"phrase": "a"}, "b"]},
            r"t\.jsonl:2: objects\[1\]: expected an object with keys and values, got",
        ),
        ({"objects": [{"box": [0, 0, 1, 1]}]}, r"t\.jsonl:2: objects\[0\]\.phrase: is missing"),
        (
            {"objects": [{"phrase": "a", "box": [0, 0, 2, 1]}]},
            r":2: objects\[0\]\.box: .* outside the picture",
        ),
        ({"objects": {"phrase": "a"}}, r":2: objects: expected a valid list"),
        ({"image": "../a.png"}, r"leaves the folder"),
        ({"caption": 3}, r":2: caption: expected a valid string, got 3"),
    ],
)
def test_refused(change: dict[str, Any], problem: str, tmp_path: Path) -> None:
    text = f"{json.dumps(ROW)}\n{json.dumps({**ROW, **change})}"
    with pytest.raises(InputError, match=problem):
        load_scene_set(write(tmp_path / "t.jsonl", text))
