"""COCO-Stuff: boxes and masks of things and stuff, made into scene graphs with spatial relations.

Filters and pairs follow sg2im (Johnson et al. 2018): objects over 2 % of the picture, three to eight of them,
without "other", and for each object one relation with a random partner in a random direction. The predicate
is `graphcond.scene_graph.predicate` of the boxes; sg2im compares the centres of the masks instead.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from pydantic import BaseModel, field_validator

from graphcond.errors import InputError, at
from graphcond.io.files import read_json
from graphcond.io.tally import BadRows, reading_row
from graphcond.scene_graph import Box, FourNumbers, Relationship, SceneGraph, area, predicate
from graphcond.scenes.boxes import Pixels, read_box
from graphcond.scenes.jsonfile import Identifier, checked
from graphcond.scenes.masks import mask_in_box
from graphcond.scenes.records import Gallery, SceneFormat, SceneInput, SceneRecord, SceneSource
from graphcond.splits import is_split, split_named

SMALLEST = 0.02
"""Share of the picture that an object's box must exceed."""

FEWEST, MOST = 3, 8
"""The least and the most objects of a scene."""

LEFT_OUT = frozenset({"other", "__image__"})
"""Categories without content."""


class Picture(BaseModel):
    """An entry of ``images``."""

    id: Identifier
    width: Pixels
    height: Pixels
    file_name: str | None = None


class Category(BaseModel):
    """An entry of ``categories``."""

    id: Identifier
    name: Any


class Annotation(BaseModel):
    """An entry of ``annotations``."""

    image_id: Identifier
    category_id: Identifier
    bbox: FourNumbers
    segmentation: Any = None

    @field_validator("bbox", mode="before")
    @classmethod
    def _unwrapped(cls, given: Any) -> Any:
        """COCO-Stuff 10K wraps a box in a list."""
        wrapped = isinstance(given, list) and len(given) == 1 and isinstance(given[0], list)
        return given[0] if wrapped else given


class Annotations(BaseModel):
    """The content of a file; annotations are checked one by one, since there are millions of them."""

    images: list[Picture]
    categories: list[Category]
    annotations: list[Any]


@dataclass(frozen=True)
class Thing:
    """An object of a picture."""

    label: Any
    box: Box
    mask: Bool[np.ndarray, "16 16"]


def read_coco(given: SceneInput) -> SceneSource:
    """The scenes of one annotation file with its counterpart, or of a folder with such files.

    ``instances_X.json`` and ``stuff_X.json`` of one folder are read together; with a file of stuff, pictures
    without stuff are left out, as sg2im does. Each picture has its own generator of relations, so that they
    do not depend on the others. Pictures are in ``X/`` beside ``annotations/`` by default.

    Raises:
        InputError: a file has another form, a box or a mask is broken, or an annotation names an unknown
            category or picture.
    """
    groups, gallery = _groups(given.path), given.gallery
    if gallery is None:
        # COCO keeps pictures in train2017/ beside annotations/.
        root = given.folder.parent if given.folder.name == "annotations" else given.folder
        gallery = Gallery(root) if any((root / name).is_dir() for name in groups) else None
    records: list[SceneRecord] = []
    notes: list[str] = []
    for name, files in groups.items():
        pictures, found, stuffed = _read_files(files, given.bad)
        usual = split_named(name.rstrip("0123456789"))  # train2017, val2014
        dropped = 0
        for number, picture in pictures.items():
            objects = [item for item in found[number] if item.label not in LEFT_OUT]
            if not FEWEST <= len(objects) <= MOST or (stuffed is not None and number not in stuffed):
                dropped += 1
                continue
            graph, file = _graph(objects, given.seed, number), picture.file_name or f"{number}.jpg"
            path = gallery.find(f"{name}/{file}", file) if gallery else None
            records.append(SceneRecord(graph, number, path, split=usual if is_split(usual) else None))
        if dropped:
            notes.append(
                f"{dropped} pictures of {name} do not have {FEWEST} to {MOST} objects; they were dropped"
            )
    return SceneSource.of(records, gallery, notes)


