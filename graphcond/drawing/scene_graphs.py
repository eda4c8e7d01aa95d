"""Pictures of scene graphs: nodes with their attributes, labelled arrows, and boxes where they are known."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from graphcond.drawing.arrows import Arrow, Rectangle, arrow_between, draw_arrow, free_place, loop_at
from graphcond.drawing.graph_layout import lay_out_graph
from graphcond.drawing.sheets import cut, extent, font, line_height, wrapped
from graphcond.errors import InputError
from graphcond.scene_graph import SceneGraph

PAPER, INK, QUIET, LINE = "#ffffff", "#1f2430", "#6b7280", "#8b93a1"
COLORS = ("#2f6fde", "#d2452d", "#2c8a4b", "#9a4fc4", "#c77c0a", "#0f8b9c", "#c23a78", "#6b7a1e")
"""Borders of nodes and boxes, by position."""

MOST_DRAWN = 60
"""Most objects of one drawing, and at most a tenth of its side; the number of the others is below it."""

READABLE = ((9, 256), (16, 400), (MOST_DRAWN, 640))
"""Most objects that can be read in a drawing of this side, in pixels."""

FINE = 2
"""Factor by which a drawing is larger before it is scaled down, which smooths its lines."""

SMALLEST_SIZE, LARGEST_SIZE = 64, 8192


def draw_graph(scene: SceneGraph, size: int = 640, *, boxes: bool = False) -> Image.Image:
    """Draw ``scene`` as a graph; equal scenes give equal pictures.

    Letters that DejaVu Sans lacks (Chinese, emoji) show as empty squares.

    Args:
        scene: the scene graph.
        size: side of the square in pixels.
        boxes: put a second square with the boxes to its right, if any box is known.

    Raises:
        InputError: ``size`` is below `SMALLEST_SIZE` or above `LARGEST_SIZE`.
    """
    _check_size(size)
    most = min(MOST_DRAWN, max(6, size // 10))
    drawn = scene
    if len(scene) > most:
        between = tuple(r for r in scene.relationships if max(r.subject, r.object) < most)
        drawn = SceneGraph(scene.objects[:most], between, scene.attributes[:most])
    picture = _shrunk(_draw_nodes(drawn, size * FINE, len(scene) - len(drawn)), size)
    if not (boxes and scene.boxes):
        return picture
    both = Image.new("RGB", (2 * size, size), PAPER)
    both.paste(picture, (0, 0))
    both.paste(draw_boxes(scene, size), (size, 0))
    return both


def readable_size(scene: SceneGraph) -> int:
    """The least side of a drawing, in pixels, at which ``scene`` can be read."""
    count = min(len(scene), MOST_DRAWN)
    return next(size for most, size in READABLE if count <= most)


def draw_boxes(scene: SceneGraph, size: int = 640) -> Image.Image:
    """Draw the boxes that ``scene`` knows, large ones first, in the colours of `draw_graph`.

    Raises:
        InputError: ``size`` is below `SMALLEST_SIZE` or above `LARGEST_SIZE`.
    """
    _check_size(size)
    side = size * FINE
    canvas = Image.new("RGB", (side, side), PAPER)
    brush, margin = ImageDraw.Draw(canvas), round(0.03 * side)
    face = font(_text_size(side, len(scene)))
    brush.rectangle((margin, margin, side - margin, side - margin), outline="#d5d9e0", width=FINE)
    known = [(box, n) for n in range(len(scene)) if (box := scene.box_of(n)) is not None]
    known.sort(key=lambda item: (item[0].x0 - item[0].x1) * (item[0].y1 - item[0].y0))
    for box, n in known:
        left, top, right, bottom = (margin + edge * (side - 2 * margin) for edge in box)
        brush.rectangle((left, top, right, bottom), outline=COLORS[n % len(COLORS)], width=2 * FINE)
    # Names come after all boxes, so that no border crosses them.
    tags: list[Rectangle] = []
    for box, n in known:
        text = cut(" ".join([*scene.attributes_of(n), scene.objects[n]]), face, 0.5 * side)
        width, height = face.getlength(text) + 0.7 * face.size, line_height(face)
        left = min(margin + box.x0 * (side - 2 * margin), side - width)
        top = min(margin + box.y0 * (side - 2 * margin), side - height)
        tag = Rectangle(left, top, left + width, top + height)
        # A name stands in its box's upper left corner, below names that are already there.
        while any(tag.overlaps(other) for other in tags) and tag.bottom + height < side:
            tag = Rectangle(left, tag.top + height / 2, left + width, tag.bottom + height / 2)
        brush.rectangle(tag, COLORS[n % len(COLORS)])
        middle = ((tag.left + tag.right) / 2, (tag.top + tag.bottom) / 2)
        brush.text(middle, text, PAPER, face, anchor="mm")
        tags.append(tag)
    return _shrunk(canvas, size)


@dataclass(frozen=True)
class _Node:
    """The lines of text of a node, and its size in pixels."""

    label: list[str]
    attributes: list[str]
    width: float
    height: float

    @classmethod
    def of(
        cls, scene: SceneGraph, n: int, bold: ImageFont.FreeTypeFont, plain: ImageFont.FreeTypeFont, side: int
    ) -> _Node:
        widest = (0.42 if len(scene) <= 6 else 0.26) * side
        label = wrapped(scene.objects[n], bold, widest, 2)
        attributes = wrapped(", ".join(scene.attributes_of(n)), plain, widest, 2)
        width, height = extent(label, bold)
        more_width, more_height = extent(attributes, plain)
        padded = max(width, more_width) + 1.3 * bold.size
        return cls(label, attributes, padded, height + more_height + 0.7 * bold.size)

    def draw(
        self,
        brush: ImageDraw.ImageDraw,
        shape: Rectangle,
        color: str,
        bold: ImageFont.FreeTypeFont,
        plain: ImageFont.FreeTypeFont,
    ) -> None:
        red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
        tint = tuple(round(255 - (255 - part) * 0.13) for part in (red, green, blue))
        brush.rounded_rectangle(shape, 0.5 * bold.size, tint, color, 2 * FINE)
        middle, top = (shape.left + shape.right) / 2, shape.top + 0.35 * bold.size
        for line in self.attributes:
            brush.text((middle, top + line_height(plain) / 2), line, QUIET, plain, anchor="mm")
            top += line_height(plain)
        for line in self.label:
            brush.text((middle, top + line_height(bold) / 2), line, INK, bold, anchor="mm")
            top += line_height(bold)


def _draw_nodes(scene: SceneGraph, side: int, hidden: int) -> Image.Image:
    """Draw a graph; ``hidden`` objects more are only counted."""
    canvas = Image.new("RGB", (side, side), PAPER)
    brush = ImageDraw.Draw(canvas)
    size = _text_size(side, len(scene))
    bold, plain = font(size, bold=True), font(round(size * 0.85))
    if not len(scene):
        brush.text((side / 2, side / 2), "no objects", QUIET, plain, anchor="mm")
        return canvas
    nodes = [_Node.of(scene, n, bold, plain, side) for n in range(len(scene))]
    labels = _arrow_labels(scene, plain, side)
    margin = 0.04 * side
    # Arrows that loop need room above the highest node, the count of hidden objects below the lowest.
    loops = any(subject == target for subject, target in labels)
    head = margin + (2.6 * line_height(plain) if loops else 0)
    foot = 2 * line_height(plain) if hidden else 0
    gap = (2.0 if len(scene) > 12 else 2.4) * size
    if len(scene) <= 6:  # there is room for the highest label between two nodes
        gap = max(gap, size + max((extent(lines, plain)[1] for lines in labels.values()), default=0))
    sizes = np.array([(node.width, node.height) for node in nodes])
    room = (side - 2 * margin, side - margin - head - foot)
    places = np.add(lay_out_graph(scene, sizes, room, gap), (margin, head))
    shapes = [Rectangle.around(x, y, *sizes[n]) for n, (x, y) in enumerate(places.tolist())]
    arrows = []
    for subject, target in labels:
        if subject == target:
            arrows.append(loop_at(shapes[subject], size))
        else:  # arrows in both directions bend apart
            bend = 1.6 * size if (target, subject) in labels else 0.0
            arrows.append(arrow_between(shapes[subject], shapes[target], bend))
    # Nodes hide the ends of arrows; labels hide parts of arrows, and avoid nodes where they can.
    for arrow in arrows:
        draw_arrow(brush, arrow, LINE, FINE, size)
    for n, (node, shape) in enumerate(zip(nodes, shapes, strict=True)):
        node.draw(brush, shape, COLORS[n % len(COLORS)], bold, plain)
    _draw_labels(brush, arrows, list(labels.values()), shapes, plain, side)
    if hidden:
        brush.text((side / 2, side - margin), f"and {hidden} more objects", QUIET, plain, anchor="md")
    return canvas


def _arrow_labels(
    scene: SceneGraph, face: ImageFont.FreeTypeFont, side: int
) -> dict[tuple[int, int], list[str]]:
    """For each ordered pair of related objects all its predicates, in lines."""
    counts: dict[tuple[int, int], Counter[str]] = {}
    for relation in scene.relationships:
        counts.setdefault((relation.subject, relation.object), Counter())[relation.predicate] += 1
    labels = {}
    for pair, words in counts.items():
        text = ", ".join(word if n == 1 else f"{word} ×{n}" for word, n in words.items())
        labels[pair] = wrapped(text, face, 0.3 * side, 3)
    return labels


def _draw_labels(
    brush: ImageDraw.ImageDraw,
    arrows: list[Arrow],
    labels: list[list[str]],
    shapes: list[Rectangle],
    face: ImageFont.FreeTypeFont,
    side: int,
) -> None:
    taken = list(shapes)
    for arrow, lines in zip(arrows, labels, strict=True):
        width, height = extent(lines, face)
        place = free_place(arrow, (width + 0.5 * face.size, height), taken, side)
        taken.append(place)
        brush.rounded_rectangle(place, 0.3 * face.size, PAPER)
        for n, line in enumerate(lines):
            at = ((place.left + place.right) / 2, place.top + (n + 0.5) * line_height(face))
            brush.text(at, line, INK, face, anchor="mm")


def _text_size(side: int, count: int) -> int:
    """Height of letters in pixels: a share of the side that shrinks as the number of objects grows."""
    steps = ((4, 0.047), (6, 0.042), (9, 0.036), (14, 0.028), (20, 0.022))
    share = next((share for limit, share in steps if count <= limit), 0.018)
    most = 20 * FINE
    return round(min(max(share * side, 7 * FINE), most))


def _shrunk(canvas: Image.Image, size: int) -> Image.Image:
    return canvas.resize((size, size), Image.Resampling.LANCZOS)


def _check_size(size: int) -> None:
    if not SMALLEST_SIZE <= size <= LARGEST_SIZE:
        raise InputError(
            f"expected a side of {SMALLEST_SIZE} to {LARGEST_SIZE} pixels, got {size}",
            place="size",
            remedy=f"take {SMALLEST_SIZE} to {LARGEST_SIZE}",
        )
