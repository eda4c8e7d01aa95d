"""Grounded captions: a picture, its caption, and a box for each phrase (formats like GLIGEN's data).

One JSON object a line: ``{"image": "a.jpg", "caption": "a dog on grass", "objects": [{"phrase": "a dog",
"box": [x0, y0, x1, y1]}]}``; boxes are shares of the picture unless ``box_format`` says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphcond.scene_graph import Box, SceneGraph
from graphcond.scenes.boxes import read_box, read_format, read_size
from graphcond.scenes.jsonfile import a_list, an_object, at, entry, optional_text
from graphcond.scenes.records import Gallery, SceneFormat, SceneRecord, SceneSource, without_dummies


def read_grounded(rows: Sequence[tuple[str, Any]], file: Path, gallery: Gallery | None = None) -> SceneSource:
    """The scenes of a parsed file: objects with boxes, no relations.

    Args:
        rows: place and value of each scene.
        file: where they come from.
        gallery: where the pictures lie; the file's own folder unless told.

    Raises:
        InputError: a row has another form, or a picture's path leaves the folder.
    """
    gallery = gallery or Gallery(file.parent)
    records = []
    for number, (place, row) in enumerate(rows):
        with at(place):
            records.append(_record(an_object(row, None), number, gallery))
    return SceneSource(records, gallery.folder, gallery.notes())


def _record(row: dict[str, Any], number: int, gallery: Gallery) -> SceneRecord:
    objects = a_list(entry(row, "objects", None), "objects")
    found = [an_object(item, f"objects[{n}]") for n, item in enumerate(objects)]
    scene = SceneGraph(
        objects=[entry(item, "phrase", f"objects[{n}]") for n, item in enumerate(found)],  # type: ignore[arg-type]
        boxes=_boxes(row, found),
    )
    picture = optional_text(row, "image", None)
    return SceneRecord(
        graph=without_dummies(scene),
        id=picture or f"scene-{number:06d}",
        picture=None if picture is None else gallery.find(picture),
        caption=optional_text(row, "caption", None),
        split=optional_text(row, "split", None),
    )


def _boxes(row: dict[str, Any], objects: list[dict[str, Any]]) -> tuple[Box | None, ...]:
    form = read_format(row.get("box_format", "xyxy relative"), "box_format")
    given = [item.get("box") for item in objects]
    pixels = form.endswith("pixels") and any(box is not None for box in given)
    size = read_size(row.get("width"), row.get("height"), "objects") if pixels else None
    return tuple(
        None if box is None else read_box(box, form, size, place=f"objects[{n}].box")
        for n, box in enumerate(given)
    )


def _has_phrases(first: Any) -> bool:
    objects = first.get("objects") if isinstance(first, dict) else None
    return isinstance(objects, list) and bool(objects) and isinstance(objects[0], dict)


GROUNDED = SceneFormat(
    name="grounded",
    files='JSON or JSON Lines of {"image": ..., "objects": [{"phrase": ..., "box": ...}]}',
    signs=lambda given: _has_phrases(given.first),
    read=lambda given: read_grounded(given.rows, given.path, given.gallery),
    hides=("written",),
)
