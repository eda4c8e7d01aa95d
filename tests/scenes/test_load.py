from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graphcond.errors import InputError
from graphcond.scenes import SceneInput, inspect_scenes, load_scene_set, read_scenes, write_scene
from graphcond.scenes.load import detect_scenes
from tests.scenes.scenes import SHEEP, rich_scene, write

GROUNDED = {"objects": [{"phrase": "a dog", "box": [0, 0, 1, 1]}]}
COCO: dict[str, Any] = {"images": [], "annotations": [], "categories": []}


@pytest.mark.parametrize(
    ("content", "format"),
    [
        (SHEEP, "written"),
        ([SHEEP], "written"),
        (GROUNDED, "grounded"),
        ([[[[0, 0, 1, 1]], ["a"]]], "sgcond"),
        ([{"img_id": "1", "items": []}], "laion-sg"),
        ([{"image_id": 1, "objects": []}], "visual-genome"),
        ([{"image_id": 1, "relationships": []}], "visual-genome"),
        (COCO, "coco"),
    ],
)
def test_the_content_tells_the_format(content: Any, format: str, tmp_path: Path) -> None:
    for name in ("any.json", "scenes.json"):
        assert detect_scenes(SceneInput(write(tmp_path / name, content))).name == format


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "any.json: the file is empty. Check that"),
        (" \n", "any.json: the file is empty. Check that"),
        ([["sky", "grass"], [[0, "above", 1]]], '. Write {"objects"'),
        ({}, '. Write {"objects"'),
    ],
)
def test_what_is_no_scene(content: Any, problem: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        detect_scenes(SceneInput(write(tmp_path / "any.json", content)))
    assert problem in str(caught.value)
    assert caught.value.place == (tmp_path / "any.json")


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected scenes in one of the formats folder \(scenes\.json\)"):
        read_scenes(tmp_path)
    write(tmp_path / "objects.json", [{"image_id": 1, "objects": []}])
    assert detect_scenes(SceneInput(tmp_path)).name == "visual-genome"
    write(tmp_path / "train.json", [])
    with pytest.raises(InputError, match=r"in one format, found laion-sg \(.*\) and visual-genome \("):
        read_scenes(tmp_path)


def test_a_format_may_be_named(tmp_path: Path) -> None:
    file = write(tmp_path / "any.json", SHEEP)
    assert len(load_scene_set(file, format="written")) == 1
    with pytest.raises(InputError, match=r"there is no format 'writen'\. Did you mean 'written'"):
        load_scene_set(file, format="writen")
    with pytest.raises(InputError, match="expected a JSON file, got a folder"):
        load_scene_set(tmp_path, format="written")
    with pytest.raises(InputError, match="img_id: is missing"):
        load_scene_set(file, format="laion-sg")
    with pytest.raises(InputError, match="expected a folder of pictures"):
        load_scene_set(file, pictures=tmp_path / "gone")


def test_a_written_scene_is_short_rows(tmp_path: Path) -> None:
    write_scene(rich_scene(), tmp_path / "s.json")
    text = (tmp_path / "s.json").read_text(encoding="utf-8")
    assert '  "objects": ["sky", "grass", "Schäfchen"],\n' in text
    assert '    [0, "above", 1],\n' in text
    assert max(map(len, text.splitlines())) < 60


def test_counts(tmp_path: Path) -> None:
    loop = {"objects": ["sheep"], "relationships": [[0, "next to", 0]], "attributes": [["white"]]}
    report = inspect_scenes(write(tmp_path / "s.json", [SHEEP, loop, {"objects": ["sky"], "split": "test"}]))
    assert (report.scenes, report.objects, report.object_classes) == (3, 5, 3)
    assert (report.relationships, report.predicate_classes, report.self_relations) == (3, 3, 1)
    assert (report.attributes, report.attribute_classes, report.without_relationships) == (1, 1, 1)
    assert report.frequent_objects == {"sky": 2, "sheep": 2, "grass": 1}
    assert (report.objects_per_scene, report.splits) == ((1, 1.67, 3), {"test": 1})
    assert (report.with_boxes, report.with_masks, report.with_picture) == (0, 0, 0)
