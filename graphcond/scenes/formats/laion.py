"""LAION-SG: scene graphs without boxes, written by a language model for LAION's pictures.

A JSON list of ``{"img_id", "name", "caption_ori", "items": [{"item_id", "label", "attributes"}], "relations":
[{"item1", "relation", "item2"}]}`` (LAION-SG, arXiv 2412.08580, and its release); ``item1`` and ``item2`` are
ids of items, not positions.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from graphcond.errors import InputError, at
from graphcond.io.files import read_json
from graphcond.io.tally import Tally, reading_row
from graphcond.scene_graph import SceneGraph
from graphcond.scenes.jsonfile import Identifier, checked, rows_of
from graphcond.scenes.records import SceneFormat, SceneInput, SceneRecord, SceneSource, without_dummies
from graphcond.splits import by_split


class Item(BaseModel):
    """An object."""

    item_id: Identifier
    label: Any
    attributes: Any = None


class Relation(BaseModel):
    """A relation between two objects, given by their ids."""

    item1: Identifier
    relation: Any
    item2: Identifier


class Entry(BaseModel):
    """A picture and its graph."""

    img_id: Identifier
    name: str | None = None
    caption_ori: str | None = None
    items: list[Item]
    relations: list[Relation] | None = None


def read_laion(given: SceneInput) -> SceneSource:
    """The scenes of one file, or of a folder with ``train.json``, ``val.json`` and ``test.json``.

    Pictures are found by their ``name`` in the gallery; without one, scenes have no pictures.

    Raises:
        InputError: an entry has another form, or a relation names an unknown item.
    """
    gallery, folder = given.gallery, given.path.is_dir()
    records: list[SceneRecord] = []
    unnamed = 0
    for split, file in (by_split(given.path.glob("*.json")) if folder else {"": given.path}).items():
        for place, row in rows_of(read_json(file) if folder else given.document, file):
            with reading_row(given.bad, "scenes"), at(place):
                entry = checked(Entry, row, None)
                graph = _graph(entry)
                picture = gallery.find(entry.name) if gallery and entry.name else None
                records.append(
                    SceneRecord(graph, entry.img_id, picture, caption=entry.caption_ori, split=split or None)
                )
                unnamed += sum(1 for item in entry.items if item.label is None)
    unrelated = sum(1 for record in records if not record.graph.relationships)
    if not given.keep_unrelated:  # as the reference loader does
        records = [record for record in records if record.graph.relationships]
    done = "kept" if given.keep_unrelated else "dropped"
    notes = [f"{unrelated} entries have no relations; they were {done}"] if unrelated else []
    tally = Tally(left_out={"objects": {"no label": unnamed}} if unnamed else {})
    return SceneSource.of(records, gallery, notes, tally)


def _graph(entry: Entry) -> SceneGraph:
    """The graph of an entry, without items that have no label and without their relations."""
    places: dict[str, int | None] = {}
    named: list[Item] = []
    for position, item in enumerate(entry.items):
        if item.item_id in places:
            raise InputError(
                f"item_id {item.item_id!r:.40} occurs twice", place=f"items[{position}]", remedy="keep one"
            )
        places[item.item_id] = None if item.label is None else len(named)
        named += [] if item.label is None else [item]
    relations = []
    for number, relation in enumerate(entry.relations or ()):
        for end in (relation.item1, relation.item2):
            if end not in places:
                raise InputError(
                    f"there is no item {end!r:.40}", place=f"relations[{number}]", remedy="name an item_id"
                )
        subject, target = places[relation.item1], places[relation.item2]
        if subject is not None and target is not None:
            relations.append((subject, relation.relation, target))
    return without_dummies(
        SceneGraph(
            objects=tuple(item.label for item in named),
            attributes=tuple(item.attributes for item in named),
            relationships=relations,  # type: ignore[arg-type]
        )
    )


LAION = SceneFormat(
    name="laion-sg",
    files='train.json, val.json, test.json, or JSON of {"img_id": ..., "items": [...], "relations": [...]}',
    signs=lambda given: (
        bool(by_split(given.path.glob("*.json")))
        or (given.json is not None and isinstance(given.first, dict) and "items" in given.first)
    ),
    read=read_laion,
    hides=("written", "grounded"),
)
