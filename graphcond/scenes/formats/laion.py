"""LAION-SG: scene graphs without boxes, written by a language model for LAION's pictures.

A JSON list of ``{"img_id", "name", "caption_ori", "items": [{"item_id", "label", "attributes"}], "relations":
[{"item1", "relation", "item2"}]}`` (LAION-SG, arXiv 2412.08580, and its release); ``item1`` and ``item2`` are
ids of items, not positions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from graphcond.errors import InputError
from graphcond.io.files import read_json
from graphcond.scene_graph import SceneGraph
from graphcond.scenes.jsonfile import Identifier, at, checked, rows_of
from graphcond.scenes.records import Gallery, SceneFormat, SceneRecord, SceneSource, without_dummies
from graphcond.splits import by_split
from graphcond.tally import BadRows, Tally, reading_row


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


def read_laion(
    path: Path,
    gallery: Gallery | None = None,
    *,
    value: Any = None,
    keep_unrelated: bool = True,
    bad: BadRows | None = None,
) -> SceneSource:
    """The scenes of one file, or of a folder with ``train.json``, ``val.json`` and ``test.json``.

    Args:
        path: the file or the folder.
        gallery: the folder with the pictures by their ``name``; without it scenes have no pictures.
        value: the content of the file, if it is parsed already.
        keep_unrelated: keep entries without relations, which the reference loader drops.
        bad: what to do with broken entries; they are errors unless given.

    Raises:
        InputError: an entry has another form, or a relation names an unknown item.
    """
    files = _split_files(path) if path.is_dir() else {"": path}
    records: list[SceneRecord] = []
    unnamed = 0
    for split, file in files.items():
        for place, row in rows_of(value if value is not None else read_json(file), file):
            with reading_row(bad, "scenes"), at(place):
                entry = checked(Entry, row, None)
                graph = _graph(entry)
                picture = gallery.find(entry.name) if gallery and entry.name else None
                records.append(
                    SceneRecord(graph, entry.img_id, picture, caption=entry.caption_ori, split=split or None)
                )
                unnamed += sum(1 for item in entry.items if item.label is None)
    unrelated = sum(1 for record in records if not record.graph.relationships)
    if not keep_unrelated:
        records = [record for record in records if record.graph.relationships]
    notes = gallery.notes() if gallery else ()
    if unrelated:
        done = "kept" if keep_unrelated else "dropped"
        notes = (*notes, f"{unrelated} entries have no relations; they were {done}")
    tally = Tally(left_out={"objects": {"no label": unnamed}} if unnamed else {})
    return SceneSource(records, gallery.folder if gallery else None, notes, tally=tally)


def _split_files(folder: Path) -> dict[str, Path]:
    """The JSON files of a folder that are named after a split."""
    return by_split(folder.glob("*.json"))


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
        bool(_split_files(given.path))
        or (given.json is not None and isinstance(given.first, dict) and "items" in given.first)
    ),
    read=lambda given: read_laion(
        given.path,
        given.gallery,
        value=None if given.path.is_dir() else given.document,
        keep_unrelated=given.keep_unrelated,
        bad=given.bad,
    ),
    hides=("written", "grounded"),
)
