"""Choose the relations that a scene states: true ones with a clear margin, which join its objects."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from graphcond.scene_graph import OPPOSITES, Box, Relationship, area, margin, predicate
from graphcond.scene_graph import holds as holds_in_space

BIGGER, SAME_COLOR = "bigger than", "same color as"
PREDICATES: tuple[str, ...] = (*OPPOSITES, BIGGER)
"""All predicates of the scene world; its hard scenes state `SAME_COLOR` too."""

CLEAR_DEGREES = 15.0
"""A stated direction is at least this far from the diagonal."""

CLEAR_RATIO, SEEN_RATIO = 1.35, 1.2
"""Least ratio of the roots of areas for "bigger than": to state the relation, and to find it true."""

BIGGER_SHARE = 0.6
"""Share of the scenes with two clearly different sizes that state "bigger than"."""


def relation_holds(relation: str, subject: Box, target: Box) -> bool:
    """True if a relation of this world holds for two boxes; False for an unknown predicate."""
    if relation == BIGGER:
        return area(subject) >= SEEN_RATIO**2 * area(target)
    return holds_in_space(relation, subject, target)


def joined(boxes: Sequence[Box]) -> bool:
    """True if clear spatial relations join all boxes into one piece."""
    return len(spanning(len(boxes), clear_pairs(boxes))[0]) == len(boxes) - 1


def state_relations(boxes: Sequence[Box], rng: np.random.Generator) -> tuple[Relationship, ...]:
    """Choose n - 1 to n + 1 relations of n boxes, fewer where too few are clear.

    A spanning tree of clear spatial pairs comes first, so that the first n - 1 relations place every object;
    then perhaps one "bigger than", then further pairs. The subject of a pair is drawn at random.
    """
    count, pairs = len(boxes), clear_pairs(boxes)
    tree, rest = spanning(count, [pairs[place] for place in rng.permutation(len(pairs))])
    wanted = int(rng.integers(count - 1, count + 2))
    chosen = [stated(boxes, pair, rng) for pair in tree]
    bigger = clearly_bigger(boxes)
    if bigger and rng.random() < BIGGER_SHARE:
        chosen.append(bigger[rng.integers(len(bigger))])
    chosen = [*chosen, *(stated(boxes, pair, rng) for pair in rest)][:wanted]
    return tuple(chosen[place] for place in rng.permutation(len(chosen)))


def clearly_bigger(boxes: Sequence[Box]) -> list[Relationship]:
    """Every clear "bigger than". Of two nested objects the outer one is bigger anyway: it is left out."""
    return [
        Relationship(large, BIGGER, small)
        for pair in combinations(range(len(boxes)), 2)
        for small, large in (sorted(pair, key=lambda place: area(boxes[place])),)
        if area(boxes[large]) >= CLEAR_RATIO**2 * area(boxes[small])
        and not _contained(boxes[small], boxes[large])
    ]


def clear_pairs(boxes: Sequence[Box]) -> list[tuple[int, int]]:
    """The pairs whose spatial relation is clear: nested, or far from the diagonals between two directions."""
    return [
        (first, second)
        for first, second in combinations(range(len(boxes)), 2)
        if _contained(boxes[first], boxes[second]) or margin(boxes[first], boxes[second]) >= CLEAR_DEGREES
    ]


def _contained(first: Box, second: Box) -> bool:
    return predicate(first, second) in ("inside", "surrounding")


def stated(boxes: Sequence[Box], pair: tuple[int, int], rng: np.random.Generator) -> Relationship:
    """The spatial relation of a pair, whose subject is drawn."""
    subject, target = pair if rng.random() < 0.5 else pair[::-1]
    return Relationship(subject, predicate(boxes[subject], boxes[target]), target)


def spanning(
    count: int, pairs: Sequence[tuple[int, int]]
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The pairs of a spanning forest, in their order, and the pairs left over (Kruskal's algorithm)."""
    group = list(range(count))
    tree, rest = [], []
    for first, second in pairs:
        if group[first] == group[second]:
            rest.append((first, second))
            continue
        tree.append((first, second))
        old, new = group[second], group[first]
        group = [new if member == old else member for member in group]
    return tree, rest
