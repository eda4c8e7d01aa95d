"""Tables of figures with intervals and N, for a terminal, Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

import rich.table
from rich.box import SIMPLE_HEAD
from rich.markup import escape

from graphcond.errors import InputError
from graphcond.intervals import Measurement
from graphcond.io.terminal import markdown_table

Cell: TypeAlias = "str | int | float | Measurement | None"
"""What a table holds: a text, a number, a figure with its interval, or nothing."""

LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "±": r"$\pm$",
    "−": r"$-$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
}
"""Signs that LaTeX reads as commands or lacks in text."""

SHORT = 8
"""Letters of a text that a narrow terminal does not break."""


@dataclass(frozen=True)
class Table:
    """Rows of cells under columns.

    Args:
        columns: the headings.
        rows: as many cells each as there are columns.
        title: stands above the table.
        notes: sentences below it.

    Raises:
        InputError: a row has more or fewer cells than there are columns.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise InputError(
                    f"expected {len(self.columns)} cells, got {len(row)}",
                    place=f"row {number} of the table '{self.title}'",
                    remedy="give one cell for each column",
                )

    @classmethod
    def of(
        cls, records: Sequence[Mapping[str, Cell]], *, title: str = "", notes: Iterable[str] = ()
    ) -> Table:
        """A table with a row for each record, and all their keys as columns in the order of appearance."""
        columns = tuple(dict.fromkeys(key for record in records for key in record))
        rows = tuple(tuple(record.get(column) for column in columns) for record in records)
        return cls(columns, rows, title, tuple(notes))

    def headings(self) -> list[str]:
        """The columns; one whose figures are all over the same samples says how many."""
        return [
            column if n is None else f"{column} (n = {n:,})"
            for column, n in zip(self.columns, self._counts(), strict=True)
        ]

    def texts(self) -> list[list[str]]:
        """The cells as they are shown."""
        counts = self._counts()
        return [[shown(cell, n) for cell, n in zip(row, counts, strict=True)] for row in self.rows]

    def numeric(self) -> list[bool]:
        """Whether a column holds numbers, which are set to the right."""
        return [
            any(cell is not None for cell in cells) and not any(isinstance(cell, str) for cell in cells)
            for cells in self._cells()
        ]

    def to_markdown(self) -> str:
        """The table in Markdown."""
        header, *rows = [[_markdown(text) for text in line] for line in (self.headings(), *self.texts())]
        body = markdown_table(header, rows, self.numeric())
        notes = "".join(f"- {_markdown(note)}\n" for note in self.notes)
        heading = f"**{_markdown(self.title)}**\n\n" if self.title else ""
        return f"{heading}{body}\n" + (f"\n{notes}" if notes else "")

    def to_csv(self) -> str:
        """The table as CSV, with full precision.

        A column of figures becomes four: its name, then with ``_low``, ``_high`` and ``_n`` behind it.
        """
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        measured = [any(isinstance(cell, Measurement) for cell in cells) for cells in self._cells()]
        headings: list[str] = []
        for column, wide in zip(self.columns, measured, strict=True):
            headings += [column, *(f"{column}_{part}" for part in ("low", "high", "n") if wide)]
        writer.writerow(headings)
        for row in self.rows:
            cells: list[object] = []
            for cell, wide in zip(row, measured, strict=True):
                if isinstance(cell, Measurement):
                    cells += [cell.mean, cell.low, cell.high, cell.n]
                else:
                    cells += [cell, None, None, None] if wide else [cell]
            writer.writerow(cells)
        return stream.getvalue()

    def to_latex(self) -> str:
        """The table for LaTeX with the package booktabs; every text is escaped.

        Scripts other than Latin need XeLaTeX or LuaLaTeX.
        """
        places = "".join("r" if right else "l" for right in self.numeric())
        head, *lines = (
            " & ".join(latex(text) for text in line) + r" \\" for line in (self.headings(), *self.texts())
        )
        body = ["\\begin{tabular}{" + places + "}", r"\toprule", head, r"\midrule", *lines, r"\bottomrule"]
        notes = [rf"% {note}" for note in map(line, self.notes)]
        caption = [rf"\caption{{{latex(self.title)}}}"] if self.title else []
        return "\n".join(
            [*notes, r"\begin{table}", r"\centering", *caption, *body, r"\end{tabular}", r"\end{table}", ""]
        )

    def to_json(self) -> list[dict[str, object]]:
        """A record for each row; figures with their interval and N."""
        plain = [[asdict(c) if isinstance(c, Measurement) else c for c in row] for row in self.rows]
        return [dict(zip(self.columns, row, strict=True)) for row in plain]

    def to_rich(self) -> rich.table.Table:
        """The table for the terminal; intervals stand below their figures."""
        table = rich.table.Table(
            title=escape(self.title) or None,
            title_justify="left",
            box=SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
            pad_edge=False,
        )
        texts = self.texts()
        for place, (heading, right) in enumerate(zip(self.headings(), self.numeric(), strict=True)):
            short = max((len(line[place]) for line in texts), default=0) <= SHORT
            table.add_column(
                escape(heading.replace(" (n", "\n(n")),
                justify="right" if right else "left",
                no_wrap=right or short,
                overflow="fold",
            )
        for line in texts:
            table.add_row(
                *(
                    escape(broken(text) if right else text)
                    for text, right in zip(line, self.numeric(), strict=True)
                )
            )
        return table

    def _cells(self) -> list[list[Cell]]:
        return [[row[place] for row in self.rows] for place in range(len(self.columns))]

    def _counts(self) -> list[int | None]:
        """N of each column whose figures all have the same."""
        found = [{cell.n for cell in cells if isinstance(cell, Measurement)} for cells in self._cells()]
        return [next(iter(counts)) if len(counts) == 1 else None for counts in found]


def shown(cell: Cell, n: int | None = None) -> str:
    """A cell as a reader sees it: numbers to three digits, figures with their interval.

    Args:
        cell: the cell.
        n: N of the whole column, which the cell then need not repeat.
    """
    if cell is None:
        return ""
    if isinstance(cell, Measurement):
        count = "" if cell.n == n else f" (n = {cell.n:,})"
        return f"{number(cell.mean)} [{number(cell.low)}, {number(cell.high)}]{count}"
    return cell if isinstance(cell, str) else number(cell)


def number(value: float) -> str:
    """A number to three digits; whole numbers in full."""
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return "-"
    if value == 0 or abs(value) < 0.001:
        return f"{value:.3g}"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def latex(text: str) -> str:
    """A text with LaTeX's own signs escaped, on one line."""
    return "".join(LATEX.get(sign, sign) for sign in line(text))


def _markdown(text: str) -> str:
    return re.sub(r"([\\|`*<]|(?<=\])\()", r"\\\1", line(text))


def broken(text: str) -> str:
    """The text of a figure with its interval, and its N, on lines of their own."""
    return text.replace(" [", "\n[").replace("] (n", "]\n(n")


def line(text: str) -> str:
    """A text without line breaks, control codes and signs that reorder a line."""
    return "".join(sign if sign.isprintable() else " " for sign in text)
