"""Visual Genome: ``scene_graphs.json``, or ``objects.json``, ``relationships.json`` and ``attributes.json``.

Sizes of pictures come from ``image_data.json``, one word for several names from ``object_alias.txt`` and
``relationship_alias.txt``; each of the three may be missing. The key of an object's words is ``names`` or
``name``, depending on the version; both are read (Krishna et al. 2017; joined as sg2im joins them).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator

from graphcond.errors import InputError, at
from graphcond.io.files import read_json
from graphcond.io.tally import reading_row
from graphcond.scene_graph import Box, Number, SceneGraph
from graphcond.scenes.boxes import Pixels, Size, read_box
from graphcond.scenes.jsonfile import Identifier, checked, read_text, rows_of
from graphcond.scenes.records import (
    Gallery,
    SceneFormat,
    SceneInput,
    SceneRecord,
    SceneSource,
    without_dummies,
)


def read_aliases(file: Path) -> dict[str, str]:
    """The word for each alias; chains are followed (a for b and b for c give a for c).

    A word that occurs in two lines belongs to the later one, as sg2im reads the files.

    Raises:
        InputError: the file cannot be read, or aliases form a loop.
    """
    direct: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(read_text(file).split("\n"), start=1):
        first, *others = [" ".join(word.split()).lower() for word in line.split(",")]
        direct.update({word: (first, number) for word in others if first and word and word != first})
    found = {}
    for word in direct:
        seen = [word]
        while seen[-1] in direct:
            target, number = direct[seen[-1]]
            if target in seen:
                loop = " -> ".join([*seen[seen.index(target) :], target])
                problem = f"the aliases form a loop: {loop:.200}"
                raise InputError(problem, place=f"{file}:{number}", remedy="take one of the lines out")
            seen.append(target)
        found[word] = seen[-1]
    return found


OBJECT_CLASSES, PREDICATE_CLASSES = 178, 45
"""Numbers of classes in sg2im's vocabulary of version 1.4, without its two dummies."""

OFTEN = {"objects": 2_000, "predicates": 500}
"""Least number of occurrences of a class in sg2im's training split."""

TRAINING_SHARE = 0.8
"""Share of all pictures in that split."""

WHOLE = 50_000
"""Least number of scenes that can be compared with sg2im's vocabulary."""

TOLERANCE = 1.2
"""Factor by which counts may exceed sg2im's, since its split and its filters are not repeated here."""


def version_note(graphs: Iterable[SceneGraph], *, whole: int = WHOLE) -> list[str]:
    """A warning if far more classes are frequent than in version 1.4, else an empty list.

    Another version gives 260 objects and 66 predicates; version 1.4 gives 179 and 46, dummies included.
    Figures on different versions cannot be compared.
    """
    objects: Counter[str] = Counter()
    predicates: Counter[str] = Counter()
    scenes = 0
    for graph in graphs:
        scenes += 1
        objects.update(graph.objects)
        predicates.update(relation.predicate for relation in graph.relationships)
    if scenes < whole:
        return []
    found = (_frequent(objects, OFTEN["objects"]), _frequent(predicates, OFTEN["predicates"]))
    if found[0] <= TOLERANCE * OBJECT_CLASSES and found[1] <= TOLERANCE * PREDICATE_CLASSES:
        return []
    return [
        f"{found[0]} object and {found[1]} predicate classes are frequent, but about {OBJECT_CLASSES} and "
        f"{PREDICATE_CLASSES} are in version 1.4 with its alias files: this looks like another version of "
        "Visual Genome, and figures cannot be compared with published ones"
    ]


def _frequent(counts: Counter[str], least: int) -> int:
    return sum(1 for count in counts.values() if count >= least / TRAINING_SHARE)


