"""Hard scenes of coloured shapes: many objects, nesting two deep, twins, long chains, contradictions.

What a graph tells is less, and sometimes more, than what its picture shows:

- 6 to 12 objects, in most scenes joined by one long chain of relations;
- an object within an object within an object;
- *twins*: two or three objects of one shape whose colours are not told, so that only relations tell which is
  which ("the star left of the red circle");
- relations that are not spatial: "bigger than", and "same color as", which tells a colour that no attribute
  tells;
- contradictions: "a left of b" beside "b left of a". The picture shows the first. Both count where relations
  are scored, so no picture of such a graph gets all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from graphcond.scene_graph import OPPOSITES, Box, Relationship, SceneGraph
from graphcond.worlds.scene_relations import SAME_COLOR, clear_pairs, clearly_bigger, joined, spanning, stated
from graphcond.worlds.shapes import COLORS, DISTINCT, OUTER_SHAPES, SHAPES, contrast, mask_of

COUNTS: dict[int, float] = {6: 0.2, 7: 0.2, 8: 0.2, 9: 0.14, 10: 0.1, 11: 0.08, 12: 0.08}
"""Number of objects in a scene, and its probability among the numbers that a world allows."""

NESTED_SHARE, NESTED_COUNTS = 0.5, range(7, 11)
"""Share of the scenes of so many objects with nesting two deep; more find no room."""

CHAIN_SHARE, TWIN_SHARE, COLOR_SHARE, BIGGER_SHARE, CONTRADICTION_SHARE = 0.6, 0.5, 0.4, 0.4, 0.15
"""Shares of the scenes with a chain, twins, each relation that is not spatial, and a contradiction."""

EDGE, GAP = 0.025, 0.03
"""Least distance to the picture's edge and between two boxes, as shares of the side."""


class WorldScene(NamedTuple):
    """The graph that is told, and the whole truth about its picture, object by object."""

    told: SceneGraph
    shown: SceneGraph


def drawn_count(shares: dict[int, float], limits: tuple[int, int], rng: np.random.Generator) -> int:
    """A number of objects within ``limits``, by its share among these."""
    counts = [count for count in shares if limits[0] <= count <= limits[1]]
    weights = np.array([shares[count] for count in counts])
    return int(rng.choice(counts, p=weights / weights.sum()))


def hard_scene(objects: tuple[int, int], rng: np.random.Generator) -> WorldScene:
    """Draw a scene of the least to the most ``objects``, within `COUNTS`."""
    count = drawn_count(COUNTS, objects, rng)
    nested = count in NESTED_COUNTS and rng.random() < NESTED_SHARE
    boxes = _nested(count, rng) if nested else _spread(count, rng)
    while not joined(boxes):
        boxes = _nested(count, rng) if nested else _spread(count, rng)
    order = rng.permutation(count).tolist()
    place = {old: new for new, old in enumerate(order)}
    around = [(place[1], place[0]), (place[2], place[1])]
    boxes = tuple(boxes[old] for old in order)
    while True:
        colors = [str(color) for color in rng.choice(list(COLORS), count)]
        # Each unlike that of the object around it.
        if all(contrast(colors[one], colors[other]) >= DISTINCT for one, other in around if nested):
            break
    shapes = [str(shape) for shape in rng.choice(list(SHAPES), count)]
    for outer in (0, 1) if nested else ():
        shapes[place[outer]] = str(rng.choice(OUTER_SHAPES))
    free = [n for n in range(count) if not nested or n not in (place[0], place[1])]
    twins: list[int] = []
    if rng.random() < TWIN_SHARE:
        twins = sorted(rng.permutation(free)[: int(rng.integers(2, 4))].tolist())
    for twin in twins:
        shapes[twin] = shapes[twins[0]]
    relations = _relations(boxes, twins, rng)
    shown = SceneGraph(
        objects=tuple(shapes),
        relationships=relations,
        attributes=tuple((color,) for color in colors),
        boxes=boxes,
        masks=np.stack([mask_of(shape) for shape in shapes]),
    )
    return WorldScene(_told(shown, twins, rng), shown)


def _cells(side: int) -> list[Box]:
    """The cells of a square grid."""
    step = (1 - 2 * EDGE) / side
    corners = [(EDGE + x * step, EDGE + y * step) for x in range(side) for y in range(side)]
    return [Box(x, y, x + step, y + step) for x, y in corners]


def _spread(count: int, rng: np.random.Generator) -> tuple[Box, ...]:
    """Boxes in the cells of a grid, each at a random place in its own."""
    cells = _cells(3 if count <= 8 else 4)
    return tuple(_within(cells[number], 0.8, rng) for number in rng.permutation(len(cells))[:count].tolist())


