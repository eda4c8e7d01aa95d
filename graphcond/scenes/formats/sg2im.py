"""sg2im's preprocessed Visual Genome: ``train.h5``, ``val.h5``, ``test.h5`` and ``vocab.json``.

Arrays are padded with -1; boxes are x, y, w, h in pixels, so they need the pictures' sizes; rows of
``object_attributes`` go through the objects of the whole split (google/sg2im, ``preprocess_vg.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from graphcond.errors import InputError, at
from graphcond.io.files import read_json
from graphcond.io.optional import optional
from graphcond.io.pictures import picture_size
from graphcond.io.readable import check_readable
from graphcond.scene_graph import SceneGraph
from graphcond.scenes.boxes import Size, read_box
from graphcond.scenes.jsonfile import checked
from graphcond.scenes.records import (
    Gallery,
    SceneFormat,
    SceneInput,
    SceneRecord,
    SceneSource,
    without_dummies,
)
from graphcond.splits import by_split, is_split

VOCABULARY = "vocab.json"
AGAIN = "preprocess the data again"

ARRAYS = {
    "image_ids": 1,
    "object_names": 2,
    "object_boxes": 3,
    "objects_per_image": 1,
    "relationship_subjects": 2,
    "relationship_predicates": 2,
    "relationship_objects": 2,
    "relationships_per_image": 1,
}
"""The arrays that must be there, with their number of axes; attributes and ``image_paths`` are optional."""


def read_sg2im(given: SceneInput) -> SceneSource:
    """The scenes of one ``.h5`` file, or of a folder with the splits; ``vocab.json`` is beside the files.

    Without a gallery boxes are unknown, since the files do not give the sizes of pictures.

    Raises:
        InputError: h5py is not installed, a file is cut short or not HDF5, arrays do not fit together, or an
            index is not in the vocabulary.
    """
    path, gallery, words = given.path, given.gallery, given.folder / VOCABULARY
    files = [path] if path.is_file() else by_split(path.glob("*.h5")).values()
    vocabulary = checked(Vocabulary, read_json(words), words)
    records: list[SceneRecord] = []
    for file in files:
        with at(file):
            records += _read_split(file, vocabulary, gallery)
    unknown = "boxes are unknown: they are in pixels, and there is no folder of pictures for the sizes"
    return SceneSource.of(records, gallery, [] if gallery else [unknown])


class Vocabulary(BaseModel):
    """The words behind the numbers in the arrays."""

    object_idx_to_name: list[Any]
    pred_idx_to_name: list[Any]
    attribute_idx_to_name: list[Any] | None = None


def _word(words: Sequence[str], index: int, kind: str) -> str:
    if not 0 <= index < len(words):
        problem = f"{kind} {index} is not in the vocabulary of {len(words)}"
        raise InputError(problem, place=kind, remedy=f"use the {VOCABULARY} that was written with the file")
    return words[index]


def _read_split(file: Path, vocabulary: Vocabulary, gallery: Gallery | None) -> list[SceneRecord]:
    arrays = _read_arrays(file)
    counts = arrays["objects_per_image"]
    starts = np.concatenate([[0], np.cumsum(counts)])
    _check_counts(arrays, int(starts[-1]))
    split = file.stem if is_split(file.stem) else None
    paths = arrays.get("image_paths")
    records = []
    for row, image in enumerate(arrays["image_ids"].tolist()):
        with at(f"image {image}"):
            picture = None
            if gallery:
                names = [f"{image}.jpg"]
                if paths is not None:  # h5py gives strings as bytes
                    path = paths[row]
                    name = path.decode("utf-8", "replace") if isinstance(path, bytes) else str(path)
                    names.insert(0, name)
                picture = gallery.find(*names)
            size = picture_size(gallery.folder / picture) if gallery and picture else None
            graph = _graph(arrays, row, int(starts[row]), vocabulary, size)
            records.append(SceneRecord(graph, str(image), picture, split=split))
    return records


def _graph(
    arrays: Mapping[str, Any], row: int, start: int, vocabulary: Vocabulary, size: Size | None
) -> SceneGraph:
    objects, relations = int(arrays["objects_per_image"][row]), int(arrays["relationships_per_image"][row])
    names = arrays["object_names"][row, :objects].tolist()
    labels = tuple(_word(vocabulary.object_idx_to_name, name, "object") for name in names)
    subjects, predicates, targets = (
        arrays[f"relationship_{key}"][row, :relations].tolist()
        for key in ("subjects", "predicates", "objects")
    )
    words = [_word(vocabulary.pred_idx_to_name, index, "predicate") for index in predicates]
    attributes = []
    if "object_attributes" in arrays:
        known = vocabulary.attribute_idx_to_name or ()
        for indices in arrays["object_attributes"][start : start + objects].tolist():
            attributes.append(tuple(_word(known, index, "attribute") for index in indices if index >= 0))
    boxes = []
    if size is not None:
        for n, box in enumerate(arrays["object_boxes"][row, :objects].tolist()):
            boxes.append(read_box(box, "xywh pixels", size, place=f"object_boxes[{n}]", clip=True))
    return without_dummies(
        SceneGraph(
            objects=labels,
            relationships=list(zip(subjects, words, targets, strict=True)),  # type: ignore[arg-type]
            attributes=tuple(attributes),
            boxes=tuple(boxes),
        )
    )


def _read_arrays(file: Path) -> dict[str, Any]:
    h5py = optional("h5py", "'graphcond[scenes]'")
    check_readable(file)
    try:
        with h5py.File(file, "r") as opened:
            wanted = [*ARRAYS, *(name for name in ("object_attributes", "image_paths") if name in opened)]
            missing = [name for name in ARRAYS if name not in opened]
            if missing:
                raise InputError(f"there is no array '{missing[0]}'", remedy=AGAIN)
            return {name: opened[name][()] for name in wanted}
    except InputError:
        raise
    except Exception as error:  # h5py raises OSError, RuntimeError or KeyError, depending on the damage
        problem = f"the file cannot be read as HDF5 ({' '.join(str(error).split()):.120})"
        raise InputError(problem, remedy="copy it again: it is cut short or not HDF5") from None


def _check_counts(arrays: Mapping[str, Any], objects: int) -> None:
    images = len(arrays["image_ids"]) if np.ndim(arrays["image_ids"]) else -1
    for name, axes in ARRAYS.items():
        array = arrays[name]
        if np.ndim(array) != axes or len(array) != images or array.dtype.kind not in "iu":
            got = f"{getattr(array, 'dtype', '?')} of shape {np.shape(array)}"
            problem = f"expected {axes}-d integers for {images} images, got {got}"
            raise InputError(problem, place=name, remedy=AGAIN)
    for count, column in (
        ("objects_per_image", "object_names"),
        ("relationships_per_image", "relationship_subjects"),
    ):
        if images and not (arrays[count].min() >= 0 and arrays[count].max() <= arrays[column].shape[1]):
            problem = f"the counts do not fit the width of {column}"
            raise InputError(problem, place=count, remedy=AGAIN)
    attributes = arrays.get("object_attributes")
    if attributes is not None and (np.ndim(attributes) != 2 or len(attributes) != objects):
        problem = f"there are {len(attributes)} rows for {objects} objects"
        raise InputError(problem, place="object_attributes", remedy=AGAIN)


SG2IM = SceneFormat(
    name="sg2im",
    files=f"a .h5 or .hdf5 file, or a folder of {VOCABULARY} with train.h5, val.h5 or test.h5",
    signs=lambda given: (
        given.path.is_file()
        if given.path.suffix in (".h5", ".hdf5")
        else (given.path / VOCABULARY).is_file() and bool(by_split(given.path.glob("*.h5")))
    ),
    read=read_sg2im,
)
