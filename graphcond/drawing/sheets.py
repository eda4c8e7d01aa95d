"""Labelled grids of pictures, for the demo, training previews and evaluations; lettering of all drawings."""

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
    line = line.rstrip(" …")
    while line and face.getlength(f"{line}…") > width:
        line = line[:-1]
    return f"{line.rstrip()}…"


def wrapped(text: str, face: ImageFont.FreeTypeFont, width: float, most: int) -> list[str]:
    """``text`` in at most ``most`` lines of ``width`` pixels, broken at spaces and after hyphens."""
    lines: list[str] = []
    # A part is a piece of a word up to its hyphens, the rest of a word, or white space.
    for part in re.findall(r"[^\s-]*-+|[^\s-]+|\s+", text):
        if lines and face.getlength(lines[-1] + part.rstrip()) <= width:
            lines[-1] += part
        elif part.strip():
            lines.append(part)
    if len(lines) > most:
        lines = [*lines[: most - 1], "".join(lines[most - 1 :])]
    return [cut(line.rstrip(), face, width) for line in lines]


def extent(lines: Sequence[str], face: ImageFont.FreeTypeFont) -> tuple[float, float]:
    """Width and height of a block of lines, in pixels."""
    return max((face.getlength(line) for line in lines), default=0.0), len(lines) * line_height(face)


def line_height(face: ImageFont.FreeTypeFont) -> float:
    """Distance from one line of a drawing to the next, in pixels."""
    return face.size * 1.25


PAPER, INK, QUIET, EMPTY = "#ffffff", "#1f2430", "#6b7280", "#f1f2f4"
GOOD, BAD = "#1f8a4c", "#c8364a"

