"""COCO's segmentations as masks of an object within its own box.

A segmentation is a list of polygons ``[x, y, x, y, ...]`` in pixels, or run lengths: ``{"size": [height,
width], "counts": [...] | "..."}``. Run lengths go column by column and begin with the pixels outside.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageDraw

from graphcond.errors import InputError, at
from graphcond.scene_graph import MASK_SIDE, Box

MOST_PIXELS = 100_000_000
"""Most pixels of a mask in run lengths."""

FINE = 8
"""Factor by which polygons are drawn finer; a cell belongs to the mask if half of its pixels do."""


def mask_in_box(segmentation: Any, box: Box, size: tuple[float, float]) -> Bool[np.ndarray, "16 16"]:
    """The mask of an object within its box; all True without a segmentation.

    Args:
        segmentation: COCO's polygons or run lengths, or None.
        box: the object's box, as shares of the picture.
        size: the picture's width and height in pixels.

    Raises:
        InputError: ``segmentation`` is neither, or is broken.
    """
    if not segmentation:
        return np.ones((MASK_SIDE, MASK_SIDE), np.bool_)
    if isinstance(segmentation, list) and len(segmentation) == 1 and isinstance(segmentation[0], dict):
        segmentation = segmentation[0]  # run lengths in a list, as COCO-Stuff 10K has them
    if isinstance(segmentation, list):
        return _of_polygons(segmentation, box, size)
    with at("segmentation"):
        if not isinstance(segmentation, dict):
            problem = f"expected polygons or run lengths, got {type(segmentation).__name__}"
            raise InputError(problem, remedy="give one of them")
        mask = decode_runs(segmentation)
    height, width = mask.shape
    # Each cell takes the pixel at its middle.
    steps = (np.arange(MASK_SIDE) + 0.5) / MASK_SIDE
    rows = np.clip((box.y0 + steps * (box.y1 - box.y0)) * height, 0, height - 1).astype(np.int64)
    columns = np.clip((box.x0 + steps * (box.x1 - box.x0)) * width, 0, width - 1).astype(np.int64)
    return np.asarray(mask[np.ix_(rows, columns)])


def _of_polygons(polygons: list[Any], box: Box, size: tuple[float, float]) -> Bool[np.ndarray, "16 16"]:
    side = MASK_SIDE * FINE
    canvas = Image.new("L", (side, side))
    brush = ImageDraw.Draw(canvas)
    for number, polygon in enumerate(polygons):
        try:
            flat = np.asarray(polygon, np.float64)
        except (ValueError, TypeError, OverflowError):
            flat = np.empty(0)
        if flat.ndim != 1 or flat.size < 6 or flat.size % 2 or not np.isfinite(flat).all():
            place, remedy = f"segmentation[{number}]", "give x, y of three or more corners"
            raise InputError("expected a polygon", place=place, remedy=remedy)
        # The limit keeps numbers within what the drawing library takes.
        points = np.clip(flat, -1e6, 1e6).reshape(-1, 2) / np.array(size)
        inside = (points - (box.x0, box.y0)) / (box.x1 - box.x0, box.y1 - box.y0) * side
        brush.polygon([tuple(point) for point in inside.tolist()], fill=255)
    shares = np.asarray(canvas).reshape(MASK_SIDE, FINE, MASK_SIDE, FINE).mean(axis=(1, 3))
    return np.asarray(shares >= 255 / 2)


def decode_runs(given: dict[str, Any]) -> Bool[np.ndarray, "height width"]:
    """Decode COCO's run lengths, in numbers or as its compressed text, to a mask of the whole picture.

    Raises:
        InputError: size or counts are missing, or do not fit together.
    """
    size, counts = given.get("size"), given.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(_whole(side) and side > 0 for side in size):
        raise InputError(f"expected a size, got {size!r:.40}", remedy="write [height, width]")
    height, width = size
    if height * width > MOST_PIXELS:
        problem = f"expected at most {MOST_PIXELS} pixels, got {height * width}"
        raise InputError(problem, remedy="scale it down")
    runs = _decompress(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(_whole(run) and run >= 0 for run in runs):
        raise InputError("expected run lengths as counts", remedy="write them in COCO's form")
    if sum(runs) != height * width:
        problem = f"counts cover {sum(runs)} of {height * width} pixels"
        raise InputError(problem, remedy="correct the size")
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(width, height).T


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value < 2**40


def _decompress(text: str) -> list[int]:
    """The run lengths in COCO's text.

    A character holds 5 bits of a number, lowest first; its sixth bit is set if more follow. From the fourth
    run on, the number is the difference to the run two before it, and may be negative.
    """
    runs: list[int] = []
    value = shift = 0
    for sign in text:
        code = ord(sign) - 48
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            continue
        if code & 0x10:  # the sign, in two's complement
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    return runs
