"""SGCond's ``data.json``: labels and boxes that sg2im predicted, with its dummy object.

A list of ``[[[x, y, w, h], ...], [label, ...]]``, x and y the upper left corner, all as shares of the
picture. The boxes are predictions and reach a little over the edge, so they are cut off there (SGCond,
arXiv 2310.10338, and the release's own file).
"""

from __future__ import annotations

from pydantic import RootModel

from graphcond.errors import InputError, at
from graphcond.io.tally import reading_row
from graphcond.scene_graph import FourNumbers, Label, SceneGraph
from graphcond.scenes.boxes import read_box
from graphcond.scenes.jsonfile import checked
from graphcond.scenes.records import SceneFormat, SceneInput, SceneRecord, SceneSource, without_dummies


class Pair(RootModel[tuple[list[FourNumbers], list[Label]]]):
    """The boxes of a scene and their labels."""


def read_sgcond(given: SceneInput) -> SceneSource:
    """The scenes of a ``data.json``: objects with boxes, no relations.

    Raises:
        InputError: a scene has another form, or labels and boxes differ in number.
    """
    records = []
    for number, (place, value) in enumerate(given.rows):
        with reading_row(given.bad, "scenes"), at(place):
            boxes, labels = checked(Pair, value, None).root
            if len(boxes) != len(labels):
                problem = f"{len(boxes)} boxes for {len(labels)} labels"
                raise InputError(problem, remedy="give each label a box")
            found = tuple(
                read_box(box, "xywh relative", place=f"[0][{n}]", clip=True) for n, box in enumerate(boxes)
            )
            graph = without_dummies(SceneGraph(tuple(labels), boxes=found))
            records.append(SceneRecord(graph, f"scene-{number:06d}"))
    return SceneSource(records)


SGCOND = SceneFormat(
    name="sgcond",
    files="data.json of SGCond: [[[[x, y, w, h], ...], [label, ...]], ...]",
    signs=lambda given: (
        isinstance(given.first, list) and bool(given.first) and isinstance(given.first[0], list | dict)
    ),
    read=read_sgcond,
)
