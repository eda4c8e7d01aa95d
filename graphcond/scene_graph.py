"""The scene graph: objects, attributes, relations and boxes, checked when it is made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, cast, get_args

import numpy as np
from jaxtyping import Bool, Int64
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    Strict,
    ValidationError,
    ValidationInfo,
)

from graphcond.config import as_input_error, shown
from graphcond.errors import InputError
from graphcond.io.files import file_inside
from graphcond.io.tally import Tally
from graphcond.splits import rows_in


@dataclass(frozen=True, repr=False)
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
    tally: Tally = field(default_factory=Tally, compare=False)
    """What was read and left out."""
    prompts: Sequence[Sequence[str]] | None = None
    """All prompts of each scene, the one in ``texts`` first; None where each has one."""

    def __len__(self) -> int:
        return len(self.graphs)

    def __repr__(self) -> str:
        columns = [name for name in ("captions", "splits") if getattr(self, name) is not None]
        return f"SceneSet({', '.join([f'{len(self)} scenes', *columns])}, root={str(self.root)!r})"

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Scene id to row."""
        return {scene: row for row, scene in enumerate(self.ids)}

    def in_split(self, *splits: str) -> Int64[np.ndarray, " scenes"]:
        """As `graphcond.splits.rows_in`."""
        return rows_in(self.splits, splits)

    def without_boxes(self) -> SceneSet:
        """The same scenes, without boxes and masks: only graphs tell where things are."""
        return replace(self, graphs=[replace(graph, boxes=(), masks=None) for graph in self.graphs])

    def picture_path(self, row: int) -> Path | None:
        """The path of the picture of scene ``row``, or None if it has none.

        Raises:
            InputError: it would leave the set's root folder.
        """
        return file_inside(self.root, self.pictures[row])


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


def listed(most: int) -> BeforeValidator:
    """A list of at most ``most`` elements: also an array or a generator, but no text, mapping or set."""

    def check(given: Any) -> Sequence[Any]:
        rows = given
        if type(given) not in (list, tuple):  # the checks below take longer than the rest
            if isinstance(given, str | bytes | Mapping | Set) or not isinstance(given, Iterable):
                raise InputError(f"expected a list, got {type(given).__name__}", remedy="write a list")
            rows = list(given)
        if len(rows) > most:
            raise InputError(f"{len(rows)} are too many, the limit is {most}", remedy="leave some out")
        return rows

    return BeforeValidator(check)


def _with_single_spaces(given: str) -> str:
    words = " ".join(given.split())
    if not words:
        raise InputError("expected words, got an empty text", remedy="name it in words")
    return words


_Plain = BeforeValidator(lambda given: given.item() if isinstance(given, np.generic) else given)

Label = Annotated[str, Strict(), Field(max_length=LONGEST_LABEL), AfterValidator(_with_single_spaces)]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False), _Plain]
FourNumbers = Annotated[tuple[Number, Number, Number, Number], listed(4)]


def _relationship(given: tuple[int, str, int], info: ValidationInfo) -> Relationship:
    relation, count = Relationship._make(given), len(info.data.get("objects", ()))
    for end in (relation.subject, relation.object):
        if not 0 <= end < count and "objects" in info.data:
            raise InputError(
                f"points to object {shown(end)}, but there are {count}",
                remedy=f"count objects from 0 to {count - 1}" if count else "add objects first",
            )
    return relation


def _box(given: tuple[float, float, float, float]) -> Box:
    box = Box._make(given)
    if not all(0 <= edge <= 1 for edge in box):
        raise InputError(
            f"{given} lies outside the picture",
            remedy="give x0, y0, x1, y1 as shares 0..1, or read it with its format named",
        )
    if box.x0 >= box.x1 or box.y0 >= box.y1:
        raise InputError(f"{given} has no area", remedy="x0 < x1 and y0 < y1 must hold")
    return box


def _by_position(given: Any, info: ValidationInfo) -> Any:
    """The rows of a mapping from positions (numbers, or their digits as JSON has them) to attributes."""
    if not isinstance(given, Mapping):
        return given
    count = len(info.data.get("objects", ()))
    rows: list[Any] = [None] * count
    for key, row in given.items():
        digits = str(key) if isinstance(key, str | int | np.integer) and not isinstance(key, bool) else ""
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 10 and int(digits) < count):
            raise InputError(
                f"there is no object {shown(key)}, there are {count}",
                remedy="name objects by their positions, counted from 0",
            )
        if rows[int(digits)] is not None:
            raise InputError(f"object {int(digits)} occurs twice", remedy="keep one")
        rows[int(digits)] = row
    return rows


def _one_each(given: tuple[Any, ...], info: ValidationInfo) -> tuple[Any, ...]:
    """One row for each object, or none where nothing is known."""
    count = len(info.data.get("objects", given))
    if given and len(given) != count:
        raise InputError(
            f"there are {len(given)} rows for {count} objects",
            remedy="give each object a row, or null where nothing is known",
        )
    return given if any(given) else ()


