"""Grounded captions: a picture, its caption, and a box for each phrase (formats like GLIGEN's data).

One JSON object a line: ``{"image": "a.jpg", "caption": "a dog on grass", "objects": [{"phrase": "a dog",
"box": [x0, y0, x1, y1]}]}``; boxes are shares of the picture unless ``box_format`` says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from graphcond.scene_graph import FourNumbers, SceneGraph
from graphcond.scenes.boxes import BoxedRow, BoxFormat
from graphcond.scenes.jsonfile import at, checked
from graphcond.scenes.records import Gallery, SceneFormat, SceneRecord, SceneSource, without_dummies
from graphcond.tally import BadRows, reading_row


class Phrase(BaseModel):
    """A phrase of a caption, with its box if it is known."""

    phrase: Any
    box: FourNumbers | None = None


class GroundedCaption(BoxedRow):
    """One row of the file."""

    objects: list[Phrase]
    image: str | None = None
    caption: str | None = None
    split: str | None = None
    box_format: BoxFormat | None = "xyxy relative"


def read_grounded(
    rows: Sequence[tuple[str, Any]], file: Path, gallery: Gallery | None = None, bad: BadRows | None = None
) -> SceneSource:
    """The scenes of a parsed file: objects with boxes, no relations.

    Args:
        rows: place and value of each scene.
        file: the file of the rows.
        gallery: the folder of pictures; by default the file's own folder.
        bad: what to do with broken scenes; they are errors unless given.

    Raises:
        InputError: a row has another form, or a picture lies outside the folder.
    """
    gallery = gallery or Gallery(file.parent)
    records = []
    for number, (place, value) in enumerate(rows):
        with reading_row(bad, "scenes"), at(place):
            row = checked(GroundedCaption, value, None)
            phrases = tuple(item.phrase for item in row.objects)
            boxes = row.read_boxes([item.box for item in row.objects], "objects[{}].box")
            record = SceneRecord(
                graph=without_dummies(SceneGraph(phrases, boxes=boxes)),
                id=row.image or f"scene-{number:06d}",
                picture=None if row.image is None else gallery.find(row.image),
                caption=row.caption,
                split=row.split,
            )
            records.append(record)
    return SceneSource(records, gallery.folder, gallery.notes())


def _has_phrases(first: Any) -> bool:
    objects = first.get("objects") if isinstance(first, dict) else None
    return isinstance(objects, list) and bool(objects) and isinstance(objects[0], dict)


GROUNDED = SceneFormat(
    name="grounded",
    files='JSON or JSON Lines of {"image": ..., "objects": [{"phrase": ..., "box": ...}]}',
    signs=lambda given: _has_phrases(given.first),
    read=lambda given: read_grounded(given.rows, given.path, given.gallery, given.bad),
    hides=("written",),
)
