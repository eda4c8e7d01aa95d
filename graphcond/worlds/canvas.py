"""A supersampled canvas: grounds, frames and outlined shapes, drawn in unit coordinates [-1, 1]."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from graphcond.worlds.subjects import Part, Point

Color = tuple[int, int, int]
SUPERSAMPLING = 4


def shifted(color: Color, by: np.ndarray) -> Color:
    """A colour made lighter or darker, channel by channel."""
    red, green, blue = (int(np.clip(c + s, 0, 255)) for c, s in zip(color, by, strict=True))
    return red, green, blue


class Canvas:
    """A square picture drawn `SUPERSAMPLING` times too large and reduced at the end.

    Args:
        resolution: side of the finished picture in pixels.
        color: the ground it starts with.
    """

    def __init__(self, resolution: int, color: Color) -> None:
        self.resolution = resolution
        self.side = resolution * SUPERSAMPLING
        self.image = Image.new("RGB", (self.side, self.side), color)
        self.brush = ImageDraw.Draw(self.image)

    def finish(self) -> Image.Image:
        """Return the picture at its final resolution."""
        return self.image.resize((self.resolution, self.resolution), Image.Resampling.BOX)

    def place(self, points: Sequence[Point]) -> list[Point]:
        """Map unit coordinates to pixels of the large canvas."""
        half = self.side / 2
        return [(half + half * x, half + half * y) for x, y in points]

    def fill(self, points: Sequence[Point], color: Color) -> None:
        """Fill a polygon."""
        self.brush.polygon(self.place(points), fill=color)

    def disc(self, center: Point, radius: float, color: Color) -> None:
        """Fill a circle."""
        (x0, y0), (x1, y1) = self.place(
            [(center[0] - radius, center[1] - radius), (center[0] + radius, center[1] + radius)]
        )
        self.brush.ellipse((x0, y0, x1, y1), fill=color)

    def stroke(self, points: Sequence[Point], color: Color, width: float) -> None:
        """Draw a closed line with round corners, `width` in unit coordinates."""
        placed = self.place(points)
        pixels = max(1, round(width * self.side / 2))
        self.brush.line([*placed, placed[0], placed[1]], fill=color, width=pixels, joint="curve")

    def shape(self, parts: Sequence[Part], colors: dict[str, Color], width: float) -> None:
        """Draw parts with one outline around them all, then each part with a thinner seam of its own."""
        for part in parts:
            self.stroke(part.points, colors["line"], 2 * width)
        for part in parts:
            self.fill(part.points, colors[part.role])

    def rays(self, colors: Sequence[Color], count: int, center: Point, phase: float) -> None:
        """Fill the ground with `count` wedges around a centre."""
        step = 2 * math.pi / count
        for index in range(count):
            start = phase + index * step
            rim = [(center[0] + 4 * math.cos(a), center[1] + 4 * math.sin(a)) for a in (start, start + step)]
            self.fill([center, *rim], colors[index % len(colors)])

    def glow(self, colors: Sequence[Color], center: Point, radius: float) -> None:
        """Draw discs of shrinking radius, outermost colour first."""
        for index, color in enumerate(colors):
            self.disc(center, radius * (1 - index / len(colors)), color)

    def waves(self, colors: Sequence[Color], phase: float, height: float, upright: bool) -> None:
        """Fill the ground with wavy bands, one a colour, across or upright."""
        steps = [-1.1 + 2.2 * index / 40 for index in range(41)]
        for band, color in enumerate(colors):
            level = -1 + 2 * band / len(colors) if band else -1.5
            edge = [(x, level + height * math.sin(math.pi * 1.5 * x + phase + band)) for x in steps]
            points = [*edge, (1.2, 1.2), (-1.2, 1.2)]
            self.fill([(y, x) for x, y in points] if upright else points, color)

    def checks(self, colors: Sequence[Color], count: int, shift: int) -> None:
        """Fill the ground with `count` x `count` squares."""
        side = 2 / count
        for row in range(count):
            for column in range(count):
                x, y = -1 + column * side, -1 + row * side
                corners = [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]
                self.fill(corners, colors[(row + column + shift) % len(colors)])

    def frame(self, color: Color, width: float) -> None:
        """Draw a straight border inside the edge."""
        for x, y, u, v in ((-1, -1, 1, -1 + width), (-1, 1 - width, 1, 1)):
            self.fill([(x, y), (u, y), (u, v), (x, v)], color)
            self.fill([(y, x), (y, u), (v, u), (v, x)], color)

    def cover(self, opening: Sequence[Point], color: Color) -> None:
        """Paint everything outside a polygon."""
        mask = Image.new("L", self.image.size, 255)
        ImageDraw.Draw(mask).polygon(self.place(opening), fill=0)
        self.image.paste(color, (0, 0), mask)