MARGIN, GAP, GROUP_GAP, LABEL_GAP = 28, 14, 34, 16
TITLE_SIZE, TEXT_SIZE, SMALL_SIZE = 21, 14, 12
LABEL_WIDTH, WIDEST_HEADING = 180, 900
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
        subtitle: a hint for the reader, in smaller grey letters.
        cell: side of a picture's place in pixels; pictures keep their proportions.
        group_starts: columns before which the gap is wider.

    Raises:
        InputError: no pictures, rows of different lengths, or labels that do not match them.
    """
    cells = [[item if isinstance(item, Cell) else Cell(item) for item in row] for row in rows]
    _check(cells, row_labels, column_labels)
    layout = _Layout.of(cells, row_labels, column_labels, title, subtitle, cell, group_starts)
    sheet = Image.new("RGB", layout.size, PAPER)
    _draw_texts(ImageDraw.Draw(sheet), layout)
    for top, row in zip(layout.tops, cells, strict=True):
        for left, item in zip(layout.lefts, row, strict=True):
            _draw_cell(sheet, item, (left, top, left + cell, top + cell))
    return sheet


def _check(cells: Sequence[Sequence[Cell]], row_labels: Sequence[str], column_labels: Sequence[str]) -> None:
    if not cells or not cells[0]:
        raise InputError(
            "the sheet has no pictures", place="contact sheet", remedy="pass at least one row with one"
        )
    if len({len(row) for row in cells}) > 1:
        raise InputError(
            "the rows have different lengths", place="contact sheet", remedy="fill the short ones with None"
        )
    for name, labels, count in (("row", row_labels, len(cells)), ("column", column_labels, len(cells[0]))):
        if labels and len(labels) != count:
            raise InputError(
                f"expected {count} {name} labels or none, got {len(labels)}",
                place="contact sheet",
                remedy=f"pass one label for each {name}, or none",
            )


@dataclass(frozen=True)
class _Layout:
    """The place of every part, in pixels, with every text already cut into lines."""

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
        text, bold, step = font(TEXT_SIZE), font(TITLE_SIZE, bold=True), _line_step(TEXT_SIZE)
        # From left to right: the row labels, if there are any, then the cells.
        labels = [_in_lines(label, text, LABEL_WIDTH, max(1, cell // step)) for label in row_labels]
        widest = round(max((text.getlength(line) for lines in labels for line in lines), default=0))
        left = MARGIN + (widest + LABEL_GAP if widest else 0)
        steps = [cell + (GROUP_GAP if column in group_starts else GAP) for column in range(1, len(cells[0]))]
        lefts = list(accumulate(steps, initial=left))
        # A sheet of few cells is made wider than they are, so that its heading need not be broken.
        ideals = [bold.getlength(line) for line in (title or "").splitlines()]
        ideals += [text.getlength(line) for line in (subtitle or "").splitlines()]
        width = max(
            lefts[-1] + cell + MARGIN, min(2 * MARGIN + round(max(ideals, default=0)), WIDEST_HEADING)
        )
        # From top to bottom: title and subtitle, the column labels, then the cells with their captions.
        titles = _in_lines(title or "", bold, width - 2 * MARGIN, 2)
        subtitles = _in_lines(subtitle or "", text, width - 2 * MARGIN, 4)
        top = MARGIN + len(titles) * _line_step(TITLE_SIZE) + len(subtitles) * step
        top += (SUBTITLE_GAP if titles and subtitles else 0) + (14 if titles or subtitles else 0)
        heads = [_in_lines(label, text, cell + GAP // 2, 3) for label in column_labels]
        most = max(map(len, heads), default=0)
        top += most * step + 8 if most else 0
        captions = [any(item.caption for item in row) for row in cells]
        heights = [cell + GAP + (5 + _line_step(SMALL_SIZE) if caption else 0) for caption in captions]
        *tops, bottom = accumulate(heights, initial=top)
        size = (width, bottom - GAP + MARGIN)
        return cls(size, cell, lefts, tops, titles, subtitles, labels, heads)


def _draw_texts(brush: ImageDraw.ImageDraw, layout: _Layout) -> None:
    """Write the heading and the labels."""
    top = MARGIN
    for line in layout.title:
        brush.text((MARGIN, top), line, INK, font(TITLE_SIZE, bold=True))
        top += _line_step(TITLE_SIZE)
    top += SUBTITLE_GAP if layout.title else 0
    text, step, half = font(TEXT_SIZE), _line_step(TEXT_SIZE), layout.cell // 2
    for line in layout.subtitle:
        brush.text((MARGIN, top), line, QUIET, text)
        top += step
    for left, lines in zip(layout.lefts, layout.column_labels, strict=False):
        for place, line in enumerate(reversed(lines)):
            brush.text((left + half, layout.tops[0] - 8 - place * step), line, INK, text, anchor="md")
    for top, lines in zip(layout.tops, layout.row_labels, strict=False):
        first = top + half - (len(lines) - 1) * step // 2
        for place, line in enumerate(lines):
            brush.text((layout.lefts[0] - LABEL_GAP, first + place * step), line, INK, text, anchor="rm")


def _draw_cell(sheet: Image.Image, item: Cell, box: Box) -> None:
    brush = ImageDraw.Draw(sheet)
    left, top, right, bottom = box
    side = right - left
    if item.picture is None:
        brush.rounded_rectangle((left, top, right - 1, bottom - 1), 6, EMPTY)
    else:
        fitted = ImageOps.contain(item.picture.convert("RGB"), (side, side), Image.Resampling.LANCZOS)
        sheet.paste(fitted, (left + (side - fitted.width) // 2, top + (side - fitted.height) // 2))
    if item.good is not None:
        color, radius = GOOD if item.good else BAD, max(7, side // 13)
        brush.rectangle((left - 3, top - 3, right + 2, bottom + 2), outline=color, width=3)
        x, y = right - radius - 1, top + radius + 1
        brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)
        sign, face = "✓" if item.good else "✗", font(round(radius * 1.5), bold=True)
        brush.text((x, y), sign, PAPER, face, anchor="mm")
    if item.caption:
        (line,) = _in_lines(item.caption, font(SMALL_SIZE), side, 1)
        brush.text((left + side // 2, bottom + 5), line, QUIET, font(SMALL_SIZE), anchor="ma")


def _in_lines(text: str, face: ImageFont.FreeTypeFont, width: int, most: int) -> list[str]:
    """Paragraphs in at most ``most`` lines of ``width`` pixels; the rest is replaced by an ellipsis."""
    lines: list[str] = []
    for paragraph in text.splitlines():
        lines.append("")
        for word in paragraph.split():
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and face.getlength(longer) > width:
                lines.append(word)
            else:
                lines[-1] = longer
    kept = lines[:most]
    if len(lines) > most:
        kept[-1] += " …"
    return [cut(line, face, width) for line in kept]


def _line_step(size: int) -> int:
    return round(size * LINE_SPACING)
