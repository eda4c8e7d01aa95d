"""COCO-Stuff: boxes and masks of things and stuff, made into scene graphs with spatial relations.

Filters and pairs follow sg2im (Johnson et al. 2018): objects over 2 % of the picture, three to eight of them,
no "other", and for each object one relation with a random partner in a random direction. The predicate is
`graphcond.scene_graph.predicate` of the boxes; sg2im compares the centres of the masks instead.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from graphcond.errors import InputError
from graphcond.scene_graph import Box, Relationship, SceneGraph, area, predicate
from graphcond.scenes.boxes import Size, read_box, read_size
from graphcond.scenes.jsonfile import a_list, an_object, at, entry, identifier, optional_text, read_strict
from graphcond.scenes.masks import mask_in_box
from graphcond.scenes.records import Gallery, SceneFormat, SceneRecord, SceneSource

SMALLEST = 0.02
"""Share of the picture that an object's box must cover."""

FEWEST, MOST = 3, 8
"""How many objects a scene must have."""

LEFT_OUT = frozenset({"other", "__image__"})
"""Categories that say nothing."""


def read_coco(path: Path, gallery: Gallery | None = None, *, seed: int = 0) -> SceneSource:
    """The scenes of one annotation file with its counterpart, or of a folder that holds them.

    ``instances_X.json`` and ``stuff_X.json`` of one folder are read together; where there is stuff, pictures
    without any are left out, as sg2im does.

    Args:
        path: the folder (or the one above ``annotations/``), or ``instances_X.json``.
        gallery: where the pictures lie; otherwise in ``X/`` beside the annotations, if that is there.
        seed: settles relations, for each picture by itself.

    Raises:
        InputError: a file has another form, a box or a mask is broken, or an annotation names a category or
            a picture that is not there.
    """
    records: list[SceneRecord] = []
    notes: list[str] = []
    found = gallery or _pictures(path)
    for name, files in _groups(path).items():
        read, dropped = _read_group(name, files, found, seed)
        records += read
        if dropped:
            notes.append(
                f"{dropped} pictures of {name} have not {FEWEST} to {MOST} objects; they were dropped"
            )
    return SceneSource(records, found.folder if found else None, (*(found.notes() if found else ()), *notes))


def _groups(path: Path) -> dict[str, list[Path]]:
    """Files by what follows ``instances_`` or ``stuff_``: train2017, val2017."""
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
        raise InputError("holds no instances_*.json", place=path, remedy="check the path")
    return dict(sorted(groups.items()))


def _pictures(path: Path) -> Gallery | None:
    """COCO keeps pictures in ``train2017/`` beside ``annotations/``."""
    folder = path if path.is_dir() else path.parent
    root = folder.parent if folder.name == "annotations" else folder
    return Gallery(root) if any((root / name).is_dir() for name in _groups(path)) else None


def _read_group(
    name: str, files: list[Path], gallery: Gallery | None, seed: int
) -> tuple[list[SceneRecord], int]:
    images, found, stuffed = _read_files(files)
    split = next((split for split in ("train", "val", "test") if name.startswith(split)), None)
    records, dropped = [], 0
    for number, image in images.items():
        objects = [item for item in found[number] if item.label not in LEFT_OUT]
        if not FEWEST <= len(objects) <= MOST or (stuffed is not None and number not in stuffed):
            dropped += 1
            continue
        graph = _graph(objects, seed, number)
        picture = gallery.find(f"{name}/{image.file}", image.file) if gallery else None
        records.append(SceneRecord(graph, number, picture, split=split))
    return records, dropped


class _Image:
    def __init__(self, row: dict[str, Any], place: str) -> None:
        self.file = optional_text(row, "file_name", place) or f"{row.get('id')}.jpg"
        self.size: Size = read_size(row.get("width"), row.get("height"), place)


class _Object:
    def __init__(self, label: str, box: Box, mask: np.ndarray) -> None:
        self.label, self.box, self.mask = label, box, mask


def _read_files(
    files: list[Path],
) -> tuple[dict[str, _Image], dict[str, list[_Object]], set[str] | None]:
    """Images and their objects by image id, and, where there is a file of stuff, which images have any."""
    images: dict[str, _Image] = {}
    objects: dict[str, list[_Object]] = defaultdict(list)
    stuffed: set[str] | None = None
    for file in files:
        content = an_object(read_strict(file), file)
        with at(file):
            images.update(_read_images(content))
            names = _read_categories(content)
            seen = _read_annotations(content, images, names, objects)
        stuffed = seen if file.name.startswith("stuff_") else stuffed
    return images, objects, stuffed


def _read_images(content: dict[str, Any]) -> dict[str, _Image]:
    rows = a_list(entry(content, "images", None), "images")
    given = [(an_object(row, f"images[{n}]"), f"images[{n}]") for n, row in enumerate(rows)]
    return {identifier(row, "id", place): _Image(row, place) for row, place in given}


def _read_categories(content: dict[str, Any]) -> dict[str, Any]:
    rows = a_list(entry(content, "categories", None), "categories")
    given = [(an_object(row, f"categories[{n}]"), f"categories[{n}]") for n, row in enumerate(rows)]
    return {identifier(row, "id", place): entry(row, "name", place) for row, place in given}


def _read_annotations(
    content: dict[str, Any], images: dict[str, _Image], names: dict[str, Any], into: dict[str, list[_Object]]
) -> set[str]:
    seen = set()
    for number, given in enumerate(a_list(entry(content, "annotations", None), "annotations")):
        with at(f"annotations[{number}]"):
            row = an_object(given, None)
            image, category = identifier(row, "image_id", None), identifier(row, "category_id", None)
            if image not in images:
                raise InputError(f"there is no image {image:.40}", remedy="add it to images")
            if category not in names:
                raise InputError(f"there is no category {category:.40}", remedy="add it to categories")
            size = images[image].size
            box = read_box(entry(row, "bbox", None), "xywh pixels", size, place="bbox", clip=True)
            seen.add(image)
            if box is not None and area(box) > SMALLEST:
                mask = mask_in_box(row.get("segmentation"), box, size)
                into[image].append(_Object(names[category], box, mask))
    return seen


def _graph(objects: list[_Object], seed: int, image: str) -> SceneGraph:
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
    read=lambda given: read_coco(given.path, given.gallery, seed=given.seed),
    hides=("written",),
)
