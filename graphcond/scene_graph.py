"""The scene graph: objects, attributes, relations and boxes, checked when it is made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, cast, get_args

import numpy as np
from jaxtyping import Bool, Int64

from graphcond.attributed_graph import _rows_in
from graphcond.errors import InputError

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class SceneSet:
    """Scene graphs with their pictures; row ``i`` of every column is scene ``i``.

    ``texts`` are the prompts. ``captions`` say what a picture shows, where a source knows it.
    ``pictures`` are POSIX paths relative to ``root``, None where a scene has none.
    """

    graphs: Sequence[SceneGraph]
    ids: Sequence[str]
    texts: Sequence[str]
    pictures: Sequence[str | None]
    captions: Sequence[str] | None = None
    splits: Sequence[str] | None = None
    root: Path | None = None

    def __len__(self) -> int:
        return len(self.graphs)

    def in_split(self, *splits: str) -> Int64[np.ndarray, " scenes"]:
        """Rows whose split is one of ``splits``, ascending; none where the set has no splits."""
        return _rows_in(self.splits, splits)

    def without_boxes(self) -> SceneSet:
        """The same scenes, without boxes and masks: only graphs tell where things are."""
        return replace(self, graphs=[replace(graph, boxes=(), masks=None) for graph in self.graphs])

    def picture_path(self, row: int) -> Path | None:
        """Where the picture of scene ``row`` lies, or None if it has none."""
        picture = self.pictures[row]
        return None if picture is None else (self.root or Path()) / picture


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


SpatialPredicate: TypeAlias = Literal["left of", "right of", "above", "below", "inside", "surrounding"]

SPATIAL_PREDICATES: tuple[SpatialPredicate, ...] = get_args(SpatialPredicate)

OPPOSITES: dict[SpatialPredicate, SpatialPredicate] = {
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
    "inside": "surrounding",
    "surrounding": "inside",
}
"""What holds from the other end of a relation."""


def predicate(subject: Box, target: Box) -> SpatialPredicate:
    """How ``subject`` lies to ``target``; exactly one predicate holds for every pair of boxes.

    Containment comes first: a box that lies strictly within another is "inside" it, the other is
    "surrounding" it. Otherwise the direction from the target's centre to the subject's decides, in four
    sectors of 90 degrees around the axes; y points down. The rule, and which sector owns its edges, are
    sg2im's (Johnson et al. 2018, the COCO reader): a subject exactly on the lower left diagonal, say, is
    "left of" the target. Two boxes with one centre, neither within the other, count as "right of".
    """
    if _within(target, subject):
        return "surrounding"
    if _within(subject, target):
        return "inside"
    (x, y), (u, v) = center(subject), center(target)
    angle = math.atan2(y - v, x - u)
    quarter = math.pi / 4
    if abs(angle) >= 3 * quarter:
        return "left of"
    if -3 * quarter <= angle < -quarter:
        return "above"
    if -quarter <= angle < quarter:
        return "right of"
    return "below"


def holds(relation: str, subject: Box, target: Box) -> bool:
    """Whether ``relation`` is the spatial predicate that `predicate` gives; False for any other word."""
    return relation == predicate(subject, target)


def opposite(relation: str) -> SpatialPredicate | None:
    """The spatial predicate from the other end, None for a relation that is not spatial."""
    return OPPOSITES.get(cast(SpatialPredicate, relation))


def margin(subject: Box, target: Box) -> float:
    """Degrees from the nearest diagonal, 0 (a diagonal pair) to 45 (straight beside or above).

    Only the centres count; containment has no diagonal.
    """
    (x, y), (u, v) = center(subject), center(target)
    return abs(45 - math.degrees(math.atan2(abs(y - v), abs(x - u))))


def center(box: Box) -> tuple[float, float]:
    """Its middle, x and y."""
    return (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2


def area(box: Box) -> float:
    """Its share of the picture."""
    return max(0.0, box.x1 - box.x0) * max(0.0, box.y1 - box.y0)


def overlap(first: Box, second: Box) -> float:
    """The area that two boxes share; 0 where they only touch."""
    width = min(first.x1, second.x1) - max(first.x0, second.x0)
    height = min(first.y1, second.y1) - max(first.y0, second.y0)
    return max(0.0, width) * max(0.0, height)


def iou(first: Box, second: Box) -> float:
    """Intersection over union, 0 to 1; 0 where both have no area."""
    shared = overlap(first, second)
    union = area(first) + area(second) - shared
    return shared / union if union > 0 else 0.0


def _within(inner: Box, outer: Box) -> bool:
    return outer.x0 < inner.x0 and inner.x1 < outer.x1 and outer.y0 < inner.y0 and inner.y1 < outer.y1


def sentence_of(graph: SceneGraph) -> str:
    """``graph`` as one sentence: "a red circle left of a blue square , a green star".

    Every relation is a clause; objects in no relation follow, each named alone. Attributes stand before
    their label. A scene without objects is the empty string.
    """
    names = [name_of(graph, position) for position in range(len(graph))]
    clauses = [f"{names[r.subject]} {r.predicate} {names[r.object]}" for r in graph.relationships]
    related = {end for r in graph.relationships for end in (r.subject, r.object)}
    return " , ".join([*clauses, *(name for place, name in enumerate(names) if place not in related)])


def list_of(names: list[str]) -> str:
    """Names as a list in words: "a star", "a star and a ring", "a star , a ring and a heart"."""
    return " and ".join(part for part in (" , ".join(names[:-1]), *names[-1:]) if part)


def name_of(graph: SceneGraph, position: int) -> str:
    """One object with its attributes and its article: "a red circle", "an orange star"."""
    words = " ".join([*graph.attributes_of(position), graph.objects[position]])
    return f"{'an' if words[0].lower() in 'aeiou' else 'a'} {words}"
