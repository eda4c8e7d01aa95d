"""Scene graphs as people write them, and as sg2im and SGCond release them (the friendly form).

``{"objects": ["sky", "grass"], "relationships": [[0, "above", 1]]}``, perhaps with attributes, with boxes and
their format, and with what a training needs beside the graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graphcond.errors import InputError, did_you_mean
from graphcond.scene_graph import Box, SceneGraph
from graphcond.scenes.boxes import read_box, read_format, read_size
from graphcond.scenes.jsonfile import a_list, an_object, at, entry, optional_text
from graphcond.scenes.records import Gallery, SceneFormat, SceneRecord, SceneSource, without_dummies

GRAPH_KEYS = ("objects", "relationships", "attributes", "boxes", "box_format", "width", "height")
RECORD_KEYS = ("id", "image", "prompt", "caption", "split")


def parse_scene(value: Any, place: object = None) -> SceneGraph:
    """One scene in the friendly form; sg2im's dummies are dropped.

    Raises:
        InputError: it is no object, has an unknown key, boxes without a format, or is no scene graph.
    """
    with at(place) if place is not None else at("scene"):
        given = an_object(value, None)
        _check_keys(given)
        scene = SceneGraph(
            objects=entry(given, "objects", None),
            relationships=_or_empty(given.get("relationships")),
            attributes=_or_empty(given.get("attributes")),
            boxes=tuple(_read_boxes(given)),
        )
        return without_dummies(scene)


def read_written(rows: Sequence[tuple[str, Any]], file: Path, gallery: Gallery | None = None) -> SceneSource:
    """The scenes of a parsed file, with their prompts, captions, splits and pictures.

    Args:
        rows: place and value of each scene, an object in the friendly form.
        file: where they come from.
        gallery: where the pictures lie; the file's own folder unless told.

    Raises:
        InputError: there are no rows, one is broken, or a picture's path leaves the folder.
    """
    if not rows:
        raise InputError("holds no scenes", place=file, remedy='write {"objects": [...]}')
    found = [(place, row, parse_scene(row, place)) for place, row in rows]
    if gallery is None and any(row.get("image") is not None for _, row, _ in found):
        gallery = Gallery(file.parent, place=file)
    records = [_record(row, graph, n, place, gallery) for n, (place, row, graph) in enumerate(found)]
    notes = gallery.notes() if gallery else ()
    return SceneSource(records, gallery.folder if gallery else None, notes)


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


def _record(
    row: dict[str, Any], graph: SceneGraph, number: int, place: object, gallery: Gallery | None
) -> SceneRecord:
    texts = {key: optional_text(row, key, place) for key in RECORD_KEYS}
    picture = texts["image"]
    return SceneRecord(
        graph=graph,
        id=texts["id"] or f"scene-{number:06d}",
        picture=None if picture is None or gallery is None else gallery.find(picture),
        prompt=texts["prompt"],
        caption=texts["caption"],
        split=texts["split"],
    )


def _check_keys(given: Mapping[str, Any]) -> None:
    known = (*GRAPH_KEYS, *RECORD_KEYS)
    for key in given:
        if key not in known:
            raise InputError(f"there is no key '{key:.60}'", remedy=did_you_mean(key, known))


def _read_boxes(given: dict[str, Any]) -> list[Box | None]:
    if given.get("boxes") is None:
        return []
    rows = a_list(given["boxes"], "boxes")
    if not any(row is not None for row in rows):
        return [None for _ in rows]
    form = read_format(given.get("box_format"), "boxes" if "box_format" not in given else "box_format")
    size = None
    if form.endswith("pixels"):
        size = read_size(given.get("width"), given.get("height"), "boxes")
    return [
        None if row is None else read_box(row, form, size, place=f"boxes[{n}]") for n, row in enumerate(rows)
    ]


def _or_empty(value: Any) -> Any:
    return () if value is None else value


WRITTEN = SceneFormat(
    name="written",
    files='JSON or JSON Lines of {"objects": [...], "relationships": [...]}',
    signs=lambda given: isinstance(given.first, dict) and bool(given.first),
    read=lambda given: read_written(given.rows, given.path, given.gallery),
)
