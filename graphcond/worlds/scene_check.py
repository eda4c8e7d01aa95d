"""What was found in a picture, and how much of a scene graph it fulfils."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, permutations, product

from graphcond.scene_graph import Box, SceneGraph
from graphcond.worlds.scene_relations import relation_holds
from graphcond.worlds.shapes import COLORS

MOST_ORDERS = 720
"""Ways to hand detections to identical objects that are tried; past that, the first ways."""


@dataclass(frozen=True)
class Detected:
    """What a detector found in one picture, best score first."""

    labels: tuple[str, ...]
    colors: tuple[str, ...]
    boxes: tuple[Box, ...]
    scores: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def as_scene_graph(self) -> SceneGraph:
        """The same as a scene graph: a colour and a box for each object, no relations."""
        return SceneGraph(self.labels, (), tuple((color,) for color in self.colors), self.boxes)


@dataclass(frozen=True)
class Checked:
    """A scene graph held against what was found.

    Args:
        found: for each object which detection was taken for it, None where none was.
        attributes: for each object whether its colour is right, None where the graph names none;
            False where the object was not found.
        relations: for each relation whether both ends were found and it holds of their boxes.
    """

    found: tuple[int | None, ...]
    attributes: tuple[bool | None, ...]
    relations: tuple[bool, ...]

    @property
    def occurred(self) -> tuple[bool, ...]:
        """For each object whether one of its label was found."""
        return tuple(place is not None for place in self.found)

    @property
    def right(self) -> bool:
        """Whether all objects occurred, all named colours are right and all relations hold."""
        return all(self.occurred) and all(self.relations) and False not in self.attributes


def matches(graph: SceneGraph, detected: Detected) -> Checked:
    """Give every object of ``graph`` a detection of its label, and check colours and relations.

    Objects choose in their order, and take the best score: first those whose colour and label are found,
    then the rest by label alone. Relations have no say in this, so a wrong picture cannot be read kindly;
    only objects that the graph does not tell apart (label and attributes equal) share out their detections
    so that most relations hold.
    """
    first = _assign(graph, detected)
    best = max(_orders(graph, first), key=lambda found: sum(_hold(graph, detected, found)))
    attributes = tuple(_color_right(graph, place, detected, best[place]) for place in range(len(graph)))
    return Checked(best, attributes, _hold(graph, detected, best))


def _assign(graph: SceneGraph, detected: Detected) -> tuple[int | None, ...]:
    ranked = sorted(range(len(detected)), key=lambda place: -detected.scores[place])
    found: list[int | None] = [None] * len(graph)
    for by_color in (True, False):
        for place, label in enumerate(graph.objects):
            if found[place] is not None:
                continue
            fitting = (
                n
                for n in ranked
                if n not in found
                and detected.labels[n] == label
                and (not by_color or detected.colors[n] in graph.attributes_of(place))
            )
            found[place] = next(fitting, None)
    return tuple(found)


def _orders(graph: SceneGraph, first: tuple[int | None, ...]) -> Iterator[tuple[int | None, ...]]:
    """``first`` and every other way to share detections out among objects that are told alike."""
    groups: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for place, label in enumerate(graph.objects):
        groups.setdefault((label, graph.attributes_of(place)), []).append(place)
    alike = [places for places in groups.values() if len(places) > 1]
    orders = (permutations([first[place] for place in places]) for places in alike)
    ways = product(*(tuple(islice(order, MOST_ORDERS)) for order in orders))
    for way in islice(ways, MOST_ORDERS):
        found = list(first)
        for places, chosen in zip(alike, way, strict=True):
            for place, detection in zip(places, chosen, strict=True):
                found[place] = detection
        yield tuple(found)


def _hold(graph: SceneGraph, detected: Detected, found: tuple[int | None, ...]) -> tuple[bool, ...]:
    return tuple(
        (a := found[subject]) is not None
        and (b := found[target]) is not None
        and relation_holds(predicate, detected.boxes[a], detected.boxes[b])
        for subject, predicate, target in graph.relationships
    )


def _color_right(graph: SceneGraph, place: int, detected: Detected, found: int | None) -> bool | None:
    named = [word for word in graph.attributes_of(place) if word in COLORS]
    if not named:
        return None
    return found is not None and detected.colors[found] in named
