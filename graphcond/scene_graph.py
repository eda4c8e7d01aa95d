"""The scene graph: objects, attributes, relations and boxes, checked when it is made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
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


LONGEST_LABEL = 500
"""Characters in a label, an attribute or a predicate; a longer text is taken for a mistake."""


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
        InputError: a label is empty, no text or too long, a relation points outside the objects, a box lies
            outside 0..1 or has no area, columns differ in length, or there are more than `MOST_OBJECTS`
            objects or `MOST_RELATIONSHIPS` relations.
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
        if self.masks is not None:
            _check_masks(self.masks, count)

    def __len__(self) -> int:
        return len(self.objects)

    def attributes_of(self, position: int) -> tuple[str, ...]:
        """The attributes of an object."""
        return self.attributes[position] if self.attributes else ()

    def box_of(self, position: int) -> Box | None:
        """The box of an object, None where it is not known."""
        return self.boxes[position] if self.boxes else None


def _texts(given: Any, place: str, most: int) -> tuple[str, ...]:
    return tuple(_text(word, f"{place}[{n}]") for n, word in enumerate(_listed(given, place, most)))


def _text(given: Any, place: str) -> str:
    if not isinstance(given, str) or not given.strip():
        raise InputError(f"{_shown(given)} is no label", place=place, remedy="name it in words")
    if len(given) > LONGEST_LABEL:
        raise InputError(
            f"{len(given)} characters are too long for a label, the limit is {LONGEST_LABEL}",
            place=place,
            remedy="name it in a few words",
        )
    if any("\ud800" <= sign <= "\udfff" for sign in given):
        raise InputError(f"{_shown(given)} is no text: it holds half a character", place=place)
    return " ".join(given.split())


def _relationships(given: Any, count: int) -> tuple[Relationship, ...]:
    rows = _listed(given, "relationships", MOST_RELATIONSHIPS)
    return tuple(_relationship(row, count, f"relationships[{number}]") for number, row in enumerate(rows))


def _relationship(given: Any, count: int, place: str) -> Relationship:
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) != 3:
        raise InputError(
            f"{_shown(given)} is no relation", place=place, remedy='write [subject, "predicate", object]'
        )
    subject, predicate, target = given
    for end in (subject, target):
        if not isinstance(end, int | np.integer) or isinstance(end, bool):
            raise InputError(
                f"{_shown(end)} is no position of an object", place=place, remedy="write a whole number"
            )
        if not 0 <= end < count:
            raise InputError(
                f"points to object {_shown(end)}, but there are {count}",
                place=place,
                remedy=f"count objects from 0 to {count - 1}" if count else "add objects first",
            )
    return Relationship(int(subject), _text(predicate, place), int(target))


def _attributes(given: Any, count: int) -> tuple[tuple[str, ...], ...]:
    if isinstance(given, Mapping):
        given = _by_position(given, count)
    rows = _listed(given, "attributes", MOST_OBJECTS)
    if rows and len(rows) != count:
        raise InputError(
            f"{len(rows)} lists for {count} objects", place="attributes", remedy="give each object a list"
        )
    found = tuple(_attribute_row(row, f"attributes[{position}]") for position, row in enumerate(rows))
    return found if any(found) else ()


def _attribute_row(given: Any, place: str) -> tuple[str, ...]:
    if isinstance(given, str):
        return (_text(given, place),)
    return () if given is None else _texts(given, place, MOST_OBJECTS)


def _by_position(given: Mapping[Any, Any], count: int) -> list[Any]:
    """The rows of a mapping from positions (numbers, or their digits as JSON has them) to attributes."""
    rows: list[Any] = [None] * count
    for key, row in given.items():
        digits = str(key) if isinstance(key, str | int | np.integer) and not isinstance(key, bool) else ""
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 10 and int(digits) < count):
            raise InputError(
                f"there is no object {_shown(key)}, there are {count}",
                place="attributes",
                remedy="name objects by their positions, counted from 0",
            )
        if rows[int(digits)] is not None:
            raise InputError(f"object {int(digits)} occurs twice", place="attributes", remedy="keep one")
        rows[int(digits)] = row
    return rows


def _boxes(given: Any, count: int) -> tuple[Box | None, ...]:
    rows = _listed(given, "boxes", MOST_OBJECTS)
    if rows and len(rows) != count:
        raise InputError(
            f"{len(rows)} boxes for {count} objects",
            place="boxes",
            remedy="give each object a box, or null where none is known",
        )
    found = tuple(None if row is None else _box(row, f"boxes[{n}]") for n, row in enumerate(rows))
    return found if any(box is not None for box in found) else ()


def _box(given: Any, place: str) -> Box:
    box = Box(*four_numbers(given, place))
    if not all(0 <= edge <= 1 for edge in box):
        raise InputError(
            f"{tuple(box)} lies outside the picture",
            place=place,
            remedy="give x0, y0, x1, y1 as shares 0..1, or read it with its format named",
        )
    if box.x0 >= box.x1 or box.y0 >= box.y1:
        raise InputError(f"{tuple(box)} has no area", place=place, remedy="x0 < x1 and y0 < y1 must hold")
    return box


def four_numbers(given: Any, place: str) -> tuple[float, float, float, float]:
    """The numbers of a box in whatever format.

    Raises:
        InputError: there are not four, or one is no finite number (truth values and texts are none).
    """
    try:
        a, b, c, d = (_number(value) for value in given)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{_shown(given)} is no box", place=place, remedy="give four numbers") from None
    return a, b, c, d


def _number(given: Any) -> float:
    if isinstance(given, str | bool | np.bool_) or not math.isfinite(value := float(given)):
        raise ValueError
    return value


def _check_masks(masks: Any, count: int) -> None:
    wanted = (count, MASK_SIDE, MASK_SIDE)
    if not isinstance(masks, np.ndarray) or masks.dtype != np.bool_ or masks.shape != wanted:
        found = f"{masks.dtype} of shape {masks.shape}" if isinstance(masks, np.ndarray) else type(masks)
        raise InputError(f"are {found}, not bool of shape {wanted}", place="masks")


def _listed(given: Any, place: str, most: int) -> list[Any]:
    if isinstance(given, str | bytes | Mapping | Set) or not isinstance(given, Iterable):
        raise InputError(f"is {type(given).__name__}, not a list", place=place, remedy="write a list")
    items = list(given)
    if len(items) > most:
        raise InputError(
            f"{len(items)} are too many, the limit is {most}", place=place, remedy="leave some out"
        )
    return items


def _shown(given: Any) -> str:
    """What stands there, cut to a readable length."""
    try:
        words = repr(given)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list in itself
        words = f"a {type(given).__name__}"
    return words if len(words) <= 60 else f"{words[:59]}…"