def read_visual_genome(given: SceneInput) -> SceneSource:
    """The scenes of a folder; objects without a name are dropped, with their relations.

    Boxes are cut off at the picture's edge; they are unknown without a size in ``image_data.json``. Pictures
    are ``VG_100K/1.jpg`` or ``1.jpg``, by default in the folder itself.

    Raises:
        InputError: a file has another form, a relation names an unknown object, or aliases form a loop.
    """
    folder, bad = given.folder, given.bad
    files, gallery = _Files.read(folder), given.gallery or Gallery(folder)
    records = []
    for number, (image, row) in enumerate(files.images.items()):
        place = f"{files.place}: image {image}" if image else f"{files.place}: entry {number}"
        with reading_row(bad, "scenes"), at(place):
            scene, picture = _Scene(files, files.sizes.get(image)), checked(Picture, row, None)
            for part in ("objects", "attributes"):
                for n, thing in enumerate(getattr(picture, part)):
                    with reading_row(bad, "objects"):
                        scene.add(thing, f"{part}[{n}]")
            for n, relation in enumerate(picture.relationships):
                with reading_row(bad, "relations"):
                    scene.relate(relation, f"relationships[{n}]")
            path = gallery.find(*files.pictures.get(image, []), f"{image}.jpg")
            records.append(SceneRecord(without_dummies(scene.graph()), image, path))
    notes = [f"{count} {what}" for what, count in files.counted.items()]
    if not files.sizes:
        notes.append(f"{folder} holds no image_data.json: boxes are unknown, since they are in pixels")
    return SceneSource.of(records, gallery, notes + version_note(record.graph for record in records))


class Thing(BaseModel):
    """An object; its words are ``names`` or ``name``, depending on the version of the data."""

    object_id: Identifier
    names: Annotated[
        list[str] | None, BeforeValidator(lambda names: [names] if isinstance(names, str) else names)
    ] = None
    name: str | None = None
    x: Number | None = None
    y: Number | None = None
    w: Number | None = None
    h: Number | None = None
    merged_object_ids: list[Identifier] | None = None
    attributes: list[Any] | None = None

    @property
    def label(self) -> str:
        """The first of ``names``, or ``name``, in lower case; "" without either."""
        given = self.names if "names" in self.model_fields_set else [self.name]
        return " ".join(((given or [None])[0] or "").lower().split())


class Relation(BaseModel):
    """A relation; its ends are objects or, in ``scene_graphs.json``, their ids."""

    predicate: Any
    subject: Thing | None = None
    object: Thing | None = None
    subject_id: Identifier | None = None
    object_id: Identifier | None = None


class Picture(BaseModel):
    """The entries of all files for one picture, joined."""

    objects: list[Thing] = []
    attributes: list[Thing] = []
    relationships: list[Relation] = []


NullableList = Annotated[list[Any], BeforeValidator(lambda given: [] if given is None else given)]
"""A list; null stands for an empty one."""


class PictureRow(BaseModel):
    """An entry of one file; its content is checked once all files are joined."""

    image_id: Identifier
    objects: NullableList = []
    attributes: NullableList = []
    relationships: NullableList = []


class PictureData(BaseModel):
    """An entry of ``image_data.json``."""

    image_id: Identifier
    width: Pixels
    height: Pixels
    url: str | None = None


@dataclass
class _Files:
    """The files of a folder joined by image, with their aliases; ``counted`` are the dropped parts."""

    place: Path
    images: dict[str, dict[str, list[Any]]]
    sizes: dict[str, Size]
    pictures: dict[str, list[str]]
    object_aliases: Mapping[str, str]
    predicate_aliases: Mapping[str, str]
    counted: Counter[str] = field(default_factory=Counter)

    @classmethod
    def read(cls, folder: Path) -> _Files:
        whole = folder / "scene_graphs.json"
        place = whole if whole.is_file() else folder / "objects.json"
        images: dict[str, dict[str, list[Any]]] = {}
        parts = ["scene_graphs.json"] if whole.is_file() else ["objects.json", "relationships.json"]
        for name in (*parts, "attributes.json"):
            file = folder / name
            for where, given in rows_of(read_json(file), file) if file.is_file() else ():
                part = checked(PictureRow, given, where)
                image = images.setdefault(
                    part.image_id, {"objects": [], "attributes": [], "relationships": []}
                )
                for key, entries in image.items():
                    entries.extend(getattr(part, key))
        if not images:
            problem = f"there are no pictures in {' and '.join(parts)}"
            raise InputError(problem, place=folder, remedy="name the files as Visual Genome does")
        sizes: dict[str, Size] = {}
        pictures: dict[str, list[str]] = {}
        file = folder / "image_data.json"
        for where, given in rows_of(read_json(file), file) if file.is_file() else ():
            row = checked(PictureData, given, where)
            sizes[row.image_id] = (row.width, row.height)
            # A picture lies at the last two parts of its address, or at the last.
            steps = [step for step in (row.url or "").split("/") if step]
            pictures[row.image_id] = ["/".join(steps[-2:]), steps[-1]] if len(steps) > 1 else []
        objects, predicates = (
            read_aliases(file) if (file := folder / name).is_file() else {}
            for name in ("object_alias.txt", "relationship_alias.txt")
        )
        return cls(place, images, sizes, pictures, objects, predicates)


