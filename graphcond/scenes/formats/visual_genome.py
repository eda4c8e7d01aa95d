"""Visual Genome: ``scene_graphs.json``, or ``objects.json``, ``relationships.json`` and ``attributes.json``.

Sizes of pictures come from ``image_data.json``, one word for things with several names from
``object_alias.txt`` and ``relationship_alias.txt``; each of the three may be missing. Versions of the data
call an object's words ``names`` or ``name``; both are read (Krishna et al. 2017; joined as sg2im joins them).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphcond.errors import InputError
from graphcond.scene_graph import Box, SceneGraph
from graphcond.scenes.boxes import Size, read_box, read_size
from graphcond.scenes.jsonfile import a_list, an_object, at, entry, identifier, read_strict, read_text
from graphcond.scenes.records import Gallery, SceneFormat, SceneRecord, SceneSource, without_dummies


def read_aliases(file: Path) -> dict[str, str]:
    """Every alias to the word that stands for it, chains followed (a for b, b for c: a for c).

    A word that stands in two lines belongs to the later one, as sg2im reads the files.

    Raises:
        InputError: the file cannot be read, or aliases lead back to where they began.
    """
    direct: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(read_text(file).split("\n"), start=1):
        first, *others = [" ".join(word.split()).lower() for word in line.split(",")]
        direct.update({word: (first, number) for word in others if first and word and word != first})
    return {word: _follow(word, direct, file) for word in direct}


def _follow(word: str, direct: dict[str, tuple[str, int]], file: Path) -> str:
    seen = [word]
    while seen[-1] in direct:
        target, number = direct[seen[-1]]
        if target in seen:
            loop = " -> ".join([*seen[seen.index(target) :], target])
            raise InputError(
                f"aliases in a loop: {loop:.200}",
                place=f"{file}:{number}",
                remedy="take one of the lines out",
            )
        seen.append(target)
    return seen[-1]


OBJECT_CLASSES, PREDICATE_CLASSES = 178, 45
"""Classes of sg2im's vocabulary without its two dummies: those of version 1.4."""

OFTEN = {"objects": 2_000, "predicates": 500}
"""How often a class must occur in sg2im's training split."""

TRAINING_SHARE = 0.8
"""Share of all pictures in that split."""

WHOLE = 50_000
"""Fewer scenes than this are a part of the data, of which nothing can be told."""

TOLERANCE = 1.2
"""By how much counts may exceed sg2im's: the split and its filters are not redone here."""


