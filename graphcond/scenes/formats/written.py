"""Scene graphs in the friendly form, which people write by hand, and sg2im and SGCond release.

``{"objects": ["sky", "grass"], "relationships": [[0, "above", 1]]}``, optionally with attributes, boxes and
their format, and with the prompt, the picture and the split that a training needs.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from graphcond.errors import InputError, at
from graphcond.io.tally import reading_row
from graphcond.scene_graph import FourNumbers, SceneGraph
from graphcond.scenes.boxes import BoxedRow
from graphcond.scenes.jsonfile import checked
from graphcond.scenes.records import (
    Gallery,
    SceneFormat,
    SceneInput,
    SceneRecord,
    SceneSource,
    without_dummies,
)


class WrittenScene(BoxedRow):
    """One scene in the friendly form; `SceneGraph` checks the columns of the graph."""

    model_config = ConfigDict(extra="forbid")
    objects: Any
    relationships: Any = None
    attributes: Any = None
    boxes: list[FourNumbers | None] | None = None
    id: str | None = None
    image: str | None = None
    prompt: str | Annotated[list[str], Field(min_length=1)] | None = None
    caption: str | None = None
    split: str | None = None

    def graph(self) -> SceneGraph:
        """The scene graph, without sg2im's dummies.

        Raises:
            InputError: as `SceneGraph`, or boxes lack their format or the size of the picture.
        """
        return without_dummies(
            SceneGraph(
                objects=self.objects,
                relationships=() if self.relationships is None else self.relationships,
                attributes=() if self.attributes is None else self.attributes,
                boxes=self.read_boxes(self.boxes or (), "boxes[{}]"),
            )
        )


def parse_scene(value: Any, place: object = "scene") -> SceneGraph:
    """One scene in the friendly form; sg2im's dummies are dropped.

    Raises:
        InputError: ``value`` is not an object, has an unknown key or boxes without a format, or is not a
            valid scene graph.
    """
    with at(place):
        return checked(WrittenScene, value, None).graph()


def read_written(given: SceneInput) -> SceneSource:
    """The scenes of a file, with their prompts, captions, splits and pictures, by default beside it.

    Raises:
        InputError: there are no rows, a row is broken, or a picture lies outside the folder.
    """
    file, gallery = given.path, given.gallery
    if not given.rows:
        raise InputError("the file holds no scenes", place=file, remedy='write {"objects": [...]}')
    records = []
    for number, (place, value) in enumerate(given.rows):
        with reading_row(given.bad, "scenes"), at(place):
            scene = checked(WrittenScene, value, None)
            if gallery is None and scene.image is not None:
                gallery = Gallery(file.parent, place=file)
            record = SceneRecord(
                graph=scene.graph(),
                id=scene.id or f"scene-{number:06d}",
                picture=None if scene.image is None or gallery is None else gallery.find(scene.image),
                prompt=scene.prompt,
                caption=scene.caption,
                split=scene.split,
            )
            records.append(record)
    return SceneSource.of(records, gallery)


def scene_as_dict(scene: SceneGraph) -> dict[str, Any]:
    """``scene`` in the friendly form; its masks are left out."""
    written: dict[str, Any] = {
        "objects": list(scene.objects),
        "relationships": [list(relation) for relation in scene.relationships],
    }
    if scene.attributes:
        written["attributes"] = [list(row) for row in scene.attributes]
    if scene.boxes:
        written["boxes"] = [None if box is None else list(box) for box in scene.boxes]
        written["box_format"] = "xyxy relative"
    return written


WRITTEN = SceneFormat(
    name="written",
    files='JSON or JSON Lines of {"objects": [...], "relationships": [...]}',
    signs=lambda given: isinstance(given.first, dict) and bool(given.first),
    read=read_written,
)
