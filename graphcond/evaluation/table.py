"""Reports as tables: Markdown for documents, rich for terminals."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from graphcond.evaluation.measurement import Measurement
from graphcond.evaluation.report import EvaluationReport


def to_markdown(report: EvaluationReport) -> str:
    """A table with one line for each arm and difference, and a column for each metric; then the cautions."""
    header = ["", *_metrics(report)]
    lines = [header, ["---", *("---:" for _ in header[1:])], *_lines(report)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "".join(f"- {note}\n" for note in _notes(report))
    return f"**{report.title}**\n\n{table}\n\n{notes}"


def print_report(report: EvaluationReport, console: Console | None = None) -> None:
    """Print the same table on a terminal."""
    console = console or Console()
    table = Table(title=report.title, title_justify="left", caption_justify="left")
    table.add_column("")
    for metric in _metrics(report):
        table.add_column(metric, justify="right")
    for line in _lines(report):
        table.add_row(*line, end_section=line[0] == list(report.arms)[-1].replace("_", " "))
    console.print(table)
    for note in _notes(report):
        console.print(f"- {note}", style="dim", markup=False, highlight=False)


def _metrics(report: EvaluationReport) -> list[str]:
    return [f"{metric} {'↑' if better else '↓'}" for metric, better in report.higher_is_better.items()]


def _lines(report: EvaluationReport) -> list[list[str]]:
    arms = [_line(arm, figures, sign="") for arm, figures in report.arms.items()]
    return arms + [_line(pair, figures, sign="+") for pair, figures in report.differences.items()]


def _line(name: str, figures: Mapping[str, Measurement], *, sign: str) -> list[str]:
    cells = (
        f"{_number(figure.mean, sign)} [{_number(figure.low, sign)}, {_number(figure.high, sign)}]"
        for figure in figures.values()
    )
    return [name.replace("_", " "), *cells]


def _number(value: float, sign: str) -> str:
    return f"{value:{sign}.{1 if abs(value) >= 10 else 3}f}"


def _notes(report: EvaluationReport) -> list[str]:
    networks: dict[str, list[str]] = {}
    for metric, network in report.networks.items():
        networks.setdefault(network, []).append(metric)
    seen = "; ".join(f"{', '.join(metrics)} by {network}" for network, metrics in networks.items())
    basis = (
        f"n = {report.n:,} targets, the same for every arm, seed {report.seed}; in brackets 95 % intervals"
    )
    return [basis, seen, *report.cautions]
