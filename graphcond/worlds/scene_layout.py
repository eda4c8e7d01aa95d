"""Where the objects of a scene stand: apart from each other, or one in the middle of another."""

from __future__ import annotations

import numpy as np

from graphcond.scene_graph import Box

EDGE, GAP = 0.025, 0.03
"""Least distance to the picture's edge and between two boxes, as shares of the side."""

SIZES: dict[int, tuple[float, float]] = {
    1: (0.32, 0.48),
    2: (0.3, 0.48),
    3: (0.27, 0.4),
    4: (0.25, 0.34),
    5: (0.23, 0.29),
    6: (0.22, 0.26),
}
"""Smallest and largest side of an object, by how many there are; 0.22 are 14 of 64 pixels."""

OUTER_SIZES: dict[int, tuple[float, float]] = {2: (0.62, 0.78), 3: (0.58, 0.65), 4: (0.54, 0.58)}
"""Sides of an object that surrounds another."""

INNER_SIZES = (0.25, 0.3)


def lay_out(count: int, nested: bool, rng: np.random.Generator) -> tuple[Box, ...]:
    """Place ``count`` square boxes at random, again and again until all find room.

    Args:
        count: 1 to 6.
        nested: the second box lies in the middle of the first, for 2 to 4 boxes.
        rng: settles everything.
    """
    while True:
        boxes: tuple[Box, ...] | None = _nest(count, rng) if nested else ()
        while boxes is not None and len(boxes) < count:
            boxes = _add(boxes, _side(*SIZES[count], nested, rng), rng)
        if boxes is not None:
            return boxes


def _side(low: float, high: float, nested: bool, rng: np.random.Generator) -> float:
    """The side of an object; beside a large one only small ones find room."""
    return float(rng.uniform(low, low + (high - low) * (0.3 if nested else 1)))


def _nest(count: int, rng: np.random.Generator) -> tuple[Box, ...]:
    outer = _anywhere(float(rng.uniform(*OUTER_SIZES[count])), rng)
    x, y = (outer.x0 + outer.x1) / 2, (outer.y0 + outer.y1) / 2
    x, y = x + rng.uniform(-0.02, 0.02), y + rng.uniform(-0.02, 0.02)
    half = rng.uniform(*INNER_SIZES) / 2
    return outer, Box(*(float(edge) for edge in (x - half, y - half, x + half, y + half)))


def _anywhere(side: float, rng: np.random.Generator) -> Box:
    x, y = (float(value) for value in rng.uniform(EDGE, 1 - EDGE - side, 2))
    return Box(x, y, x + side, y + side)


def _add(boxes: tuple[Box, ...], side: float, rng: np.random.Generator) -> tuple[Box, ...] | None:
    for _ in range(30):
        box = _anywhere(side, rng)
        if all(_apart(box, other) for other in boxes):
            return (*boxes, box)
    return None


def _apart(first: Box, second: Box) -> bool:
    return (
        max(first.x0, second.x0) - min(first.x1, second.x1) >= GAP
        or max(first.y0, second.y0) - min(first.y1, second.y1) >= GAP
    )