class _Scene:
    """The graph of one picture, built from its entries."""

    def __init__(self, files: _Files, size: Size | None) -> None:
        self.files, self.size = files, size
        self.places: dict[str, int | None] = {}  # object id to position; None for objects without a name
        self.labels: list[str] = []
        self.boxes: list[Box | None] = []
        self.attributes: list[dict[str, None]] = []
        self.relations: list[tuple[int, str, int]] = []

    def graph(self) -> SceneGraph:
        attributes = tuple(tuple(words) for words in self.attributes)
        return SceneGraph(tuple(self.labels), self.relations, attributes, tuple(self.boxes))  # type: ignore[arg-type]

    def add(self, thing: Thing, place: str) -> int | None:
        """Add an object unless its id is known, and return its position; None if it has no name."""
        key = thing.object_id
        if key not in self.places:
            label = self.files.object_aliases.get(thing.label, thing.label)
            box = None
            if label and self.size is not None and thing.w is not None:  # first, since it may be broken
                if thing.x is None or thing.y is None or thing.h is None:
                    problem = "x, y, w and h must all be numbers"
                    raise InputError(problem, place=place, remedy="correct the box")
                given = (thing.x, thing.y, thing.w, thing.h)
                box = read_box(given, "xywh pixels", self.size, place=place, clip=True)
            self.places[key] = len(self.labels) if label else None
            if label:
                self.labels.append(label)
                self.boxes.append(box)
                self.attributes.append({})
            else:
                self.files.counted["objects have no name; they were dropped"] += 1
        position = self.places[key]
        for other in thing.merged_object_ids or ():
            self.places.setdefault(other, position)
        for word in thing.attributes or ():
            if position is not None and isinstance(word, str) and word.strip():
                self.attributes[position][" ".join(word.lower().split())] = None
        return position

    def relate(self, relation: Relation, place: str) -> None:
        """Add a relation; without a predicate, or to an object without a name, it is counted and dropped."""
        subject = self._end(relation.subject, relation.subject_id, f"{place}.subject")
        target = self._end(relation.object, relation.object_id, f"{place}.object")
        word = relation.predicate
        predicate = " ".join(word.lower().split()) if isinstance(word, str) else ""
        if not predicate or subject is None or target is None:
            dropped = "relations have no predicate or an object without name; they were dropped"
            self.files.counted[dropped] += 1
            return
        self.relations.append((subject, self.files.predicate_aliases.get(predicate, predicate), target))

    def _end(self, thing: Thing | None, key: str | None, place: str) -> int | None:
        if thing is not None:
            return self.add(thing, place)
        if key is None:
            remedy = f"add it, or {place.rpartition('.')[2]}_id"
            raise InputError("the end of the relation is missing", place=place, remedy=remedy)
        if key not in self.places:
            raise InputError(f"there is no object {key:.40}", place=f"{place}_id", remedy="correct the id")
        return self.places[key]


FILES = ("objects.json", "relationships.json", "scene_graphs.json")


def _signs(given: SceneInput) -> bool:
    if any((given.path / name).is_file() for name in FILES):
        return True
    first = given.first if given.json is not None else None
    if not isinstance(first, dict) or "image_id" not in first or "items" in first:  # items: LAION-SG
        return False
    return "objects" in first or "relationships" in first


VISUAL_GENOME = SceneFormat(
    name="visual-genome",
    files=", ".join(FILES),
    signs=_signs,
    read=read_visual_genome,
    hides=("written", "grounded"),
)
