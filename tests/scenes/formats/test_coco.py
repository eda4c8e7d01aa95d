from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphcond.errors import InputError
from graphcond.scene_graph import predicate
from graphcond.scenes import load_scene_set
from graphcond.scenes.masks import decode_runs, mask_in_box
from tests.scenes.scenes import write, write_picture


def note(image: int, category: int, box: list[float], segmentation: Any = None) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": box, "segmentation": segmentation, "id": 1}


IMAGES = [{"id": n, "file_name": f"{n:03d}.jpg", "width": 100, "height": 100} for n in (1, 2, 3)]
THINGS: dict[str, Any] = {
    "images": IMAGES,
    "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
    "annotations": [
        note(1, 1, [0, 0, 40, 40], [[0, 0, 40, 0, 0, 40]]),
        note(1, 2, [50, 50, 40, 40]),
        note(1, 2, [5, 5, 5, 5]),
        note(2, 1, [0, 0, 50, 50]),
        *(note(3, 1, [5 * n, 0, 20, 100]) for n in range(9)),
    ],
}
STUFF: dict[str, Any] = {
    "images": IMAGES,
    "categories": [{"id": 90, "name": "grass"}, {"id": 183, "name": "other"}],
    "annotations": [
        note(1, 90, [0, 60, 100, 45], {"size": [2, 2], "counts": [3, 1]}),
        note(1, 183, [0, 0, 100, 100]),
        note(2, 90, [0, 0, 100, 100]),
    ],
}


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    write(tmp_path / "annotations/instances_val2017.json", THINGS)
    write(tmp_path / "annotations/stuff_val2017.json", STUFF)
    write_picture(tmp_path / "val2017/001.jpg")
    return tmp_path


def test_sg2ims_filters(coco: Path) -> None:
    notes: list[str] = []
    scenes = load_scene_set(coco, report=notes.append)
    assert scenes.graphs[0].objects == ("dog", "cat", "grass")
    assert scenes.graphs[0].boxes[2] == pytest.approx((0, 0.6, 1, 1))
    assert (scenes.ids, scenes.splits, scenes.pictures) == (["1"], ["val"], ["val2017/001.jpg"])
    assert notes == ["2 pictures of val2017 do not have 3 to 8 objects; they were dropped"]
    assert load_scene_set(coco / "annotations/instances_val2017.json").graphs == scenes.graphs


def test_relations_are_spatial_seeded_and_one_for_each_object(coco: Path) -> None:
    def relations(seed: int) -> tuple[Any, ...]:
        scene = load_scene_set(coco, seed=seed).graphs[0]
        for relation in scene.relationships:
            subject, target = scene.boxes[relation.subject], scene.boxes[relation.object]
            assert subject is not None
            assert target is not None
            assert relation.predicate == predicate(subject, target)
            assert relation.subject != relation.object
        return scene.relationships

    assert len(relations(0)) == 3
    assert relations(0) == relations(0)
    assert len({relations(seed) for seed in range(8)}) > 1


def test_masks(coco: Path) -> None:
    masks = load_scene_set(coco).graphs[0].masks
    assert masks is not None
    triangle, whole, runs = masks
    assert triangle[0, :14].all()
    assert not triangle[-1, 2:].any()
    assert abs(triangle.mean() - 0.5) < 0.06
    assert whole.all()
    assert not runs[:, :8].any()
    assert runs[:, 8:].all()


def test_run_lengths() -> None:
    expected = np.array([[0, 1, 1], [1, 1, 0]], np.bool_)
    assert (decode_runs({"size": [2, 3], "counts": [1, 4, 1]}) == expected).all()
    assert (decode_runs({"size": [2, 3], "counts": "141"}) == expected).all()


def compress(runs: list[int]) -> str:
    """The other way round, after pycocotools' documentation."""
    text = ""
    for n, run in enumerate(runs):
        value = run - runs[n - 2] if n > 2 else run
        more = True
        while more:
            code = value & 0x1F
            value >>= 5
            more = value != (-1 if code & 0x10 else 0)
            text += chr((code | (0x20 if more else 0)) + 48)
    return text


@pytest.mark.parametrize("runs", [[6], [0, 6], [3, 500, 2, 40, 1000, 7, 0, 1]])
def test_compressed_run_lengths(runs: list[int]) -> None:
    size = [1, sum(runs)]
    plain = decode_runs({"size": size, "counts": runs})
    assert plain.sum() == sum(runs[1::2])
    assert (decode_runs({"size": size, "counts": compress(runs)}) == plain).all()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("abc", "got str"),
        ([[0, 0, 1]], r"segmentation\[0\]: expected a polygon"),
        ([[0, 0, 1, 1, "x", 2]], "expected a polygon"),
        ([[0, 0, 1, 1, float("inf"), 2]], "expected a polygon"),
        ({"size": [2, 2], "counts": [1, 1]}, "counts cover 2 of 4 pixels"),
        ({"size": [2, 2], "counts": [-1, 5]}, "expected run lengths as counts"),
        ({"size": [2, True], "counts": [2]}, r"expected a size, got \[2, True\]"),
        ({"size": [100_000, 100_000], "counts": [1]}, "got 10000000000"),
        ({"counts": "11"}, "expected a size, got None"),
    ],
)
def test_broken_masks(given: Any, problem: str) -> None:
    from graphcond.scene_graph import Box

    with pytest.raises(InputError, match=problem):
        mask_in_box(given, Box(0, 0, 1, 1), (10, 10))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"annotations": [note(9, 1, [0, 0, 1, 1])]}, r"annotations\[0\]: there is no image 9"),
        ({"annotations": [note(1, 9, [0, 0, 1, 1])]}, r"annotations\[0\]: there is no category 9"),
        ({"annotations": [note(1, 1, [0, 0, 1])]}, r"annotations\[0\]: bbox\[3\]: is missing"),
        ({"annotations": {}}, r"annotations: expected a valid list"),
        (
            {"images": [{"id": 1, "file_name": "a.jpg"}]},
            r"images\[0\]\.width: is missing, add it \(there is id, file_name\)",
        ),
        ({"categories": ["dog"]}, r"categories\[0\]: expected an object .*, got 'dog'"),
        ({"annotations": []}, r"there are no scenes \(3 pictures of val2017 do not have 3 to 8 objects"),
    ],
)
def test_refused(change: dict[str, Any], problem: str, tmp_path: Path) -> None:
    file = write(tmp_path / "instances_val2017.json", {**THINGS, **change})
    with pytest.raises(InputError, match=problem):
        load_scene_set(file)