_Relation = Annotated[
    tuple[Annotated[int, Strict(), _Plain], Label, Annotated[int, Strict(), _Plain]],
    listed(3),
    AfterValidator(_relationship),
]
_Attributes = Annotated[
    tuple[Label, ...],
    listed(MOST_OBJECTS),
    BeforeValidator(lambda given: (given,) if isinstance(given, str) else () if given is None else given),
]


class _Columns(BaseModel):
    """The columns of a scene graph, checked one after the other: positions are those of ``objects``."""

    objects: Annotated[tuple[Label, ...], listed(MOST_OBJECTS)]
    relationships: Annotated[tuple[_Relation, ...], listed(MOST_RELATIONSHIPS)]
    attributes: Annotated[
        tuple[_Attributes, ...],
        listed(MOST_OBJECTS),
        BeforeValidator(_by_position),
        AfterValidator(_one_each),
    ]
    boxes: Annotated[
        tuple[Annotated[FourNumbers, AfterValidator(_box)] | None, ...],
        listed(MOST_OBJECTS),
        AfterValidator(_one_each),
    ]


@dataclass(frozen=True)
class SceneGraph:
    """The content of a picture: objects, their attributes and relations, and optionally their boxes.

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
        try:
            columns = _Columns.model_validate(self.__dict__)
        except ValidationError as error:
            remedy = 'write objects as labels, relationships as [0, "above", 1], boxes as four numbers'
            raise as_input_error(error, _Columns, None, position="[{}]", remedy=remedy) from None
        for name, column in columns:
            object.__setattr__(self, name, column)
        masks, wanted = self.masks, (len(self), MASK_SIDE, MASK_SIDE)
        if masks is None:
            return
        if not isinstance(masks, np.ndarray) or masks.dtype != np.bool_ or masks.shape != wanted:
            found = f"{masks.dtype} of shape {masks.shape}" if isinstance(masks, np.ndarray) else type(masks)
            raise InputError(
                f"expected bool of shape {wanted}, got {found}", place="masks", remedy="give each object one"
            )

    def __len__(self) -> int:
        return len(self.objects)

    def attributes_of(self, position: int) -> tuple[str, ...]:
        """The attributes of an object."""
        return self.attributes[position] if self.attributes else ()

    def box_of(self, position: int) -> Box | None:
        """The box of an object, None where it is not known."""
        return self.boxes[position] if self.boxes else None


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
"""The inverse of each relation."""


def predicate(subject: Box, target: Box) -> SpatialPredicate:
    """The position of ``subject`` relative to ``target``: exactly one predicate for every pair of boxes.

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
    """True if ``relation`` is the spatial predicate that `predicate` returns; False for any other word."""
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
    return written_out(graph)[0]


class Mention(NamedTuple):
    """Where a sentence speaks of a part of its graph: the characters from ``start`` up to ``end``.

    Args:
        start: the first character.
        end: the character behind the last one.
        object: position of the object whose name it belongs to; None for a predicate.
        attribute: position among the object's attributes; None for its article and its label.
        relation: position of the relation whose clause it stands in; None for an object named alone.
    """

    start: int
    end: int
    object: int | None
    attribute: int | None
    relation: int | None


def written_out(graph: SceneGraph) -> tuple[str, tuple[Mention, ...]]:
    """The sentence of ``graph``, as `sentence_of` gives it, and what each of its words speaks of."""

    def name(
        position: int, relation: int | None
    ) -> list[tuple[str, tuple[int | None, int | None, int | None]]]:
        article, *attributes, label = _name(graph, position)
        described = [(word, (position, number, relation)) for number, word in enumerate(attributes)]
        return [(article, (position, None, relation)), *described, (label, (position, None, relation))]

    clauses = [
        [*name(subject, number), (predicate, (None, None, number)), *name(target, number)]
        for number, (subject, predicate, target) in enumerate(graph.relationships)
    ]
    related = {end for one in graph.relationships for end in (one.subject, one.object)}
    clauses += [name(position, None) for position in range(len(graph)) if position not in related]
    mentions, start = [], 0
    for clause in clauses:
        for word, of in clause:
            mentions.append(Mention(start, start + len(word), *of))
            start += len(word) + 1
        start += len(", ")
    return " , ".join(" ".join(word for word, _ in clause) for clause in clauses), tuple(mentions)


def list_of(names: list[str]) -> str:
    """Names as a list in words: "a star", "a star and a ring", "a star , a ring and a heart"."""
    return " and ".join(part for part in (" , ".join(names[:-1]), *names[-1:]) if part)


def name_of(graph: SceneGraph, position: int) -> str:
    """One object with its attributes and its article: "a red circle", "an orange star"."""
    return " ".join(_name(graph, position))


def _name(graph: SceneGraph, position: int) -> list[str]:
    words = [*graph.attributes_of(position), graph.objects[position]]
    return ["an" if words[0][0].lower() in "aeiou" else "a", *words]
