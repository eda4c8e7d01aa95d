"""Layout prompts of FLUX 3, Ideogram 4, Bria's FIBO and ComfyUI as scene graphs.

One prompt is a file; several are JSON Lines, those of FLUX 3 as JSON strings. What `layout_prompts` writes is
read back, except for what a format has no place for. Prompts of other programs give objects and boxes.
Relations are read where a clause is "<name> <predicate> <name>", with the names of two objects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field

from graphcond.errors import InputError, at
from graphcond.io.strict_json import parse_json
from graphcond.io.tally import reading_row
from graphcond.scene_graph import Box, FourNumbers, SceneGraph, name_of
from graphcond.scenes.jsonfile import checked, read_text
from graphcond.scenes.layout_prompts import CANVAS, class_noun, name_cited
from graphcond.scenes.records import SceneFormat, SceneInput, SceneRecord, SceneSource


def _on_canvas(given: tuple[float, float, float, float]) -> Box:
    y0, x0, y1, x1 = (edge / CANVAS for edge in given)
    if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
        raise InputError(
            f"{[*given]} is not a box y0, x0, y1, x1 on a canvas of {CANVAS} x {CANVAS}",
            remedy="y comes first, and each first edge must be smaller than the second",
        )
    return Box(x0, y0, x1, y1)


Cell = Annotated[FourNumbers, AfterValidator(_on_canvas)]


class Flux3Row(BaseModel):
    """An object of FLUX 3's table; ``tgt_bbox`` is where an edit puts it."""

    id: str = Field(min_length=1)
    desc: str
    bbox: Cell | None = None
    tgt_bbox: Cell | None = None


class Element(BaseModel):
    """An object or a text of Ideogram 4's and ComfyUI's list."""

    type: Literal["obj", "text"] = "obj"
    bbox: Cell | None = None
    desc: str
    text: str = ""


class Composition(BaseModel):
    """Ideogram 4's parts of the picture."""

    elements: list[Element] = Field(min_length=1)


class Ideogram(BaseModel):
    """A prompt of Ideogram 4."""

    high_level_description: str = ""
    compositional_deconstruction: Composition


class FiboObject(BaseModel):
    """An object of a FIBO prompt; ``location`` is in words, and is not read."""

    description: str
    relationship: str = ""


class Fibo(BaseModel):
    """A prompt of FIBO."""

    short_description: str
    objects: list[FiboObject]


Read = tuple[SceneGraph, str]
"""A scene and its caption."""


def _read_flux3(value: Any) -> Read:
    caption, table = _caption_and_table(value)
    rows = [checked(Flux3Row, row, f"row {number}") for number, row in enumerate(table)]
    rows = [row for row in rows if row.bbox or row.tgt_bbox]  # others are removed by the edit
    named = [_of_row(row) for row in rows]
    scene = _scene(named, [row.bbox or row.tgt_bbox for row in rows])
    ids = {number: row.id for number, row in enumerate(rows)}
    names = [name_cited(scene, number, ids) for number in ids]
    return _related(scene, names, _clauses(caption)), re.sub(r"\s*<[A-Za-z]\w*>", "", caption)


def _read_ideogram4(value: Any) -> Read:
    row = checked(Ideogram, value, None)
    scene = _of_elements(row.compositional_deconstruction.elements)
    clauses = _clauses(row.high_level_description)
    return _related(scene, _names(scene), clauses), row.high_level_description


def _read_comfyui(value: Any) -> Read:
    if not isinstance(value, list):
        raise InputError("expected a list of elements", remedy="write one list for each scene")
    return _of_elements([checked(Element, one, f"[{number}]") for number, one in enumerate(value)]), ""


def _read_fibo(value: Any) -> Read:
    row = checked(Fibo, value, None)
    scene = _scene([_parts(one.description) for one in row.objects], [None] * len(row.objects))
    names = _names(scene)
    clauses = [
        f"{name} {said.strip()}"
        for name, one in zip(names, row.objects, strict=True)
        for said in one.relationship.split(";")
    ]
    return _related(scene, names, clauses), row.short_description


def _caption_and_table(text: Any) -> tuple[str, list[Any]]:
    """The caption of a FLUX 3 prompt and the JSON list at its end.

    Raises:
        InputError: there is no such list, or it is not JSON.
    """
    problem = InputError(
        "expected a text that ends in a JSON list of objects",
        remedy='write a caption, then [{"id": "star_1", "bbox": [0, 0, 500, 500], "desc": "star"}]',
    )
    starts = [found.start() for found in re.finditer(r"\[", text)] if isinstance(text, str) else []
    for start in reversed(starts):
        try:
            table = parse_json(text[start:], "the table")
        except InputError as error:
            problem = error
            continue
        if isinstance(table, list) and all(isinstance(row, dict) for row in table):
            return text[:start].strip(), table
    raise problem


def _parts(desc: str) -> tuple[str, tuple[str, ...]]:
    """Label and attributes of a description: the text before its first comma, and the parts after it."""
    label, *attributes = (part.strip() for part in desc.rstrip(". ").split(","))
    return label, tuple(one for one in attributes if one)


