"""Grounded captions: a picture, its caption, and a box for each phrase (formats like GLIGEN's data).

One JSON object a line: ``{"image": "a.jpg", "caption": "a dog on grass", "objects": [{"phrase": "a dog",
"box": [x0, y0, x1, y1]}]}``; boxes are shares of the picture unless ``box_format`` says otherwise.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from graphcond.errors import at
from graphcond.io.tally import reading_row
from graphcond.scene_graph import FourNumbers, SceneGraph
from graphcond.scenes.boxes import BoxedRow, BoxFormat
from graphcond.scenes.jsonfile import checked
from graphcond.scenes.records import (
    Gallery,
    SceneFormat,
    SceneInput,
    SceneRecord,
    SceneSource,
    without_dummies,
)


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


def read_grounded(given: SceneInput) -> SceneSource:
    """The scenes of a file: objects with boxes, no relations. Pictures are beside it unless given elsewhere.

    Raises:
        InputError: a row has another form, or a picture lies outside the folder.
    """
    gallery = given.gallery or Gallery(given.path.parent)
    records = []
    for number, (place, value) in enumerate(given.rows):
        with reading_row(given.bad, "scenes"), at(place):
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
    return SceneSource.of(records, gallery)


def _signs(given: SceneInput) -> bool:
    objects = given.first.get("objects") if isinstance(given.first, dict) else None
    return isinstance(objects, list) and bool(objects) and isinstance(objects[0], dict)


GROUNDED = SceneFormat(
    name="grounded",
    files='JSON or JSON Lines of {"image": ..., "objects": [{"phrase": ..., "box": ...}]}',
    signs=_signs,
    read=read_grounded,
    hides=("written",),
)
