"""Matching the objects of a graph to those of a picture, and the part of the graph that the picture shows."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from itertools import islice, permutations, product
from typing import TypeAlias

from graphcond.scene_graph import Relationship, SceneGraph, iou, opposite

Places: TypeAlias = tuple[int | None, ...]

MOST_ORDERS = 720
"""Ways to hand seen objects to wanted ones that are told alike; past that, the first ways."""


@dataclass(frozen=True)
class SceneMatch:
    """The part of a graph that a picture shows.

    Args:
        places: for each object of the graph, its place among the objects seen; None where it is not seen.
        attributes: for each object, for each of its attributes, whether it is seen on that object.
        ends: for each relation, whether both of its objects are seen.
        relations: for each relation, whether it is seen between them.
    """

    places: Places
    attributes: tuple[tuple[bool, ...], ...]
    ends: tuple[bool, ...]
    relations: tuple[bool, ...]

    @property
    def related(self) -> bool:
        """True if all objects are seen and all relations hold."""
        return None not in self.places and all(self.relations)

    @property
    def right(self) -> bool:
        """True if all objects are seen with all their attributes, and all relations hold."""
        return self.related and all(map(all, self.attributes))


def match_scene(wanted: SceneGraph, seen: SceneGraph) -> SceneMatch:
    """Pair objects of one label, each seen object once.

    Objects choose in their order, and take the first that is left: first those that share most attributes,
    then any of their label. Relations have no say in this, so a wrong picture cannot be read kindly. Only
    objects that the graph tells alike, by label and attributes, share out what they took so that most
    relations hold and, that being equal, boxes overlap most.

    Args:
        wanted: the graph.
        seen: the detected objects, most certain first. A spatial relation may be stated from either end.
    """
    stated: set[tuple[int | None, str, int | None]] = set()
    for subject, predicate, target in seen.relationships:
        stated.add((subject, predicate.casefold(), target))
        turned = opposite(predicate.casefold())
        if turned is not None:
            stated.add((target, turned, subject))

    def worth(places: Places) -> tuple[int, float]:
        return sum(_hold(wanted, places, stated)), overlaps(wanted, places, seen)

    places = max(_orders(wanted, _paired(wanted, seen)), key=worth)
    return SceneMatch(
        places=places,
        attributes=tuple(
            tuple(_has(seen, place, word) for word in wanted.attributes_of(number))
            for number, place in enumerate(places)
        ),
        ends=tuple(None not in (places[r.subject], places[r.object]) for r in wanted.relationships),
        relations=_hold(wanted, places, stated),
    )


def same_word(first: str, second: str) -> bool:
    """True if two words are equal, ignoring case."""
    return first.casefold() == second.casefold()


def relation_words(graph: SceneGraph, relation: Relationship) -> tuple[str, str, str]:
    """A relation as the labels and the predicate it is made of, in lower case."""
    subject, target = graph.objects[relation.subject], graph.objects[relation.object]
    return subject.casefold(), relation.predicate.casefold(), target.casefold()


def overlaps(wanted: SceneGraph, places: Places, seen: SceneGraph) -> float:
    """The IoU of every wanted box with the box seen for it, added up."""
    shared = 0.0
    for number, place in enumerate(places):
        here, there = wanted.box_of(number), None if place is None else seen.box_of(place)
        if here is not None and there is not None:
            shared += iou(here, there)
    return shared


def _hold(
    wanted: SceneGraph, places: Places, stated: Set[tuple[int | None, str, int | None]]
) -> tuple[bool, ...]:
    return tuple(
        (places[r.subject], r.predicate.casefold(), places[r.object]) in stated for r in wanted.relationships
    )


def _has(seen: SceneGraph, place: int | None, attribute: str) -> bool:
    return place is not None and any(same_word(attribute, word) for word in seen.attributes_of(place))


def _paired(wanted: SceneGraph, seen: SceneGraph) -> Places:
    options = sorted(
        (-sum(_has(seen, place, word) for word in wanted.attributes_of(number)), number, place)
        for number, label in enumerate(wanted.objects)
        for place, other in enumerate(seen.objects)
        if same_word(label, other)
    )
    places: dict[int, int] = {}
    for _, number, place in options:
        if number not in places and place not in places.values():
            places[number] = place
    return tuple(places.get(number) for number in range(len(wanted)))


def _orders(wanted: SceneGraph, first: Places) -> Iterator[Places]:
    """``first`` and every other way to share places out among objects that are told alike."""
    groups: dict[tuple[str, frozenset[str]], list[int]] = {}
    for number, label in enumerate(wanted.objects):
        words = frozenset(word.casefold() for word in wanted.attributes_of(number))
        groups.setdefault((label.casefold(), words), []).append(number)
    alike = [numbers for numbers in groups.values() if len(numbers) > 1]
    # Of a group too large to try every order, the first orders.
    orders = (islice(permutations([first[number] for number in numbers]), MOST_ORDERS) for numbers in alike)
    for way in islice(product(*map(list, orders)), MOST_ORDERS):
        places = list(first)
        for numbers, chosen in zip(alike, way, strict=True):
            for number, place in zip(numbers, chosen, strict=True):
                places[number] = place
        yield tuple(places)
