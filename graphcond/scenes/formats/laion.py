"""LAION-SG: scene graphs that a language model wrote for LAION's pictures, without boxes.

A JSON list of ``{"img_id", "name", "caption_ori", "items": [{"item_id", "label", "attributes"}], "relations":
[{"item1", "relation", "item2"}]}`` (LAION-SG, arXiv 2412.08580, and its release); ``item1`` and ``item2`` are
ids of items, not positions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphcond.errors import InputError
from graphcond.scene_graph import SceneGraph
from graphcond.scenes.jsonfile import a_list, an_object, at, entry, identifier, optional_text, read_strict
from graphcond.scenes.records import (
    SPLITS,
    Gallery,
    SceneFormat,
    SceneRecord,
    SceneSource,
    without_dummies,
)


def read_laion(
    path: Path, gallery: Gallery | None = None, *, value: Any = None, keep_unrelated: bool = True
) -> SceneSource:
    """The scenes of one file, or of a folder with ``train.json``, ``val.json`` and ``test.json``.

    Args:
        path: the file or the folder.
        gallery: where the pictures lie under their ``name``; without it scenes have none.
        value: what the file holds, if it is parsed already.
        keep_unrelated: keep entries without relations, which the reference loader drops.

    Raises:
        InputError: an entry has another form, or a relation names an item that is not there.
    """
    files = _split_files(path) if path.is_dir() else {"": path}
    records: list[SceneRecord] = []
    for split, file in files.items():
        rows = a_list(value if value is not None else read_strict(file), file)
        for number, row in enumerate(rows):
            with at(f"{file}: entry {number}"):
                records.append(_record(an_object(row, None), split, gallery))
    unrelated = sum(1 for record in records if not record.graph.relationships)
    if not keep_unrelated:
        records = [record for record in records if record.graph.relationships]
    notes = gallery.notes() if gallery else ()
    if unrelated:
        done = "kept" if keep_unrelated else "dropped"
        notes = (*notes, f"{unrelated} entries have no relations; they were {done}")
    return SceneSource(records, gallery.folder if gallery else None, notes)


def _split_files(folder: Path) -> dict[str, Path]:
    """The JSON files of a folder that are named after a split."""
    return {split: file for split in SPLITS if (file := folder / f"{split}.json").is_file()}


def _record(row: dict[str, Any], split: str, gallery: Gallery | None) -> SceneRecord:
    name = optional_text(row, "name", None)
    return SceneRecord(
        graph=_graph(row),
        id=identifier(row, "img_id", None),
        picture=gallery.find(name) if gallery and name else None,
        caption=optional_text(row, "caption_ori", None),
        split=split or None,
    )


def _graph(row: dict[str, Any]) -> SceneGraph:
    given = a_list(entry(row, "items", None), "items")
    items = [an_object(item, f"items[{n}]") for n, item in enumerate(given)]
    places: dict[str, int] = {}
    for position, item in enumerate(items):
        if places.setdefault(identifier(item, "item_id", f"items[{position}]"), position) != position:
            raise InputError(f"item_id {item['item_id']!r} occurs twice", place=f"items[{position}]")
    relations = a_list(row.get("relations") or [], "relations")
    return without_dummies(
        SceneGraph(
            objects=[entry(item, "label", f"items[{n}]") for n, item in enumerate(items)],  # type: ignore[arg-type]
            attributes=[item.get("attributes") for item in items],  # type: ignore[arg-type]
            relationships=[_relation(r, places, f"relations[{n}]") for n, r in enumerate(relations)],  # type: ignore[arg-type]
        )
    )


def _relation(given: Any, places: dict[str, int], place: str) -> tuple[int, Any, int]:
    relation = an_object(given, place)
    ends = [identifier(relation, key, place) for key in ("item1", "item2")]
    for end in ends:
        if end not in places:
            raise InputError(f"there is no item {end!r:.40}", place=place, remedy="name an item_id")
    return places[ends[0]], entry(relation, "relation", place), places[ends[1]]


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
    ),
    hides=("written", "grounded"),
)
