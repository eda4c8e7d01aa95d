"""Draw a scene graph whose objects have colours and boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from graphcond.errors import InputError, at
from graphcond.scene_graph import Box, SceneGraph, area
from graphcond.worlds.canvas import Canvas, Color, shifted
from graphcond.worlds.shapes import COLORS, SHAPES
from graphcond.worlds.subjects import box

GROUNDS: tuple[Color, ...] = (
    (206, 214, 222),
    (222, 212, 196),
    (204, 220, 206),
    (220, 206, 216),
    (200, 216, 224),
    (216, 216, 208),
)
"""Light and pale colours."""

OUTLINE = 0.022
"""Width of a shape's line as a share of the picture's side; the line lies within the box."""


def draw_scene(graph: SceneGraph, seed: int | Sequence[int], resolution: int = 64) -> Image.Image:
    """Draw the objects of ``graph`` in their colours at their boxes, large ones first.

    Args:
        graph: every object is one of `SHAPES` with a box and one of `COLORS` among its attributes.
        seed: determines the ground and the shades, not the positions.
        resolution: side in pixels.

    Raises:
        InputError: an object has no box, an unknown shape or no known colour.
    """
    rng = np.random.default_rng(seed)
    ground = GROUNDS[rng.integers(len(GROUNDS))]
    canvas = Canvas(resolution, ground)
    # A plain ground, a soft glow or soft bands, a little lighter or darker at random.
    tone = rng.integers(-6, 7, 3)
    tones = [shifted(ground, tone + 4 * step) for step in range(3)]
    canvas.fill(box(-1, -1, 1, 1), tones[0])
    kind = rng.integers(3)
    if kind == 1:
        x, y = rng.uniform(-0.8, 0.8, 2)
        canvas.glow(tones, (float(x), float(y)), float(rng.uniform(1.0, 1.6)))
    elif kind == 2:
        canvas.fill(box(-1, float(rng.uniform(-0.5, 0.7)), 1, 1), tones[1])
    shades = rng.integers(-10, 11, (len(graph), 3))
    placed: list[tuple[Box, Color]] = []
    for position, shape in enumerate(graph.objects):
        with at(f"object {position}"):
            found = graph.box_of(position)
            if found is None:
                raise InputError(
                    "the object has no box", remedy="give every object that is to be drawn a box"
                )
            if shape not in SHAPES:
                raise InputError(f"'{shape}' cannot be drawn", remedy=f"use {', '.join(SHAPES)}")
            known = [COLORS[word] for word in graph.attributes_of(position) if word in COLORS]
            if not known:
                raise InputError("the object has no colour", remedy=f"use {', '.join(COLORS)}")
            placed.append((found, known[0]))
    # Large objects first, so that they do not hide small ones.
    for position in sorted(range(len(graph)), key=lambda n: -area(placed[n][0])):
        (x0, y0, x1, y1), color = placed[position]
        shape, shade = graph.objects[position], shifted(color, shades[position])
        x, y = x0 + x1 - 1, y0 + y1 - 1
        width, height = x1 - x0 - OUTLINE, y1 - y0 - OUTLINE
        points = [(x + width * u, y + height * v) for u, v in SHAPES[shape]()]
        canvas.fill(points, shade)
        # The line is a darker tone; around black a lighter one.
        red, green, blue = (channel * 11 // 20 for channel in shade)
        line = (104, 104, 112) if max(shade) < 60 else (red, green, blue)
        # A ring has two outlines: its points go round the rim and then round the hole.
        turns = [points] if shape != "ring" else [points[: len(points) // 2], points[len(points) // 2 :]]
        for turn in turns:
            canvas.stroke(turn, line, 2 * OUTLINE)
    return canvas.finish()