def _nested(count: int, rng: np.random.Generator) -> tuple[Box, ...]:
    """An outer box, one in the middle of it, one in the middle of that, and the others beside the outer."""
    cells = _cells(4)
    room = Box(cells[0].x0, cells[0].y0, cells[10].x1, cells[10].y1)  # 3 x 3 of the cells
    boxes = [_within(room, 0.92, rng)]
    for low, high in ((0.38, 0.42), (0.17, 0.19)):
        around, half = boxes[-1], float(rng.uniform(low, high)) / 2
        x, y = (around.x0 + around.x1) / 2, (around.y0 + around.y1) / 2
        x, y = x + float(rng.uniform(-0.02, 0.02)), y + float(rng.uniform(-0.02, 0.02))
        boxes.append(Box(x - half, y - half, x + half, y + half))
    free = [cell for cell in cells if cell.x0 >= room.x1 - GAP or cell.y0 >= room.y1 - GAP]
    boxes += [_within(free[n], 0.9, rng) for n in rng.permutation(len(free))[: count - 3].tolist()]
    across, down = rng.random(2) < 0.5
    if across:
        boxes = [Box(1 - box.x1, box.y0, 1 - box.x0, box.y1) for box in boxes]
    if down:
        boxes = [Box(box.x0, 1 - box.y1, box.x1, 1 - box.y0) for box in boxes]
    return tuple(boxes)


def _within(room: Box, least: float, rng: np.random.Generator) -> Box:
    """A square box at a random place in a room, with half a gap to its edges.

    Its side is from ``least`` to all of what fits.
    """
    side = (min(room.x1 - room.x0, room.y1 - room.y0) - GAP) * float(rng.uniform(least, 1))
    x, y = (
        float(rng.uniform(low + GAP / 2, high - GAP / 2 - side))
        for low, high in ((room.x0, room.x1), (room.y0, room.y1))
    )
    return Box(x, y, x + side, y + side)


def _relations(
    boxes: Sequence[Box], twins: Sequence[int], rng: np.random.Generator
) -> tuple[Relationship, ...]:
    """True relations that join all objects, in most scenes by a chain; twins differ in theirs."""
    count, pairs, bigger = len(boxes), clear_pairs(boxes), clearly_bigger(boxes)
    while True:
        order = [pairs[number] for number in rng.permutation(len(pairs))]
        if rng.random() < CHAIN_SHARE:
            order = [*_chain(count, order), *order]
        tree, rest = spanning(count, order)
        chosen = [stated(boxes, pair, rng) for pair in (*tree, *rest[: int(rng.integers(0, 3))])]
        if rng.random() < BIGGER_SHARE and bigger:
            chosen.append(bigger[rng.integers(len(bigger))])
        if len({_said(chosen, twin) for twin in twins}) == len(twins):
            return tuple(chosen[number] for number in rng.permutation(len(chosen)))


def _chain(count: int, pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Pairs that lead from one object to another that was not visited, as far as it goes."""
    beside = {
        number: [b if a == number else a for a, b in pairs if number in (a, b)] for number in range(count)
    }
    here = pairs[0][0]
    visited, links = {here}, []
    while ahead := [other for other in beside[here] if other not in visited]:
        links.append((min(here, ahead[0]), max(here, ahead[0])))
        here = ahead[0]
        visited.add(here)
    return links


def _said(relations: Sequence[Relationship], number: int) -> frozenset[tuple[str, int]]:
    """What relations say of an object, read from its end."""
    here = {(r.predicate, r.object) for r in relations if r.subject == number}
    turned = {
        (OPPOSITES[r.predicate], r.subject)
        for r in relations
        if r.object == number and r.predicate in OPPOSITES
    }
    return frozenset(here | turned)


def _told(shown: SceneGraph, twins: Sequence[int], rng: np.random.Generator) -> SceneGraph:
    """The graph of a picture: without the colours of twins, with what is not spatial, and contradictions."""
    attributes = [() if number in twins else words for number, words in enumerate(shown.attributes)]
    relations = list(shown.relationships)
    alike = [
        (first, second)
        for first, second in combinations(range(len(shown)), 2)
        if attributes[first] and attributes[first] == attributes[second]
    ]
    if alike and rng.random() < COLOR_SHARE:
        subject, target = rng.permutation(alike[rng.integers(len(alike))]).tolist()
        relations.append(Relationship(subject, SAME_COLOR, target))
        attributes[subject] = ()
    sideways = [r for r in relations if r.predicate in ("left of", "right of", "above", "below")]
    if sideways and rng.random() < CONTRADICTION_SHARE:
        one = sideways[rng.integers(len(sideways))]
        relations.append(Relationship(one.object, one.predicate, one.subject))
    return SceneGraph(
        shown.objects,
        tuple(relations[number] for number in rng.permutation(len(relations))),
        tuple(attributes),
        shown.boxes,
        shown.masks,
    )
