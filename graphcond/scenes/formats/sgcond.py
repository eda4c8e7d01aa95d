"""SGCond's ``data.json``: labels and boxes that sg2im predicted, with its dummy object.

A list of ``[[[x, y, w, h], ...], [label, ...]]``, x and y the upper left corner, all as shares of the
picture. The boxes are predictions and reach a little over the edge, so they are cut off there (SGCond,
arXiv 2310.10338, and the release's own file).
"""

from __future__ import annotations

from typing import Any

from graphcond.errors import InputError
from graphcond.scene_graph import SceneGraph
from graphcond.scenes.boxes import read_box
from graphcond.scenes.jsonfile import a_list, at
from graphcond.scenes.records import SceneFormat, SceneRecord, SceneSource, without_dummies


def read_sgcond(value: Any, file: object) -> SceneSource:
    """The scenes of a parsed ``data.json``: objects with boxes, no relations.

    Raises:
        InputError: it has another form, or labels and boxes differ in number.
    """
    rows = a_list(value, file)
    graphs = []
    for number, row in enumerate(rows):
        with at(f"{file}: scene {number}"):
            graphs.append(_graph(row))
    records = [SceneRecord(graph, f"scene-{number:06d}") for number, graph in enumerate(graphs)]
    return SceneSource(records)


def _is_pair(first: Any) -> bool:
    return isinstance(first, list) and bool(first) and isinstance(first[0], list | dict)


def _graph(row: Any) -> SceneGraph:
    if not isinstance(row, list) or len(row) != 2:
        raise InputError("is no pair of boxes and labels", remedy="write [[[x, y, w, h], ...], [label, ...]]")
    boxes, labels = a_list(row[0], "boxes"), a_list(row[1], "labels")
    if len(boxes) != len(labels):
        raise InputError(f"{len(boxes)} boxes for {len(labels)} labels", remedy="give each label a box")
    found = [read_box(box, "xywh relative", place=f"boxes[{n}]", clip=True) for n, box in enumerate(boxes)]
    return without_dummies(SceneGraph(objects=tuple(labels), boxes=tuple(found)))


SGCOND = SceneFormat(
    name="sgcond",
    files="data.json of SGCond: [[[[x, y, w, h], ...], [label, ...]], ...]",
    signs=lambda given: _is_pair(given.first),
    read=lambda given: read_sgcond(given.document, given.path),
)
