"""Writes scene graphs as the layout prompts that open models were trained on.

FLUX 3 reads a caption that cites objects, and a table of them; Ideogram 4 and Bria's FIBO read a JSON object;
ComfyUI's nodes for boxes a JSON list. Boxes are y0 x0 y1 x1 on a canvas of 1000 x 1000. An object is
described by its label and its attributes, "circle, red": the models were trained to read first what it is.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from graphcond.errors import InputError
from graphcond.scene_graph import Box, SceneGraph, center, name_of

CANVAS = 1000

Cell = tuple[int, int, int, int]
"""The edges y0 x0 y1 x1 of a box on the canvas."""


def layout_prompt(scene: SceneGraph, target: str, *, prompt: str, background: str) -> str:
    """A scene as the prompt of a model.

    Args:
        scene: with boxes, except for ``fibo``, which says in words where objects are.
        target: one of `TARGETS`.
        prompt: what the picture is, before what it shows: "an image".
        background: behind the objects; FLUX 3 and ComfyUI have no place for it.

    Raises:
        InputError: the scene has no objects, or no boxes for a target that needs them.
    """
    if not scene.objects:
        raise InputError("the scene has no objects", place="scene", remedy="name at least one")
    if target in NEED_BOXES and not any(scene.boxes):
        raise InputError(
            f"the scene has no boxes, and a prompt for {target} needs them",
            place="scene",
            remedy="give boxes, predict them (--layout MODEL), or export to fibo",
        )
    made = TARGETS[target](scene, prompt, background)
    return made if isinstance(made, str) else json.dumps(made, ensure_ascii=False)


def _flux3(scene: SceneGraph, prompt: str, background: str) -> str:
    ids = cited(scene)
    rows = [
        {"id": ids[number], "bbox": cell_of(box), "desc": described(scene, number)}
        for number, box in enumerate(scene.boxes)
        if box is not None
    ]
    return f"{prompt}: {told(scene, ids)}. {json.dumps(rows, ensure_ascii=False)}"


def _ideogram4(scene: SceneGraph, prompt: str, background: str) -> dict[str, Any]:
    return {
        "high_level_description": f"{prompt}: {told(scene, {})}",
        "compositional_deconstruction": {
            "background": background,
            "elements": [_element(scene, number) for number in range(len(scene))],
        },
    }


def _comfyui(scene: SceneGraph, prompt: str, background: str) -> list[dict[str, Any]]:
    return [_element(scene, number) for number, box in enumerate(scene.boxes) if box is not None]


def _fibo(scene: SceneGraph, prompt: str, background: str) -> dict[str, Any]:
    objects = []
    for number in range(len(scene)):
        found = {"description": described(scene, number)}
        if (box := scene.box_of(number)) is not None:
            found["location"] = location(box)
        relations = [
            f"{relation.predicate} {name_of(scene, relation.object)}"
            for relation in scene.relationships
            if relation.subject == number
        ]
        objects.append({**found, "relationship": "; ".join(relations)} if relations else found)
    return {
        "short_description": f"{prompt}: {told(scene, {})}",
        "objects": objects,
        "background_setting": background,
    }


TARGETS: dict[str, Callable[[SceneGraph, str, str], Any]] = {
    "flux3": _flux3,
    "ideogram4": _ideogram4,
    "fibo": _fibo,
    "comfyui": _comfyui,
}
"""Makers of prompts, by the name of the model or program that reads them."""

NEED_BOXES = frozenset({"flux3", "comfyui"})
"""Targets whose objects are their boxes."""


def _element(scene: SceneGraph, number: int) -> dict[str, Any]:
    box = scene.box_of(number)
    place = {} if box is None else {"bbox": cell_of(box)}
    return {"type": "obj", **place, "desc": described(scene, number)}


def described(scene: SceneGraph, number: int) -> str:
    """What an object is, and its attributes: "circle, red, striped"."""
    return ", ".join((scene.objects[number], *scene.attributes_of(number)))


def told(scene: SceneGraph, ids: Mapping[int, str]) -> str:
    """The relations and the other objects of a scene; objects with an id are followed by it, in brackets."""
    related = {end for one in scene.relationships for end in (one.subject, one.object)}
    clauses = [
        f"{name_cited(scene, subject, ids)} {predicate} {name_cited(scene, target, ids)}"
        for subject, predicate, target in scene.relationships
    ]
    return ", ".join(clauses + [name_cited(scene, n, ids) for n in range(len(scene)) if n not in related])


def name_cited(scene: SceneGraph, number: int, ids: Mapping[int, str]) -> str:
    """The name of an object and its id, if it has one: "a red circle <circle_1>"."""
    name = name_of(scene, number)
    return f"{name} <{ids[number]}>" if number in ids else name


def cited(scene: SceneGraph) -> dict[int, str]:
    """The ids of the objects that have boxes: noun and number, counted from left to right, then downwards."""
    counts = Counter[str]()
    boxes = {number: box for number, box in enumerate(scene.boxes) if box is not None}
    found = {}
    for number, _ in sorted(boxes.items(), key=lambda one: (one[1].x0, one[1].y0, one[0])):
        noun = class_noun(scene.objects[number])
        counts[noun] += 1
        found[number] = f"{noun}_{counts[noun]}"
    return found


def class_noun(label: str) -> str:
    """A label as FLUX 3 allows it in an id: letters, digits and underscores, a letter first."""
    noun = re.sub(r"[^A-Za-z0-9]+", "_", label).strip("_")
    return noun if noun[:1].isalpha() else f"object_{noun}".rstrip("_")


def cell_of(box: Box) -> Cell:
    """A box on the canvas, each side at least 2: models read edges of at most 1 as shares of the picture."""

    def edges(low: float, high: float) -> tuple[int, int]:
        start = min(round(low * CANVAS), CANVAS - 2)
        return start, max(round(high * CANVAS), start + 2)

    (x0, x1), (y0, y1) = edges(box.x0, box.x1), edges(box.y0, box.y1)
    return y0, x0, y1, x1


def location(box: Box) -> str:
    """Where a box is, in words: "top-left", "left", "center"."""
    x, y = center(box)
    across = ("left", "", "right")[min(int(3 * x), 2)]
    down = ("top", "", "bottom")[min(int(3 * y), 2)]
    return "-".join(word for word in (down, across) if word) or "center"
