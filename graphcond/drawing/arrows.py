"""Arrows between the nodes of a drawn graph, and places for their labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from PIL import ImageDraw

Point: TypeAlias = tuple[float, float]

ALONG = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8)
"""Places for a label along an arrow, as shares of its length, the best first."""

STEPS = 60
"""Number of segments of a curve."""


class Rectangle(NamedTuple):
    """A rectangle by its edges, in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def around(cls, x: float, y: float, width: float, height: float) -> Rectangle:
        """The rectangle with this middle."""
        return cls(x - width / 2, y - height / 2, x + width / 2, y + height / 2)

    @property
    def middle(self) -> Point:
        """The point in its middle."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def holds(self, point: Point) -> bool:
        """Return True if the point lies in the rectangle or on its border."""
        return self.left <= point[0] <= self.right and self.top <= point[1] <= self.bottom

    def overlaps(self, other: Rectangle) -> bool:
        """Return True if both share more than an edge."""
        return self.shared(other) > 0

    def shared(self, other: Rectangle) -> float:
        """The area of the intersection, in square pixels."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(width, 0.0) * max(height, 0.0)


@dataclass(frozen=True)
class Arrow:
    """A curve that ends in a head; its label is on it, or above its middle if ``above``."""

    points: list[Point]
    above: bool = False


def arrow_between(start: Rectangle, end: Rectangle, bend: float) -> Arrow:
    """An arrow from border to border, bent to its left by ``bend`` pixels."""
    (x, y), (u, v) = start.middle, end.middle
    length = math.hypot(u - x, v - y) or 1.0
    # A quadratic Bezier curve passes half as far from the straight line as its control point lies.
    control = ((x + u) / 2 + (v - y) / length * 2 * bend, (y + v) / 2 - (u - x) / length * 2 * bend)
    curve: list[Point] = []
    for step in range(STEPS + 1):
        share = step / STEPS
        a, b, c = (1 - share) ** 2, 2 * share * (1 - share), share**2
        curve.append((a * x + b * control[0] + c * u, a * y + b * control[1] + c * v))
    outside = [point for point in curve if not start.holds(point) and not end.holds(point)]
    return Arrow(outside if len(outside) > 1 else curve)


def loop_at(node: Rectangle, size: float) -> Arrow:
    """An arrow from a node over its top back to itself."""
    x, radius = node.middle[0], 0.9 * size
    angles = [math.pi * (0.85 + 1.3 * step / STEPS) for step in range(STEPS + 1)]
    points = [(x + radius * math.cos(a), node.top - 0.5 * radius + radius * math.sin(a)) for a in angles]
    kept = [point for point in points if not node.holds(point)]
    return Arrow([(kept[0][0], node.top), *kept, (kept[-1][0], node.top)], above=True)


def draw_arrow(brush: ImageDraw.ImageDraw, arrow: Arrow, color: str, scale: int, size: float) -> None:
    """Draw the curve and its head."""
    brush.line(arrow.points, color, round(1.5 * scale), joint="curve")
    tip, back = arrow.points[-1], arrow.points[max(0, len(arrow.points) - 5)]
    angle = math.atan2(tip[1] - back[1], tip[0] - back[0])
    length = 0.65 * size
    sides = [
        (tip[0] - length * math.cos(angle + turn), tip[1] - length * math.sin(angle + turn))
        for turn in (0.42, -0.42)
    ]
    brush.polygon([tip, *sides], fill=color)


def free_place(
    arrow: Arrow, extent: tuple[float, float], taken: Sequence[Rectangle], side: float
) -> Rectangle:
    """The place for a label that covers least of ``taken``, near the arrow's middle.

    Args:
        arrow: the labelled arrow.
        extent: width and height of the label in pixels.
        taken: rectangles that the label should not cover.
        side: side of the drawing in pixels; the label stays inside.
    """
    width, height = extent
    last = len(arrow.points) - 1
    # On the arrow, or beside it by shares of the label's height. A place further from the arrow must cover
    # less by 15 % of the label for each step away; of equal places the first is taken.
    places: list[tuple[float, Rectangle]] = []
    for step, away in enumerate((-0.55, -1.2, 0.0) if arrow.above else (0.0, 0.8, -0.8, 1.6, -1.6)):
        for share in ALONG:
            x, y = arrow.points[round(share * last)]
            x, y = min(max(x, width / 2), side - width / 2), y + away * height
            place = Rectangle.around(x, min(max(y, height / 2), side - height / 2), width, height)
            covered = sum(place.shared(other) for other in taken)
            places.append((covered + 0.15 * width * height * step, place))
    return min(places, key=lambda candidate: candidate[0])[1]
