"""Labelled grids of pictures: what the demo, training previews and evaluations show to people."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TypeAlias

from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont, ImageOps

from graphcond.errors import InputError


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


PAPER, INK, QUIET, EMPTY = "#ffffff", "#1f2430", "#6b7280", "#f1f2f4"
GOOD, BAD = "#1f8a4c", "#c8364a"

MARGIN, GAP, GROUP_GAP, LABEL_GAP = 28, 14, 34, 16
TITLE_SIZE, TEXT_SIZE, SMALL_SIZE = 21, 14, 12
LABEL_WIDTH = 180
SUBTITLE_GAP = 4
LINE_SPACING = 1.35


@dataclass(frozen=True)
class Cell:
    """One picture of a sheet.

    Args:
        picture: None leaves an empty place.
        caption: a short line below it.
        good: True marks it with a green tick, False with a red cross.
    """

    picture: Image.Image | None
    caption: str | None = None
    good: bool | None = None


Row: TypeAlias = Sequence["Image.Image | Cell | None"]
Box: TypeAlias = tuple[int, int, int, int]


def contact_sheet(
    rows: Sequence[Row],
    *,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    title: str | None = None,
    subtitle: str | None = None,
    cell: int = 128,
    group_starts: Collection[int] = (),
) -> Image.Image:
    """Lay pictures out in a labelled grid on white.

    Args:
        rows: pictures, row by row; None leaves an empty place, a `Cell` adds a caption or a mark.
        row_labels: one for each row, or none.
        column_labels: one for each column, or none.
        title: a headline.
        subtitle: what to look for, in smaller grey letters.
        cell: side of a picture's place in pixels; pictures keep their proportions.
        group_starts: columns before which the gap is wider.

    Raises:
        InputError: no pictures, rows of different lengths, or labels that do not match them.
    """
    cells = [[item if isinstance(item, Cell) else Cell(item) for item in row] for row in rows]
    _check(cells, row_labels, column_labels)
    layout = _Layout.of(cells, row_labels, column_labels, title, subtitle, cell, group_starts)
    sheet = Image.new("RGB", layout.size, PAPER)
    brush = ImageDraw.Draw(sheet)
    _draw_heading(brush, layout)
    _draw_labels(brush, layout)
    for top, row in zip(layout.tops, cells, strict=True):
        for left, item in zip(layout.lefts, row, strict=True):
            _draw_cell(sheet, brush, item, (left, top, left + cell, top + cell))
    return sheet


@dataclass(frozen=True)
class _Layout:
    """Where everything stands, in pixels, with every text already cut into lines."""

    size: tuple[int, int]
    cell: int
    lefts: Sequence[int]
    tops: Sequence[int]
    title: Sequence[str]
    subtitle: Sequence[str]
    row_labels: Sequence[Sequence[str]]
    column_labels: Sequence[Sequence[str]]

    @classmethod
    def of(
        cls,
        cells: Sequence[Sequence[Cell]],
        row_labels: Sequence[str],
        column_labels: Sequence[str],
        title: str | None,
        subtitle: str | None,
        cell: int,
        group_starts: Collection[int],
    ) -> _Layout:
        labels = [
            _wrap(label, _font(TEXT_SIZE), LABEL_WIDTH, max(1, cell // _line_height(TEXT_SIZE)))
            for label in row_labels
        ]
        heads = [_wrap(label, _font(TEXT_SIZE), cell + GAP // 2, 3) for label in column_labels]
        left = MARGIN + _labels_width(labels)
        steps = [cell + (GROUP_GAP if column in group_starts else GAP) for column in range(1, len(cells[0]))]
        lefts = list(accumulate(steps, initial=left))
        width = max(lefts[-1] + cell + MARGIN, min(_ideal_width(title, subtitle), 900))
        titles = _wrap(title or "", _font(TITLE_SIZE, bold=True), width - 2 * MARGIN, 2)
        subtitles = _wrap(subtitle or "", _font(TEXT_SIZE), width - 2 * MARGIN, 4)
        top = MARGIN + _heading_height(titles, subtitles) + _heads_height(heads)
        heights = [cell + GAP + _captions_height(row) for row in cells]
        tops = list(accumulate(heights, initial=top))
        size = (width, tops[-1] - GAP + MARGIN)
        return cls(size, cell, lefts, tops[:-1], titles, subtitles, labels, heads)


def _check(cells: Sequence[Sequence[Cell]], row_labels: Sequence[str], column_labels: Sequence[str]) -> None:
    if not cells or not cells[0]:
        raise InputError("has no pictures", place="contact sheet", remedy="pass at least one row with one")
    if len({len(row) for row in cells}) > 1:
        raise InputError("has rows of different lengths", place="contact sheet", remedy="fill them with None")
    for name, labels, count in (("row", row_labels, len(cells)), ("column", column_labels, len(cells[0]))):
        if labels and len(labels) != count:
            raise InputError(
                f"has {len(labels)} {name} labels for {count} {name}s",
                place="contact sheet",
                remedy=f"pass one label for each {name}, or none",
            )


def _draw_heading(brush: ImageDraw.ImageDraw, layout: _Layout) -> None:
    top = MARGIN
    for line in layout.title:
        brush.text((MARGIN, top), line, INK, _font(TITLE_SIZE, bold=True))
        top += _line_height(TITLE_SIZE)
    top += SUBTITLE_GAP if layout.title else 0
    for line in layout.subtitle:
        brush.text((MARGIN, top), line, QUIET, _font(TEXT_SIZE))
        top += _line_height(TEXT_SIZE)


def _draw_labels(brush: ImageDraw.ImageDraw, layout: _Layout) -> None:
    step, half = _line_height(TEXT_SIZE), layout.cell // 2
    for left, lines in zip(layout.lefts, layout.column_labels, strict=False):
        for place, line in enumerate(reversed(lines)):
            middle = layout.tops[0] - 8 - place * step
            brush.text((left + half, middle), line, INK, _font(TEXT_SIZE), anchor="md")
    for top, lines in zip(layout.tops, layout.row_labels, strict=False):
        first = top + half - (len(lines) - 1) * step // 2
        for place, line in enumerate(lines):
            at = (layout.lefts[0] - LABEL_GAP, first + place * step)
            brush.text(at, line, INK, _font(TEXT_SIZE), anchor="rm")


def _draw_cell(sheet: Image.Image, brush: ImageDraw.ImageDraw, item: Cell, box: Box) -> None:
    left, top, right, bottom = box
    side = right - left
    if item.picture is None:
        brush.rounded_rectangle((left, top, right - 1, bottom - 1), 6, EMPTY)
    else:
        fitted = ImageOps.contain(item.picture.convert("RGB"), (side, side), Image.Resampling.LANCZOS)
        sheet.paste(fitted, (left + (side - fitted.width) // 2, top + (side - fitted.height) // 2))
    if item.good is not None:
        _draw_mark(brush, box, item.good)
    if item.caption:
        (line,) = _wrap(item.caption, _font(SMALL_SIZE), side, 1)
        brush.text((left + side // 2, bottom + 5), line, QUIET, _font(SMALL_SIZE), anchor="ma")


def _draw_mark(brush: ImageDraw.ImageDraw, box: Box, good: bool) -> None:
    left, top, right, bottom = box
    color, radius = GOOD if good else BAD, max(7, (right - left) // 13)
    brush.rectangle((left - 3, top - 3, right + 2, bottom + 2), outline=color, width=3)
    x, y = right - radius - 1, top + radius + 1
    brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)
    brush.text((x, y), "✓" if good else "✗", PAPER, _font(round(radius * 1.5), bold=True), anchor="mm")


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: int, most: int) -> list[str]:
    """``text`` in at most ``most`` lines of ``width`` pixels; what does not fit ends in an ellipsis."""
    lines: list[str] = []
    for paragraph in text.splitlines():
        lines.append("")
        for word in paragraph.split():
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and font.getlength(longer) > width:
                lines.append(word)
            else:
                lines[-1] = longer
    kept = lines[:most]
    if len(lines) > most:
        kept[-1] += " …"
    return [_cut(line, font, width) for line in kept]


def _cut(line: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    if font.getlength(line) <= width:
        return line
    line = line.rstrip(" …")
    while line and font.getlength(f"{line}…") > width:
        line = line[:-1]
    return f"{line.rstrip()}…"


def _ideal_width(title: str | None, subtitle: str | None) -> int:
    """How wide a sheet must be for its heading to stand on single lines."""
    fonts = ((title, _font(TITLE_SIZE, bold=True)), (subtitle, _font(TEXT_SIZE)))
    widths = (font.getlength(line) for text, font in fonts for line in (text or "").splitlines())
    return 2 * MARGIN + round(max(widths, default=0))


def _labels_width(labels: Sequence[Sequence[str]]) -> int:
    widest = max((_font(TEXT_SIZE).getlength(line) for lines in labels for line in lines), default=0)
    return round(widest) + LABEL_GAP if widest else 0


def _heading_height(titles: Sequence[str], subtitles: Sequence[str]) -> int:
    height = len(titles) * _line_height(TITLE_SIZE) + len(subtitles) * _line_height(TEXT_SIZE)
    between = SUBTITLE_GAP if titles and subtitles else 0
    return height + between + 14 if height else 0


def _heads_height(heads: Sequence[Sequence[str]]) -> int:
    most = max((len(lines) for lines in heads), default=0)
    return most * _line_height(TEXT_SIZE) + 8 if most else 0


def _captions_height(row: Sequence[Cell]) -> int:
    return 5 + _line_height(SMALL_SIZE) if any(cell.caption for cell in row) else 0


def _line_height(size: int) -> int:
    return round(size * LINE_SPACING)


@lru_cache
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / name), size)
