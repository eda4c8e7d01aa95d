from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphcond.errors import InputError
from graphcond.scenes import load_scene_set, read_scene_source, read_scenes
from tests.scenes.scenes import write, write_picture

h5py = pytest.importorskip("h5py", reason="h5py is not installed")

VOCABULARY: dict[str, Any] = {
    "object_idx_to_name": ["__image__", "clock", "street"],
    "pred_idx_to_name": ["__in_image__", "above"],
    "attribute_idx_to_name": ["green", "tall"],
}


def padded(rows: list[list[Any]], width: int, fill: Any = -1) -> np.ndarray:
    return np.array([row + [fill] * (width - len(row)) for row in rows], np.int32)


def arrays() -> dict[str, np.ndarray]:
    box, none = [10, 10, 20, 20], [-1] * 4
    return {
        "image_ids": np.array([7, 8], np.int32),
        "object_ids": padded([[1], [2, 3]], 4),
        "object_names": padded([[1], [1, 2]], 4),
        "object_boxes": padded([[box], [box, [0, 0, 200, 25]]], 4, none),
        "objects_per_image": np.array([1, 2], np.int32),
        "relationship_ids": padded([[1], [2]], 3),
        "relationship_subjects": padded([[], [0]], 3),
        "relationship_predicates": padded([[], [1]], 3),
        "relationship_objects": padded([[], [1]], 3),
        "relationships_per_image": np.array([0, 1], np.int32),
        "attributes_per_object": padded([[1], [0, 2]], 4),
        "object_attributes": padded([[1], [], [0, 1]], 5),
    }


def write_h5(path: Path, **changes: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, value in {**arrays(), **changes}.items():
            if value is not None:
                file[name] = value
        file.create_dataset("image_paths", data=["VG/7.jpg", "VG/8.jpg"], dtype=h5py.string_dtype())
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "vocab.json", VOCABULARY)
    write_h5(tmp_path / "train.h5")
    return tmp_path


def test_names_relations_and_the_rows_of_attributes(folder: Path) -> None:
    source = read_scene_source(folder)
    first, second = (record.graph for record in source.records)
    assert (first.objects, first.attributes, first.relationships) == (("clock",), (("tall",),), ())
    assert (second.objects, second.attributes) == (("clock", "street"), ((), ("green", "tall")))
    assert second.relationships == ((0, "above", 1),)
    assert [record.split for record in source.records] == ["train", "train"]
    assert second.boxes == ()
    assert source.notes[0].startswith("boxes are unknown")
    assert read_scenes(folder / "train.h5") == [first, second]


def test_pictures_tell_the_size_of_boxes(folder: Path) -> None:
    write_picture(folder / "p/VG/8.jpg", (100, 50))
    write_h5(folder / "test.h5")
    scenes = load_scene_set(folder, pictures=folder / "p")
    assert scenes.pictures == [None, "VG/8.jpg"] * 2
    assert scenes.splits == ["train", "train", "test", "test"]
    assert scenes.graphs[1].boxes == (pytest.approx((0.1, 0.2, 0.3, 0.6)), (0.0, 0.0, 1.0, 0.5))


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.95])
def test_a_file_cut_short(folder: Path, kept: float) -> None:
    file = folder / "train.h5"
    content = file.read_bytes()
    file.write_bytes(content[: int(kept if kept >= 1 else kept * len(content))])
    with pytest.raises(InputError, match=r"train\.h5: the file cannot be read as HDF5 .*cut short"):
        read_scenes(folder)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"object_names": padded([[1], [1, 3]], 4)},
            r"train\.h5: image 8: object: object 3 is not in the vocab",
        ),
        ({"object_names": padded([[1], [1]], 4)}, r"object -1 is not in the vocabulary of 3"),
        ({"relationship_predicates": padded([[], [9]], 3)}, r"predicate 9 is not in the vocabulary of 2"),
        ({"object_attributes": padded([[9], [], []], 5)}, r"attribute 9 is not in the vocabulary of 2"),
        ({"object_attributes": padded([[1]], 5)}, r"object_attributes: there are 1 rows for 3 objects"),
        ({"relationship_objects": padded([[], [2]], 3)}, r"image 8: relationships\[0\]: points to object 2"),
        ({"object_boxes": None}, r"there is no array 'object_boxes'"),
        ({"object_names": np.zeros((2, 4))}, r"object_names: .* got float64 of shape \(2, 4\)"),
        ({"object_names": padded([[1]], 4)}, r"object_names: .* for 2 images, got int32 of shape \(1, 4\)"),
        (
            {"objects_per_image": np.array([1, 9], np.int32)},
            r"objects_per_image: the counts do not fit",
        ),
    ],
)
def test_refused(folder: Path, changes: dict[str, Any], problem: str) -> None:
    write_h5(folder / "train.h5", **changes)
    with pytest.raises(InputError, match=problem):
        read_scenes(folder)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([], r"vocab\.json: expected an object"),
        ({"pred_idx_to_name": []}, r"vocab\.json: object_idx_to_name: is missing"),
        ({**VOCABULARY, "object_idx_to_name": {"0": "a"}}, r"object_idx_to_name: expected a valid list"),
    ],
)
def test_a_broken_vocabulary(folder: Path, content: Any, problem: str) -> None:
    write(folder / "vocab.json", content)
    with pytest.raises(InputError, match=problem):
        read_scenes(folder)


def test_without_h5py_there_is_a_remedy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=r"h5py cannot be imported .*pip install 'graphcond\[scenes\]'"):
        read_scenes(folder)