def version_note(graphs: Iterable[SceneGraph], *, whole: int = WHOLE) -> list[str]:
    """A warning if far more classes are frequent than in version 1.4; none otherwise.

    Another version gives 260 objects and 66 predicates where 1.4 gives 179 and 46, dummies included, and
    whoever compares with published figures compares different data.
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
        "Visual Genome, and figures will not compare with published ones"
    ]


def _frequent(counts: Counter[str], least: int) -> int:
    return sum(1 for count in counts.values() if count >= least / TRAINING_SHARE)


def read_visual_genome(folder: Path, gallery: Gallery | None = None) -> SceneSource:
    """The scenes of a folder; objects without a name are dropped, with their relations.

    Boxes are cut off at the picture's edge; they are unknown where ``image_data.json`` does not give a size.

    Args:
        folder: holds the JSON files.
        gallery: where the pictures lie, as ``VG_100K/1.jpg`` or ``1.jpg``; the folder itself unless told.

    Raises:
        InputError: a file has another form, a relation names an object that is not there, or aliases loop.
    """
    files = _Files.read(folder)
    gallery = gallery or Gallery(folder)
    records = []
    for number, (image, row) in enumerate(files.images.items()):
        with at(f"{files.place}: image {image}" if image else f"{files.place}: entry {number}"):
            records.append(_record(image, row, files, gallery))
    notes = [*gallery.notes(), *files.dropped()]
    if not files.sizes:
        notes.append(f"{folder} holds no image_data.json: boxes are unknown, for they are in pixels")
    notes += version_note(record.graph for record in records)
    return SceneSource(records, gallery.folder, tuple(notes), dict(files.counted))


@dataclass
class _Image:
    """What the files say of one picture."""

    objects: list[Any] = field(default_factory=list)
    relationships: list[Any] = field(default_factory=list)
    attributes: list[Any] = field(default_factory=list)


@dataclass
class _Files:
    """The files of a folder, joined by image, and what to call things."""

    place: Path
    images: dict[str, _Image]
    sizes: dict[str, Size]
    pictures: dict[str, list[str]]
    object_aliases: Mapping[str, str]
    predicate_aliases: Mapping[str, str]
    counted: Counter[str] = field(default_factory=Counter)

    @classmethod
    def read(cls, folder: Path) -> _Files:
        place, images = _read_images(folder)
        sizes, pictures = _read_image_data(folder / "image_data.json")
        objects, predicates = (
            read_aliases(file) if (file := folder / name).is_file() else {}
            for name in ("object_alias.txt", "relationship_alias.txt")
        )
        return cls(place, images, sizes, pictures, objects, predicates)

    def dropped(self) -> list[str]:
        return [f"{count} {what}" for what, count in self.counted.items()]


def _read_images(folder: Path) -> tuple[Path, dict[str, _Image]]:
    whole = folder / "scene_graphs.json"
    place = whole if whole.is_file() else folder / "objects.json"
    images: dict[str, _Image] = {}
    parts = ["scene_graphs.json"] if whole.is_file() else ["objects.json", "relationships.json"]
    for name in (*parts, "attributes.json"):
        if (folder / name).is_file():
            _join(folder / name, images)
    if not images:
        raise InputError(
            f"holds none of scene_graphs.json, {', '.join(parts)}",
            place=folder,
            remedy="name the files as Visual Genome does",
        )
    return place, images


def _join(file: Path, images: dict[str, _Image]) -> None:
    for number, given in enumerate(a_list(read_strict(file), file)):
        place = f"{file}: entry {number}"
        row = an_object(given, place)
        image = images.setdefault(identifier(row, "image_id", place), _Image())
        for key in ("objects", "relationships", "attributes"):
            if key in row:
                getattr(image, key).extend(a_list(row[key], f"{place}: {key}"))


def _read_image_data(file: Path) -> tuple[dict[str, Size], dict[str, list[str]]]:
    """Sizes and possible paths of pictures: the last two parts of the address, or the number alone."""
    sizes: dict[str, Size] = {}
    pictures: dict[str, list[str]] = {}
    for number, given in enumerate(a_list(read_strict(file), file) if file.is_file() else ()):
        place = f"{file}: entry {number}"
        row = an_object(given, place)
        image = identifier(row, "image_id", place)
        sizes[image] = read_size(row.get("width"), row.get("height"), place)
        parts = [part for part in str(row.get("url") or "").split("/") if part]
        pictures[image] = ["/".join(parts[-2:]), parts[-1]] if len(parts) > 1 else []
    return sizes, pictures


def _record(image: str, row: _Image, files: _Files, gallery: Gallery) -> SceneRecord:
    scene = _Scene(files, files.sizes.get(image))
    for n, given in enumerate(row.objects):
        scene.add(given, f"objects[{n}]")
    for n, given in enumerate(row.attributes):
        scene.describe(given, f"attributes[{n}]")
    for n, given in enumerate(row.relationships):
        scene.relate(given, f"relationships[{n}]")
    picture = gallery.find(*files.pictures.get(image, []), f"{image}.jpg")
    return SceneRecord(without_dummies(scene.graph()), image, picture)


class _Scene:
    """One picture's graph as it grows."""

    def __init__(self, files: _Files, size: Size | None) -> None:
        self.files, self.size = files, size
        self.places: dict[str, int | None] = {}  # object id to position; None where it has no name
        self.labels: list[str] = []
        self.boxes: list[Box | None] = []
        self.attributes: list[dict[str, None]] = []
        self.relations: list[tuple[int, str, int]] = []

    def graph(self) -> SceneGraph:
        attributes = tuple(tuple(words) for words in self.attributes)
        return SceneGraph(tuple(self.labels), self.relations, attributes, tuple(self.boxes))  # type: ignore[arg-type]

    def add(self, given: Any, place: str) -> int | None:
        """An object; its position, None if it has no name. A known id is not added again."""
        item = an_object(given, place)
        key = identifier(item, "object_id", place)
        if key not in self.places:
            label = self.files.object_aliases.get(name := _name(item, place), name)
            self.places[key] = len(self.labels) if label else None
            if label:
                self.labels.append(label)
                self.boxes.append(self._box(item, place))
                self.attributes.append({})
            else:
                self.files.counted["objects have no name; they were dropped"] += 1
        for other in a_list(item.get("merged_object_ids") or [], f"{place}.merged_object_ids"):
            self.places.setdefault(str(other), self.places[key])
        self._describe(self.places[key], item, place)
        return self.places[key]

    def describe(self, given: Any, place: str) -> None:
        """Attributes of an object, which may be new."""
        self.add(given, place)

    def relate(self, given: Any, place: str) -> None:
        """A relation; its ends are objects or, in ``scene_graphs.json``, their ids."""
        item = an_object(given, place)
        ends = [self._end(item, side, place) for side in ("subject", "object")]
        word = entry(item, "predicate", place)
        predicate = " ".join(word.lower().split()) if isinstance(word, str) else ""
        if not predicate or None in ends:
            self.files.counted[
                "relations have no predicate or an object without name; they were dropped"
            ] += 1
            return
        subject, target = (end for end in ends if end is not None)
        self.relations.append((subject, self.files.predicate_aliases.get(predicate, predicate), target))

    def _end(self, item: dict[str, Any], side: str, place: str) -> int | None:
        if side in item:
            return self.add(item[side], f"{place}.{side}")
        key = identifier(item, f"{side}_id", place)
        if key not in self.places:
            raise InputError(f"there is no object {key}", place=f"{place}.{side}_id", remedy="mend the id")
        return self.places[key]

    def _describe(self, position: int | None, item: dict[str, Any], place: str) -> None:
        for word in a_list(item.get("attributes") or [], f"{place}.attributes"):
            if position is not None and isinstance(word, str) and word.strip():
                self.attributes[position][" ".join(word.lower().split())] = None

    def _box(self, item: dict[str, Any], place: str) -> Box | None:
        if self.size is None or "w" not in item:
            return None
        numbers = [item.get(key) for key in ("x", "y", "w", "h")]
        return read_box(numbers, "xywh pixels", self.size, place=place, clip=True)


def _name(item: dict[str, Any], place: str) -> str:
    """The first of ``names``, or ``name``, in lower case; "" where there is none."""
    given = item.get("names", item.get("name"))
    if isinstance(given, list):
        given = given[0] if given else ""
    if given is not None and not isinstance(given, str):
        raise InputError(f"the name is {given!r:.40}", place=place, remedy="write a string")
    return " ".join((given or "").lower().split())


FILES = ("objects.json", "relationships.json", "scene_graphs.json")


def _is_image(first: Any) -> bool:
    if not isinstance(first, dict) or "image_id" not in first or "items" in first:  # items: LAION-SG
        return False
    return "objects" in first or "relationships" in first


VISUAL_GENOME = SceneFormat(
    name="visual-genome",
    files=", ".join(FILES),
    signs=lambda given: (
        any((given.path / name).is_file() for name in FILES)
        or (given.json is not None and _is_image(given.first))
    ),
    read=lambda given: read_visual_genome(given.folder, given.gallery),
    hides=("written", "grounded"),
)
