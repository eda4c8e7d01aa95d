"""The tables, curves and last previews of runs as a PDF."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from graphcond.errors import InputError
from graphcond.io.pictures import open_picture
from graphcond.report.plots import drawing, own_plots, shared_plots
from graphcond.report.runs import Run
from graphcond.report.summaries import differences, evaluations, summary
from graphcond.report.table import Table, broken, line

PAPER = (11.7, 8.3)
"""Inches of a page: A4, lying."""

ROWS = 22
"""Rows of a table on a page."""

SIGNS = 140
"""Letters in a row of a table, over all its columns."""


def write_pdf(file: Path, runs: Sequence[Run]) -> None:
    """Write the PDF; equal run folders give equal files."""
    with drawing(), PdfPages(file, metadata={"Creator": "graphcond", "CreationDate": None}) as pages:
        for figure in _figures(runs):
            figure.set_size_inches(PAPER)
            pages.savefig(figure)


def _figures(runs: Sequence[Run]) -> Iterator[Figure]:
    several = [differences(runs)] if len(runs) > 1 else []
    for table in (summary(runs), *several, *evaluations(runs)):
        for start in range(0, len(table.rows), ROWS):
            yield _table(table, start)
    yield from (plot.figure for plot in shared_plots(runs))
    for run in runs:
        yield from (plot.figure for plot in own_plots(run))
        with suppress(InputError):  # a damaged picture is left out
            yield from _last_preview(run)


def _table(table: Table, start: int) -> Figure:
    figure = Figure()
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_title(line(table.title), loc="left")
    width = max(8, SIGNS // len(table.columns))
    lines = [
        [_filled(text, width) for text in texts]
        for texts in (table.headings(), *table.texts()[start : start + ROWS])
    ]
    drawn = axes.table(lines[1:], colLabels=lines[0], loc="upper left", cellLoc="left", edges="horizontal")
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(9)
    drawn.auto_set_column_width(list(range(len(table.columns))))
    for (row, _), cell in drawn.get_celld().items():
        cell.set_height(0.014 + 0.026 * max(text.count("\n") + 1 for text in lines[row]))
        cell.set_text_props(ha="left")
    return figure


def _filled(text: str, width: int) -> str:
    """``text`` in lines of ``width`` letters; line breaks stay."""
    return "\n".join(textwrap.fill(line(part), width) for part in broken(text).splitlines())


def _last_preview(run: Run) -> Iterator[Figure]:
    for step, file in list(run.previews.items())[-1:]:
        figure = Figure(layout="constrained")
        axes = figure.subplots()
        axes.set_axis_off()
        axes.set_title(line(f"{run.label}: previews after step {step}"), loc="left")
        axes.imshow(open_picture(file))
        yield figure