def _groups(path: Path) -> dict[str, list[Path]]:
    """Files by the rest of their name after ``instances_`` or ``stuff_``: train2017, val2017."""
    if path.is_file():
        name = path.stem.partition("_")[2] or path.stem
        others = [path.with_name(f"{kind}_{name}.json") for kind in ("instances", "stuff")]
        return {name: list(dict.fromkeys([path, *(other for other in others if other.is_file())]))}
    folder = path if any(path.glob("instances_*.json")) else path / "annotations"
    groups: dict[str, list[Path]] = defaultdict(list)
    for kind in ("instances", "stuff"):
        for file in sorted(folder.glob(f"{kind}_*.json")):
            groups[file.stem.removeprefix(f"{kind}_")].append(file)
    if not groups:
        raise InputError("there is no instances_*.json", place=path, remedy="check the path")
    return dict(sorted(groups.items()))


def _read_files(
    files: list[Path],
    bad: BadRows | None,
) -> tuple[dict[str, Picture], dict[str, list[Thing]], set[str] | None]:
    """Pictures and objects by image id, and the ids of pictures with stuff; None without a file of stuff."""
    pictures: dict[str, Picture] = {}
    objects: dict[str, list[Thing]] = defaultdict(list)
    stuffed: set[str] | None = None
    for file in files:
        with at(file):
            content = checked(Annotations, read_json(file), None)
            pictures.update({picture.id: picture for picture in content.images})
            names = {category.id: category.name for category in content.categories}
            seen = set()
            for number, given in enumerate(content.annotations):
                with reading_row(bad, "objects"), at(f"annotations[{number}]"):
                    note = checked(Annotation, given, None)
                    thing = _thing(note, pictures, names)
                    seen.add(note.image_id)
                    if thing is not None:
                        objects[note.image_id].append(thing)
        stuffed = seen if file.name.startswith("stuff_") else stuffed
    return pictures, objects, stuffed


def _thing(note: Annotation, pictures: dict[str, Picture], names: dict[str, Any]) -> Thing | None:
    """The object of an annotation; None if its box does not exceed `SMALLEST`."""
    if note.image_id not in pictures:
        raise InputError(f"there is no image {note.image_id:.40}", remedy="add it to images")
    if note.category_id not in names:
        raise InputError(f"there is no category {note.category_id:.40}", remedy="add it to categories")
    picture = pictures[note.image_id]
    size = (picture.width, picture.height)
    box = read_box(note.bbox, "xywh pixels", size, place="bbox", clip=True)
    if box is None or area(box) <= SMALLEST:
        return None
    return Thing(names[note.category_id], box, mask_in_box(note.segmentation, box, size))


def _graph(objects: list[Thing], seed: int, image: str) -> SceneGraph:
    rng = np.random.default_rng([seed, *image.encode()])
    relations = []
    for first in range(len(objects)):
        other = int(rng.choice([n for n in range(len(objects)) if n != first]))
        subject, target = (first, other) if rng.random() > 0.5 else (other, first)
        word = predicate(objects[subject].box, objects[target].box)
        relations.append(Relationship(subject, word, target))
    return SceneGraph(
        objects=tuple(item.label for item in objects),
        relationships=tuple(relations),
        boxes=tuple(item.box for item in objects),
        masks=np.stack([item.mask for item in objects]),
    )


COCO = SceneFormat(
    name="coco",
    files="instances_*.json, also in annotations/, or JSON with images, annotations and categories",
    signs=lambda given: (
        any(given.path.glob("instances_*.json"))
        or any(given.path.glob("annotations/instances_*.json"))
        or (isinstance(given.json, dict) and {"images", "annotations", "categories"} <= given.json.keys())
    ),
    read=read_coco,
    hides=("written",),
)
