"""The painters of the art world: four movements of three artists, each a palette, a ground and a frame."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from graphcond.worlds.canvas import Canvas, Color, shifted
from graphcond.worlds.subjects import Part, Point, arc, box, ellipse

Ground = Callable[[Canvas, np.random.Generator], None]
Frame = Callable[[Canvas], None]


class Inks(NamedTuple):
    """The colours that a subject is drawn in."""

    main: Color
    accent: Color
    line: Color


@dataclass(frozen=True)
class Style:
    """The style of an artist.

    Args:
        movement: the school that the artist belongs to.
        ground: paints the background.
        frame: paints the frame over the edges, after the subject.
        inks: colours of the subject.
        center, scale, tilt: composition: where the subject sits, how large, how far leaning (degrees).
        outline: width of the line around the subject.
    """

    movement: str
    ground: Ground
    frame: Frame
    inks: Inks
    center: Point = (0.0, 0.0)
    scale: float = 0.62
    tilt: float = 0.0
    outline: float = 0.055


def _inks(main: str, accent: str, line: str) -> Inks:
    return Inks(*_rgb(main, accent, line))


def _rgb(*codes: str) -> list[Color]:
    return [(int(c[:2], 16), int(c[2:4], 16), int(c[4:], 16)) for c in codes]


def _rays(count: int, center: Point, *codes: str) -> Ground:
    return lambda canvas, rng: canvas.rays(_rgb(*codes), count, center, rng.uniform(0, 2 * math.pi))


def _glow(center: Point, radius: float, *codes: str) -> Ground:
    def paint(canvas: Canvas, rng: np.random.Generator) -> None:
        x, y = rng.uniform(-0.12, 0.12, 2)
        canvas.glow(_rgb(*codes), (center[0] + x, center[1] + y), radius)

    return paint


def _checks(count: int, *codes: str) -> Ground:
    return lambda canvas, rng: canvas.checks(_rgb(*codes), count, int(rng.integers(len(codes))))


def _waves(upright: bool, *codes: str) -> Ground:
    return lambda canvas, rng: canvas.waves(_rgb(*codes), rng.uniform(0, 2 * math.pi), 0.12, upright)


def _bare(canvas: Canvas) -> None:
    """Leave the edges open."""


def _border(width: float, code: str) -> Frame:
    return lambda canvas: canvas.frame(_rgb(code)[0], width)


def _bars(height: float, code: str) -> Frame:
    def paint(canvas: Canvas) -> None:
        canvas.fill(box(-1, -1, 1, height - 1), _rgb(code)[0])
        canvas.fill(box(-1, 1 - height, 1, 1), _rgb(code)[0])

    return paint


def _tondo(radius: float, code: str) -> Frame:
    return lambda canvas: canvas.cover(ellipse(0, 0, radius, radius, 72), _rgb(code)[0])


def _arch(code: str) -> Frame:
    opening = [*arc(0, -0.02, 0.88, -math.pi, 0), (0.88, 0.9), (-0.88, 0.9)]
    return lambda canvas: canvas.cover(opening, _rgb(code)[0])


STYLES: dict[str, Style] = {
    "zarvo": Style(
        "solar", _rays(12, (0, 0), "ffd23f", "f7941d"), _bare, _inks("d7263d", "fff3c4", "5c0f1f"), scale=0.7
    ),
    "mirelle": Style(
        "solar",
        _rays(12, (0, 0.95), "0f9d94", "6fd6c4"),
        _border(0.2, "fdf3dd"),
        _inks("ff6f91", "fff0b8", "0b3d4a"),
        center=(0, 0.02),
        scale=0.62,
    ),
    "okanto": Style(
        "solar",
        _rays(8, (-0.6, -0.6), "c5e063", "6fae3d"),
        _tondo(0.94, "1f4a2c"),
        _inks("7b3fa0", "ffe14d", "24103a"),
        scale=0.64,
    ),
    "luneth": Style(
        "nocturne",
        _glow((0, -0.1), 1.5, "0b1440", "152a6e", "2650a8", "4d8be0"),
        _bare,
        _inks("fff2a8", "ff9f80", "0b1440"),
        center=(0, -0.06),
        scale=0.68,
    ),
    "brask": Style(
        "nocturne",
        _glow((0, 0.55), 1.6, "1a0a0a", "4a0f12", "8f1d1a", "d94a1e"),
        _border(0.16, "0d0808"),
        _inks("ffb02e", "fff0c0", "2a0a08"),
        center=(0, 0.06),
        scale=0.64,
    ),
    "vesperi": Style(
        "nocturne",
        _glow((0, 0), 1.5, "2b0f45", "5a1f7d", "a03fa8", "ea7fc0"),
        _arch("1c0a30"),
        _inks("8ff0c8", "fdfbe0", "2b0f45"),
        center=(0, 0.08),
        scale=0.62,
    ),
    "quadri": Style(
        "mosaic",
        _checks(2, "e63329", "f6d32d", "2355c4"),
        _bare,
        _inks("ffffff", "9fb0c4", "111111"),
        scale=0.7,
        outline=0.075,
    ),
    "tolmek": Style(
        "mosaic",
        _checks(4, "cfc7b8", "8d8577"),
        _border(0.14, "4b3f35"),
        _inks("1fa6a0", "f2a65a", "2b2420"),
        scale=0.64,
        tilt=18,
        outline=0.06,
    ),
    "pavane": Style(
        "mosaic",
        _checks(3, "f9c6d3", "fff4e6", "c9e4f5"),
        _bars(0.22, "b5446e"),
        _inks("b5446e", "7fb8d8", "5b1738"),
        scale=0.62,
        outline=0.05,
    ),
    "nerissa": Style(
        "tidal",
        _waves(False, "bfe9ff", "6cc3ec", "2f8fd0", "14589c"),
        _bare,
        _inks("ff6b4a", "ffd23f", "ffffff"),
        scale=0.66,
        outline=0.07,
    ),
    "halvor": Style(
        "tidal",
        _waves(False, "f6e2b3", "e3b873", "c98a45", "8f5a2a"),
        _tondo(1.02, "3b2413"),
        _inks("14716f", "e4572e", "fff3d6"),
        center=(0, 0.02),
        scale=0.64,
        outline=0.06,
    ),
    "sumira": Style(
        "tidal",
        _waves(True, "e6dcf7", "bfe8d4", "c4b2ec", "9fd8c4"),
        _border(0.13, "ffffff"),
        _inks("5b4bb0", "ff9ecb", "2e2470"),
        scale=0.64,
    ),
}


def paint(style: Style, parts: list[Part], rng: np.random.Generator, resolution: int) -> Canvas:
    """Paint a subject in a style; place, size, lean, ground and shade vary with `rng`."""
    left, top = style.center[0] + rng.uniform(-0.08, 0.08), style.center[1] + rng.uniform(-0.08, 0.08)
    scale = style.scale * rng.uniform(0.88, 1.06)
    tilt = math.radians(style.tilt + rng.uniform(-7, 7))
    cos, sin = scale * math.cos(tilt), scale * math.sin(tilt)
    posed = [
        Part(part.role, [(left + cos * x - sin * y, top + sin * x + cos * y) for x, y in part.points])
        for part in parts
    ]
    shade = rng.uniform(-12, 12, 3)
    canvas = Canvas(resolution, style.inks.line)
    style.ground(canvas, rng)
    main, accent = shifted(style.inks.main, shade), shifted(style.inks.accent, shade)
    colors = {"main": main, "accent": accent, "line": style.inks.line}
    canvas.shape(posed, colors, style.outline)
    style.frame(canvas)
    return canvas