def _of_row(row: Flux3Row) -> tuple[str, tuple[str, ...]]:
    """Label and attributes of a row. The noun of its id is the label, spelled as in the description."""
    noun, (label, attributes) = re.sub(r"_\d+$", "", row.id), _parts(row.desc)
    if class_noun(label) == noun:
        return label, attributes
    return noun.replace("_", " "), tuple(one for one in (label, *attributes) if one)


def _of_elements(elements: Sequence[Element]) -> SceneGraph:
    described = [
        (f'text "{one.text}"', (one.desc,) if one.desc else ()) if one.type == "text" else _parts(one.desc)
        for one in elements
    ]
    return _scene(described, [one.bbox for one in elements])


def _scene(described: Sequence[tuple[str, tuple[str, ...]]], boxes: Sequence[Any]) -> SceneGraph:
    return SceneGraph(
        objects=tuple(label for label, _ in described),
        attributes=tuple(attributes for _, attributes in described),
        boxes=tuple(boxes),
    )


def _names(scene: SceneGraph) -> list[str]:
    return [name_of(scene, number) for number in range(len(scene))]


def _clauses(text: str) -> list[str]:
    return re.split(r"\s*[.,;:]\s+", text.rstrip(". "))


def _related(scene: SceneGraph, names: Sequence[str], clauses: Sequence[str]) -> SceneGraph:
    """The scene with a relation for each clause of two names; shared names do not count."""
    places = {name: number for number, name in enumerate(names) if names.count(name) == 1}
    by_length = sorted(places, key=len, reverse=True)
    relations = []
    for clause in clauses:
        subject = next((name for name in by_length if clause.startswith(f"{name} ")), None)
        target = next((name for name in by_length if clause.endswith(f" {name}")), None)
        if subject and target and len(clause) > len(subject) + len(target) + 2:
            predicate = clause[len(subject) + 1 : -len(target) - 1]
            relations.append((places[subject], predicate, places[target]))
    return SceneGraph(scene.objects, tuple(relations), scene.attributes, scene.boxes)  # type: ignore[arg-type]


def _reader(
    parse: Callable[[Any], Read], values: Callable[[SceneInput], Sequence[tuple[str, Any]]]
) -> Callable[[SceneInput], SceneSource]:
    def read(given: SceneInput) -> SceneSource:
        """The scenes of a file.

        Raises:
            InputError: a prompt has another form, or a box lies outside the picture.
        """
        records = []
        for number, (place, value) in enumerate(values(given)):
            with reading_row(given.bad, "scenes"), at(place):
                graph, caption = parse(value)
                records.append(SceneRecord(graph, f"scene-{number:06d}", caption=caption or None))
        return SceneSource(records)

    return read


def _texts(given: SceneInput) -> Sequence[tuple[str, Any]]:
    """The prompts of a JSON or JSON Lines file, or the text of another."""
    if given.path.suffix in (".json", ".jsonl"):
        return given.rows
    return [(str(given.path), read_text(given.path))]


def _is_flux3(given: SceneInput) -> bool:
    if given.path.suffix != ".txt" or not given.path.is_file():
        return isinstance(given.first, str)
    return re.search(r'\[\s*\{\s*"id"', read_text(given.path)) is not None


def _has(given: SceneInput, *keys: str) -> bool:
    return isinstance(given.first, Mapping) and all(key in given.first for key in keys)


def _is_comfyui(given: SceneInput) -> bool:
    if isinstance(given.first, list):
        return bool(given.first) and isinstance(given.first[0], dict) and "bbox" in given.first[0]
    return isinstance(given.json, list) and _has(given, "bbox", "desc")


FLUX3 = SceneFormat(
    name="flux3",
    files='a .txt file of a caption and [{"id": ..., "bbox": ..., "desc": ...}], or JSON Lines of such texts',
    signs=_is_flux3,
    read=_reader(_read_flux3, _texts),
)

IDEOGRAM4 = SceneFormat(
    name="ideogram4",
    files='JSON or JSON Lines of {"compositional_deconstruction": {"elements": [...]}}',
    signs=lambda given: _has(given, "compositional_deconstruction"),
    read=_reader(_read_ideogram4, lambda given: given.rows),
    hides=("written",),
)

FIBO = SceneFormat(
    name="fibo",
    files='JSON or JSON Lines of {"short_description": ..., "objects": [{"description": ...}]}',
    signs=lambda given: _has(given, "short_description", "objects"),
    read=_reader(_read_fibo, lambda given: given.rows),
    hides=("written", "grounded"),
)

COMFYUI = SceneFormat(
    name="comfyui",
    files='JSON of [{"type": "obj", "bbox": ..., "desc": ...}], or such a list in each line',
    signs=_is_comfyui,
    read=_reader(  # a JSON file is one list, and each line of a JSON Lines file
        _read_comfyui,
        lambda given: given.rows if given.path.suffix == ".jsonl" else [(str(given.path), given.document)],
    ),
    hides=("written", "sgcond"),
)

LAYOUT_PROMPTS = (FLUX3, IDEOGRAM4, FIBO, COMFYUI)
