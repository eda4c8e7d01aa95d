"""Which relations a scene states: true ones with a clear margin, joined into one piece where possible."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from graphcond.scene_graph import OPPOSITES, Box, Relationship, area, margin, predicate
from graphcond.scene_graph import holds as holds_in_space

BIGGER = "bigger than"
PREDICATES: tuple[str, ...] = (*OPPOSITES, BIGGER)
"""Everything that the scene world says of two objects."""

CLEAR_DEGREES = 15.0
"""A stated direction is at least this far from the diagonal."""

CLEAR_RATIO, SEEN_RATIO = 1.35, 1.2
"""How many times longer (root of the area) a bigger object is: at least, where stated; where checked."""

BIGGER_SHARE = 0.6
"""Share of the scenes with two clearly unlike sizes that state them."""


def relation_holds(relation: str, subject: Box, target: Box) -> bool:
    """Whether a relation of this world is true of two boxes; False for a word that it does not know."""
    if relation == BIGGER:
        return area(subject) >= SEEN_RATIO**2 * area(target)
    return holds_in_space(relation, subject, target)


def joined(boxes: Sequence[Box]) -> bool:
    """Whether clear spatial relations join all boxes into one piece."""
    return len(_spanning(len(boxes), _clear_pairs(boxes))[0]) == len(boxes) - 1


def state_relations(boxes: Sequence[Box], rng: np.random.Generator) -> tuple[Relationship, ...]:
    """Choose n - 1 to n + 1 relations of n boxes, fewer where too few are clear.

    A spanning tree of clear spatial pairs comes first, then perhaps one "bigger than", then further pairs.
    Which end is the subject is a coin's toss.
    """
    count, pairs = len(boxes), _clear_pairs(boxes)
    tree, rest = _spanning(count, [pairs[place] for place in rng.permutation(len(pairs))])
    wanted = int(rng.integers(count - 1, count + 2))
    chosen = [_spatial(boxes, pair, rng) for pair in tree]
    sized = [_sized(boxes, *pair) for pair in combinations(range(count), 2)]
    bigger = [relation for relation in sized if relation is not None]
    if bigger and rng.random() < BIGGER_SHARE:
        chosen.append(bigger[rng.integers(len(bigger))])
    chosen = [*chosen, *(_spatial(boxes, pair, rng) for pair in rest)][:wanted]
    return tuple(chosen[place] for place in rng.permutation(len(chosen)))


def _clear_pairs(boxes: Sequence[Box]) -> list[tuple[int, int]]:
    return [pair for pair in combinations(range(len(boxes)), 2) if _clear(boxes, *pair)]


def _clear(boxes: Sequence[Box], first: int, second: int) -> bool:
    contained = predicate(boxes[first], boxes[second]) in ("inside", "surrounding")
    return contained or margin(boxes[first], boxes[second]) >= CLEAR_DEGREES


def _spatial(boxes: Sequence[Box], pair: tuple[int, int], rng: np.random.Generator) -> Relationship:
    subject, target = pair if rng.random() < 0.5 else pair[::-1]
    return Relationship(subject, predicate(boxes[subject], boxes[target]), target)


def _sized(boxes: Sequence[Box], first: int, second: int) -> Relationship | None:
    """The clear "bigger than" of two objects that do not contain each other."""
    if predicate(boxes[first], boxes[second]) in ("inside", "surrounding"):
        return None
    small, large = sorted((first, second), key=lambda place: area(boxes[place]))
    if area(boxes[large]) < CLEAR_RATIO**2 * area(boxes[small]):
        return None
    return Relationship(large, BIGGER, small)


def _spanning(
    count: int, pairs: Sequence[tuple[int, int]]
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Pairs that join all they can, first come first served; and those left over."""
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
