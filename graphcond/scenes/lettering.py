"""Text on drawings: fonts, and words cut to fit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from matplotlib import get_data_path
from PIL import ImageFont


@lru_cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The font of all drawings, ``size`` pixels high."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / name), max(4, size))


def cut(line: str, face: ImageFont.FreeTypeFont, width: float) -> str:
    """``line``, shortened to ``width`` pixels with an ellipsis where it is longer."""
    if face.getlength(line) <= width:
        return line
    while line and face.getlength(f"{line}…") > width:
        line = line[:-1]
    return f"{line.rstrip()}…"


def wrapped(text: str, face: ImageFont.FreeTypeFont, width: float, most: int) -> list[str]:
    """``text`` in at most ``most`` lines of ``width`` pixels, broken at spaces and after hyphens."""
    lines: list[str] = []
    for part in re.findall(r"[^\s-]*-+|[^\s-]+|\s+", text):
        if lines and face.getlength(lines[-1] + part.rstrip()) <= width:
            lines[-1] += part
        elif part.strip():
            lines.append(part)
    if len(lines) > most:
        lines = [*lines[: most - 1], "".join(lines[most - 1 :])]
    return [cut(line.rstrip(), face, width) for line in lines]


def extent(lines: Sequence[str], face: ImageFont.FreeTypeFont) -> tuple[float, float]:
    """Width and height of lines below each other, in pixels."""
    return max((face.getlength(line) for line in lines), default=0.0), len(lines) * line_height(face)


def line_height(face: ImageFont.FreeTypeFont) -> float:
    """From one line to the next, in pixels."""
    return face.size * 1.25
