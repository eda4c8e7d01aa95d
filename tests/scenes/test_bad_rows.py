"""One odd value does not stop a file: it is read, or left out by choice and counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from graphcond.data.open import open_data
from graphcond.errors import InputError
from graphcond.recipe.sections import SceneData
from graphcond.scenes import inspect_scenes, load_scene_set, read_scenes

SQUARE = [[5, 5, 35, 5, 35, 35, 5, 35]]
FRAME = {"size": [100, 100], "counts": [0, 5000, 5000]}


def write(path: Path, **files: Any) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for stem, value in files.items():
        (path / f"{stem}.json").write_text(json.dumps(value))
    return path


def vg_object(number: int, name: str, **more: Any) -> dict[str, Any]:
    return {"object_id": number, "x": 1, "y": 2, "w": 30, "h": 40, "names": [name], **more}


def coco(*notes: dict[str, Any]) -> dict[str, Any]:
    return {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 100, "height": 100}],
        "categories": [{"id": kind, "name": name} for kind, name in enumerate(("cat", "dog", "grass"), 1)],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": 1 + n % 3, "bbox": [5, 5, 60, 60], "segmentation": SQUARE}
            | note
            for n, note in enumerate(notes)
        ],
    }


@pytest.mark.parametrize("key", ["objects", "relationships"])
def test_null_stands_for_an_empty_list(key: str, tmp_path: Path) -> None:
    files = {
        "objects": [
            {"image_id": 1, "objects": [vg_object(1, "sky")]},
            {"image_id": 2, "objects": [vg_object(2, "sea")]},
        ],
        "relationships": [{"image_id": 1, "relationships": []}, {"image_id": 2, "relationships": []}],
    }
    files[key][1][key] = None
    scenes = load_scene_set(write(tmp_path, **files))
    assert scenes.graphs[0].objects == ("sky",)
    assert len(scenes) == 2


@pytest.mark.parametrize("wrapped", [{"bbox": [[5, 5, 60, 60]]}, {"segmentation": [FRAME]}])
def test_wrapped_boxes_and_run_lengths_are_those_within(wrapped: dict[str, Any], tmp_path: Path) -> None:
    plain = {key: value[0] for key, value in wrapped.items()}
    found = [
        load_scene_set(write(tmp_path / name, instances_val2017=coco({}, {}, note))).graphs[0]
        for name, note in (("wrapped", wrapped), ("plain", plain))
    ]
    assert found[0] == found[1]
    assert found[0].masks is not None
    assert (found[0].masks == found[1].masks).all()


def test_items_without_a_label_are_left_out_with_their_relations(tmp_path: Path) -> None:
    items = [{"item_id": number, "label": label} for number, label in enumerate(("dog", None, "cat"))]
    relations = [{"item1": 0, "relation": "near", "item2": 2}, {"item1": 1, "relation": "on", "item2": 0}]
    (tmp_path / "laion.json").write_text(json.dumps([{"img_id": 1, "items": items, "relations": relations}]))
    scenes = load_scene_set(tmp_path / "laion.json")
    assert scenes.graphs[0].objects == ("dog", "cat")
    assert [tuple(relation) for relation in scenes.graphs[0].relationships] == [(0, "near", 1)]
    assert scenes.tally.left_out == {"objects": {"no label": 1}}


GROUNDED: tuple[Any, ...] = ([{"phrase": "a dog"}], [{"phrase": "a dog", "box": [2, 2, 1, 1]}])
LAION: tuple[Any, ...] = ([], [{"item1": 9, "relation": "on", "item2": 2}])
GOOD = {"objects": ["sky", "sea"], "relationships": [[0, "above", 1]]}
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "written": ({"scenes": [GOOD, {"objects": ["sky"], "relationships": [[0, "above", 7]]}]}, "scenes"),
    "grounded": ({"scenes": [{"objects": phrases} for phrases in GROUNDED]}, "scenes"),
    "sgcond": ({"data": [[[[0, 0, 0.5, 0.5]], ["sky"]], [[[0, 0, 0.5, 0.5]], []]]}, "scenes"),
    "laion-sg": (
        {
            "train": [
                {"img_id": n, "items": [{"item_id": n, "label": "sky"}], "relations": relations}
                for n, relations in enumerate(LAION)
            ]
        },
        "scenes",
    ),
    "visual-genome": (
        {
            "objects": [{"image_id": 1, "objects": [vg_object(1, "sky")]}],
            "relationships": [
                {"image_id": 1, "relationships": [{"predicate": "on", "subject_id": 1, "object_id": 77}]}
            ],
        },
        "relations",
    ),
    "coco": ({"instances_val2017": coco({}, {}, {}, {"category_id": 99})}, "objects"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_rows_are_errors_that_name_the_flag_or_left_out(kind: str, tmp_path: Path) -> None:
    files, what = BROKEN[kind]
    folder = write(tmp_path / "scenes", **files)
    source = folder / f"{next(iter(files))}.json" if kind in ("written", "grounded", "sgcond") else folder
    with pytest.raises(InputError, match="--skip-bad-rows") as caught:
        load_scene_set(source, format=kind)
    assert str(caught.value).count("--skip-bad-rows") == 1
    with pytest.raises(InputError) as plain:
        read_scenes(source)
    assert "--skip-bad-rows" not in str(plain.value), "one scene to draw cannot be left out"
    said: list[str] = []
    data = open_data(SceneData(path=source, format=kind, skip_bad_rows=True), say=said.append)
    assert len(data) == 1
    (reasons,) = [reasons for left, reasons in data.scenes.tally.left_out.items() if left == what]
    assert sum(reasons.values()) == 1
    assert any(line.startswith(f"{what}: ") and "left out 1 because" in line for line in said)
    report = inspect_scenes(source, format=kind, skip_bad_rows=True)
    assert report.tally == data.scenes.tally
    assert report.scenes == 1
