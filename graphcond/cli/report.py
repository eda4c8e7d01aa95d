"""graphcond report and graphcond runs: what training left, on a page and in a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from graphcond.cli.options import AsJson
from graphcond.io.terminal import console, say

MOST_COLUMNS = 10_000
"""More characters than a line of the list of runs has."""


def report(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run folders, as `train` writes them.")],
    out: Annotated[
        Path | None,
        typer.Option(help="The HTML page; report.html unless given, or unless another format is asked for."),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a row for each run as CSV.")] = None,
    latex: Annotated[Path | None, typer.Option(help="Write the tables for LaTeX (booktabs).")] = None,
    pdf: Annotated[Path | None, typer.Option(help="Write tables and curves as PDF.")] = None,
) -> None:
    """Compare runs on one page: curves, previews, graph gap, memory, seconds, recipes and evaluations.

    The page is one file without scripts, which needs no network. It may be of an unfinished run.

    Example: graphcond report outputs/demo/run outputs/another --out report.html --csv runs.csv
    """
    from graphcond.io.files import atomic_file, check_writable, write_text
    from graphcond.report import read_run
    from graphcond.report.runs import labeled
    from graphcond.report.summaries import all_tables, figures

    if out is None and not (csv or latex or pdf):
        out = Path("report.html")
    files = [file for file in (out, csv, latex, pdf) if file is not None]
    for file in files:
        check_writable(file)
    found = labeled([read_run(folder) for folder in dict.fromkeys(Path(run).resolve() for run in runs)])
    if out is not None:
        from graphcond.report.page import page

        write_text(out, page(found))
    if csv is not None:
        write_text(csv, figures(found).to_csv())
    if latex is not None:
        write_text(latex, "\n".join(table.to_latex() for table in all_tables(found)))
    if pdf is not None:
        from graphcond.report.pdf import write_pdf

        with atomic_file(pdf) as temporary:
            write_pdf(temporary, found)
    for file in files:
        say(f"wrote {file}")


def runs_command(
    folder: Annotated[Path, typer.Argument(help="Where the runs are.")] = Path("outputs"),
    as_json: AsJson = False,
) -> None:
    """List the runs under a folder, the oldest first.

    Example: graphcond runs outputs
    """
    from graphcond.report import find_runs
    from graphcond.report.summaries import listing

    found = find_runs(folder)
    if as_json:
        say(json.dumps(listing(found, folder).to_json()))
    elif found:
        table, shown = listing(found, folder).to_rich(), console()
        wide = shown.options.update(width=MOST_COLUMNS)
        shown.width = max(shown.width, shown.measure(table, options=wide).maximum)  # no path is folded
        shown.print(table)
    else:
        say(f"no runs under {folder}")
