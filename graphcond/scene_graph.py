"""The scene graph: objects, attributes, relations and boxes, checked when it is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from graphcond.errors import InputError

MASK_SIDE = 16
"""Side of an object's mask, stretched over its box (sg2im)."""

MOST_OBJECTS = 1_000
"""Objects in one scene graph; a longer list is taken for a mistake."""

MOST_RELATIONSHIPS = 10_000
"""Relations in one scene graph; a longer list is taken for a mistake."""


class Relationship(NamedTuple):
    """A relation between two nodes of a scene graph, named by their positions."""

    subject: int
    predicate: str
    object: int


class Box(NamedTuple):
    """Left, top, right and bottom edge as shares 0..1 of the picture's width and height."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class SceneGraph:
    """What a picture shows: objects, their attributes, how they relate, and perhaps where they are.

    Lists are taken for tuples, so ``SceneGraph(["sky", "grass"], [[0, "above", 1]])`` is a scene graph.

    Args:
        objects: a label for each object.
        relationships: (subject, predicate, object); subject and object are positions in ``objects``.
        attributes: the attributes of each object, or a mapping from positions to attributes; empty where
            none is known.
        boxes: the box of each object, None where it is not known; empty where none is.
        masks: of each object within its own box; None where they are not known.

    Raises:
        InputError: a label is empty, a relation points outside the objects, a box lies outside 0..1 or has
            no area, columns differ in length, or there are more than `MOST_OBJECTS` objects.
    """

    objects: tuple[str, ...]
    relationships: tuple[Relationship, ...] = ()
    attributes: tuple[tuple[str, ...], ...] = ()
    boxes: tuple[Box | None, ...] = ()
    masks: Bool[np.ndarray, "objects 16 16"] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        objects = _texts(self.objects, "objects", MOST_OBJECTS)
        count = len(objects)
        object.__setattr__(self, "objects", objects)
        object.__setattr__(self, "relationships", _relationships(self.relationships, count))
        object.__setattr__(self, "attributes", _attributes(self.attributes, count))
        object.__setattr__(self, "boxes", _boxes(self.boxes, count))
        if self.masks is not None and self.masks.shape != (count, MASK_SIDE, MASK_SIDE):
            raise InputError(
                f"are of shape {self.masks.shape}, not {(count, MASK_SIDE, MASK_SIDE)}", place="masks"
            )

    def __len__(self) -> int:
        return len(self.objects)

    def attributes_of(self, position: int) -> tuple[str, ...]:
        """The attributes of an object."""
        return self.attributes[position] if self.attributes else ()

    def box_of(self, position: int) -> Box | None:
        """The box of an object, None where it is not known."""
        return self.boxes[position] if self.boxes else None


def _texts(given: Any, place: str, most: int) -> tuple[str, ...]:
    words = tuple(_listed(given, place, most))
    for position, word in enumerate(words):
        if not isinstance(word, str) or not word.strip():
            raise InputError(f"{word!r} is no label", place=f"{place}[{position}]", remedy="name it")
    return tuple(" ".join(word.split()) for word in words)


def _relationships(given: Any, count: int) -> tuple[Relationship, ...]:
    found = []
    for number, item in enumerate(_listed(given, "relationships", MOST_RELATIONSHIPS)):
        place = f"relationships[{number}]"
        if isinstance(item, str) or not isinstance(item, Sequence) or len(item) != 3:
            raise InputError(
                f"{item!r} is no relation", place=place, remedy='write [subject, "predicate", object]'
            )
        subject, predicate, target = item
        for end in (subject, target):
            if not isinstance(end, int | np.integer) or isinstance(end, bool) or not 0 <= end < count:
                raise InputError(
                    f"points to object {end!r}, but there are {count}",
                    place=place,
                    remedy=f"count objects from 0 to {count - 1}" if count else "add objects first",
                )
        (word,) = _texts([predicate], place, 1)
        found.append(Relationship(int(subject), word, int(target)))
    return tuple(found)


def _attributes(given: Any, count: int) -> tuple[tuple[str, ...], ...]:
    if isinstance(given, Mapping):
        outside = [key for key in given if not str(key).isdigit() or int(key) >= count]
        if outside:
            raise InputError(f"there is no object {outside[0]!r}", place="attributes")
        by_position = {int(key): value for key, value in given.items()}
        given = [by_position.get(position, ()) for position in range(count)]
    rows = list(_listed(given, "attributes", MOST_OBJECTS))
    if rows and len(rows) != count:
        raise InputError(
            f"{len(rows)} lists for {count} objects", place="attributes", remedy="give each object a list"
        )
    found = tuple(
        _texts([row] if isinstance(row, str) else row or (), f"attributes[{position}]", MOST_OBJECTS)
        for position, row in enumerate(rows)
    )
    return found if any(found) else ()


def _boxes(given: Any, count: int) -> tuple[Box | None, ...]:
    rows = list(_listed(given, "boxes", MOST_OBJECTS))
    if rows and len(rows) != count:
        raise InputError(
            f"{len(rows)} boxes for {count} objects",
            place="boxes",
            remedy="give each object a box, or null where none is known",
        )
    found = tuple(None if row is None else _box(row, f"boxes[{n}]") for n, row in enumerate(rows))
    return found if any(box is not None for box in found) else ()


def _box(given: Any, place: str) -> Box:
    try:
        box = Box(*(float(edge) for edge in given))
    except (TypeError, ValueError):
        raise InputError(f"{given!r} is no box", place=place, remedy="give four numbers") from None
    if not all(0 <= edge <= 1 for edge in box):
        raise InputError(
            f"{tuple(box)} lies outside the picture",
            place=place,
            remedy="give x0, y0, x1, y1 as shares 0..1, or read it with its format named",
        )
    if box.x0 >= box.x1 or box.y0 >= box.y1:
        raise InputError(f"{tuple(box)} has no area", place=place, remedy="x0 < x1 and y0 < y1 must hold")
    return box


def _listed(given: Any, place: str, most: int) -> Iterable[Any]:
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        raise InputError(f"is {type(given).__name__}, not a list", place=place, remedy="write a list")
    items = list(given)
    if len(items) > most:
        raise InputError(
            f"{len(items)} are too many, the limit is {most}", place=place, remedy="leave some out"
        )
    return items
