"""The shapes and colours of the scene world, in the unit square, y pointing down."""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageDraw

from graphcond.scene_graph import MASK_SIDE
from graphcond.worlds.canvas import Color
from graphcond.worlds.subjects import Point, arc, ellipse, star_points

COLORS: dict[str, Color] = {
    "red": (214, 32, 42),
    "green": (46, 158, 72),
    "blue": (38, 92, 222),
    "yellow": (250, 214, 36),
    "purple": (136, 48, 176),
    "orange": (246, 132, 20),
    "black": (28, 28, 32),
}
"""The colour of each attribute. Grounds are pale and differ from all of them, so white is left out."""

DISTINCT = 200
"""Least `contrast` of an object and of the one around it, which would hardly be visible otherwise."""


def contrast(one: str, other: str) -> int:
    """The difference between two colours, summed over channels."""
    return sum(abs(a - b) for a, b in zip(COLORS[one], COLORS[other], strict=True))


def _fit(points: list[Point]) -> list[Point]:
    """Stretch points so that they fill the unit square [-1, 1]."""
    (x0, y0), (x1, y1) = (tuple(side(axis) for axis in zip(*points, strict=True)) for side in (min, max))
    return [(2 * (x - x0) / (x1 - x0) - 1, 2 * (y - y0) / (y1 - y0) - 1) for x, y in points]


def _heart() -> list[Point]:
    angles = [2 * math.pi * step / 48 for step in range(48)]
    return _fit(
        [
            (
                16 * math.sin(a) ** 3,
                -(13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a)),
            )
            for a in angles
        ]
    )


SHAPES: dict[str, Callable[[], list[Point]]] = {
    "circle": lambda: ellipse(0, 0, 1, 1, 48),
    "square": lambda: [(-1, -1), (1, -1), (1, 1), (-1, 1)],
    "triangle": lambda: [(0, -1), (1, 1), (-1, 1)],
    "star": lambda: _fit(star_points(0.42)),
    "heart": _heart,
    "ring": lambda: arc(0, 0, 1, 0, 2 * math.pi, 48) + arc(0, 0, 0.5, 2 * math.pi, 0, 48),
}
"""Diamonds and crosses are left out: in an 8x8 latent they look like each other, and like circles."""


OUTER_SHAPES = ("circle", "square")
"""Shapes with room in their middle."""


@cache
def mask_of(shape: str) -> Bool[np.ndarray, "16 16"]:
    """The area that a shape covers within its own box."""
    side = 8 * MASK_SIDE
    picture = Image.new("L", (side, side), 0)
    points = [((x + 1) * side / 2, (y + 1) * side / 2) for x, y in SHAPES[shape]()]
    ImageDraw.Draw(picture).polygon(points, fill=255)
    mask = np.asarray(picture.resize((MASK_SIDE, MASK_SIDE), Image.Resampling.BOX)) >= 128
    mask.setflags(write=False)
    return mask
