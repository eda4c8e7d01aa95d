from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graphcond.errors import InputError
from graphcond.scene_graph import SceneGraph
from graphcond.scenes import load_scene_set
from tests.scenes.scenes import write, write_picture

ENTRY: dict[str, Any] = {
    "img_id": "482027",
    "name": "804.jpg",
    "caption_ori": "Rocky mountains",
    "score": "6.66",
    "url": "http://x/804.jpg",
    "items": [
        {"item_id": 7, "label": "mountains", "attributes": ["rocky", "tall"], "global_item_id": 1},
        {"item_id": 3, "label": "lake", "attributes": [], "global_item_id": 2},
    ],
    "relations": [
        {"triple_id": 0, "item1": 3, "relation": "in front of", "item2": 7, "global_relation_id": 5}
    ],
}
ALONE = {**ENTRY, "img_id": "2", "relations": []}


def test_items_are_named_by_ids_not_positions(tmp_path: Path) -> None:
    scenes = load_scene_set(write(tmp_path / "l.json", [ENTRY]))
    assert scenes.graphs[0] == SceneGraph(
        ("mountains", "lake"),
        ((1, "in front of", 0),),  # type: ignore[arg-type]
        (("rocky", "tall"), ()),
    )
    assert (scenes.ids, scenes.captions, scenes.pictures) == (["482027"], ["Rocky mountains"], [None])


@pytest.mark.parametrize(("keep", "count", "done"), [(True, 2, "kept"), (False, 1, "dropped")])
def test_entries_without_relations(keep: bool, count: int, done: str, tmp_path: Path) -> None:
    notes: list[str] = []
    file = write(tmp_path / "l.json", [ENTRY, ALONE])
    assert len(load_scene_set(file, keep_unrelated=keep, report=notes.append)) == count
    assert notes == [f"1 entries have no relations; they were {done}"]


def test_a_folder_of_splits_with_pictures(tmp_path: Path) -> None:
    write(tmp_path / "train.json", [ENTRY, ALONE])
    write(tmp_path / "val.json", [{**ENTRY, "name": "gone.jpg"}])
    write_picture(tmp_path / "pictures/804.jpg")
    notes: list[str] = []
    scenes = load_scene_set(tmp_path, pictures=tmp_path / "pictures", report=notes.append)
    assert scenes.splits == ["train", "train", "val"]
    assert (scenes.pictures, scenes.root) == (["804.jpg", "804.jpg", None], tmp_path / "pictures")
    assert notes[0].startswith("1 scene has no picture")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"relations": [{"item1": 0, "relation": "by", "item2": 7}]},
            r"relations\[0\]: there is no item '0'",
        ),
        (
            {"relations": [{"item1": True, "relation": "by", "item2": 7}]},
            r"relations\[0\]\.item1: expected a valid string, got True",
        ),
        ({"relations": [{"item1": 3, "item2": 7}]}, r"relations\[0\]\.relation: is missing"),
        ({"items": {}}, r"l\.json: entry 0: items: expected a valid list"),
        ({"items": [{"item_id": 1}]}, r"items\[0\]\.label: is missing"),
        ({"items": [{"item_id": 1, "label": ""}], "relations": []}, r"objects\[0\]: expected words"),
        ({"items": ENTRY["items"] * 2}, r"items\[2\]: item_id '7' occurs twice"),
        ({"name": "../x.jpg"}, r"leaves the folder"),
    ],
)
def test_refused(change: dict[str, Any], problem: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=problem):
        load_scene_set(write(tmp_path / "l.json", [{**ENTRY, **change}]), pictures=tmp_path)
