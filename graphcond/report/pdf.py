"""The tables, curves and last previews of runs as a PDF."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from graphcond.errors import InputError
from graphcond.io.pictures import open_picture
from graphcond.report.plots import drawing, own_plots, shared_plots
from graphcond.report.runs import Run
from graphcond.report.summaries import all_tables
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
        figures = [_table(table, at) for table in all_tables(runs) for at in range(0, len(table.rows), ROWS)]
        figures += [plot.figure for plot in shared_plots(runs)]
        for run in runs:
            figures += [plot.figure for plot in own_plots(run)]
            for step, sheet in list(run.previews.items())[-1:]:
                with suppress(InputError):  # a damaged picture is left out
                    picture = open_picture(sheet)
                    figures.append(Figure(layout="constrained"))
                    axes = figures[-1].subplots()
                    axes.set_axis_off()
                    axes.set_title(line(f"{run.label}: previews after step {step}"), loc="left")
                    axes.imshow(picture)
        for figure in figures:
            figure.set_size_inches(PAPER)
            pages.savefig(figure)


def _table(table: Table, start: int) -> Figure:
    figure = Figure()
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_title(line(table.title), loc="left")
    width = max(8, SIGNS // len(table.columns))
    lines = [  # of ``width`` letters; line breaks stay
        ["\n".join(textwrap.fill(line(part), width) for part in broken(text).splitlines()) for text in texts]
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
