"""The things that the art world paints: bold silhouettes in the unit square, y pointing down."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True)
class Part:
    """A filled polygon of a subject.

    Args:
        role: which colour of the palette fills it: "main", "accent" or "line".
        points: its corners in [-1, 1].
    """

    role: str
    points: Sequence[Point]


def ellipse(x: float, y: float, rx: float, ry: float, count: int = 36) -> list[Point]:
    """Return the polygon of an ellipse around (x, y) with radii (rx, ry)."""
    angles = [2 * math.pi * step / count for step in range(count)]
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


def arc(x: float, y: float, radius: float, start: float, stop: float, count: int = 30) -> list[Point]:
    """Return points on a circle from angle `start` to `stop` (radians)."""
    angles = [start + (stop - start) * step / (count - 1) for step in range(count)]
    return [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles]


def box(left: float, top: float, right: float, bottom: float) -> list[Point]:
    """Return the corners of an upright rectangle."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def star_points(inner: float) -> list[Point]:
    """The corners of a star of five points; ``inner`` is the radius between two of them."""
    angles = [math.pi * step / 5 - math.pi / 2 for step in range(10)]
    return [(r * math.cos(a), r * math.sin(a)) for r, a in zip([1.0, inner] * 5, angles, strict=True)]


def star() -> list[Part]:
    """Five fat points."""
    return [Part("main", [(x, 0.05 + y) for x, y in star_points(0.48)])]


def house() -> list[Part]:
    """A body, a roof and a door."""
    roof = [(-1.0, -0.1), (0.0, -0.95), (1.0, -0.1)]
    return [
        Part("main", box(-0.75, -0.1, 0.75, 0.85)),
        Part("accent", roof),
        Part("line", box(-0.22, 0.28, 0.22, 0.85)),
    ]


def tree() -> list[Part]:
    """A trunk under a crown of three discs."""
    discs = [ellipse(-0.42, -0.1, 0.48, 0.46), ellipse(0.42, -0.1, 0.48, 0.46), ellipse(0, -0.5, 0.52, 0.5)]
    return [
        Part("accent", box(-0.2, 0.1, 0.2, 0.95)),
        *(Part("main", disc) for disc in discs),
    ]


def boat() -> list[Part]:
    """A hull under two sails."""
    return [
        Part("main", [(-1.0, 0.35), (1.0, 0.35), (0.6, 0.9), (-0.6, 0.9)]),
        Part("accent", [(0.06, -0.95), (0.06, 0.22), (0.85, 0.22)]),
        Part("accent", [(-0.1, -0.6), (-0.1, 0.22), (-0.75, 0.22)]),
    ]


def fish() -> list[Part]:
    """A body that looks to the left, a tail and an eye."""
    return [
        Part("accent", [(0.4, 0.0), (1.05, -0.6), (1.05, 0.6)]),
        Part("main", ellipse(-0.2, 0, 0.8, 0.56)),
        Part("line", ellipse(-0.55, -0.1, 0.13, 0.13)),
    ]


def flower() -> list[Part]:
    """Six petals around a centre."""
    angles = [math.pi * step / 3 + math.pi / 6 for step in range(6)]
    petals = [ellipse(0.58 * math.cos(a), 0.58 * math.sin(a), 0.4, 0.4) for a in angles]
    return [*(Part("main", petal) for petal in petals), Part("accent", ellipse(0, 0, 0.4, 0.4))]


def moon() -> list[Part]:
    """A crescent open to the right."""
    outer = arc(0.1, 0, 0.98, math.radians(52), math.radians(308))
    tip = outer[-1]
    reach = math.hypot(tip[0] - 0.42, tip[1])
    angle = math.atan2(-tip[1], tip[0] - 0.42)
    return [Part("main", outer + arc(0.42, 0, reach, 2 * math.pi - angle, angle))]


def mountain() -> list[Part]:
    """A large and a small peak, the large one capped."""
    return [
        Part("main", [(-0.1, 0.8), (0.55, -0.25), (1.1, 0.8)]),
        Part("main", [(-1.1, 0.8), (-0.25, -0.9), (0.6, 0.8)]),
        Part("accent", [(-0.58, -0.24), (-0.25, -0.9), (0.08, -0.24), (-0.25, -0.02)]),
    ]


def cat() -> list[Part]:
    """A face with two ears, eyes and a nose."""
    return [
        Part("main", [(-0.88, -0.95), (-0.15, -0.45), (-0.85, 0.1)]),
        Part("main", [(0.88, -0.95), (0.15, -0.45), (0.85, 0.1)]),
        Part("main", ellipse(0, 0.18, 0.92, 0.72)),
        Part("line", ellipse(-0.38, 0.08, 0.14, 0.2)),
        Part("line", ellipse(0.38, 0.08, 0.14, 0.2)),
        Part("accent", [(-0.2, 0.42), (0.2, 0.42), (0.0, 0.64)]),
    ]


def cup() -> list[Part]:
    """A mug with a band and a handle."""
    ring = arc(0.5, 0.05, 0.52, -math.pi / 2, math.pi / 2) + arc(0.5, 0.05, 0.26, math.pi / 2, -math.pi / 2)
    return [
        Part("main", ring),
        Part("main", [(-0.9, -0.75), (0.6, -0.75), (0.5, 0.85), (-0.8, 0.85)]),
        Part("accent", [(-0.88, -0.3), (0.575, -0.3), (0.54, 0.25), (-0.85, 0.25)]),
    ]


SUBJECTS: dict[str, Callable[[], list[Part]]] = {
    "star": star,
    "house": house,
    "tree": tree,
    "boat": boat,
    "fish": fish,
    "flower": flower,
    "moon": moon,
    "mountain": mountain,
    "cat": cat,
    "cup": cup,
}
