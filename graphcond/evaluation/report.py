"""The result of an evaluation: every figure of every arm, and the differences between arms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from rich.console import Console
from rich.table import Table

from graphcond.intervals import Measurement
from graphcond.io import terminal

DIFFERENCES = (("graph", "no_graph"), ("graph", "shuffled_graph"))
"""Pairs of arms whose difference is reported: the gain from the graph, and from the *right* graph."""

CHANCE = "chance"
"""Heading of the chance levels."""


@dataclass(frozen=True)
class EvaluationReport:
    """Figures side by side, all over the same targets and seeds.

    Args:
        title: the heading, for instance a protocol's name.
        n: how many targets.
        seed: of the pictures and the intervals.
        arms: arm, then metric, to its figure.
        differences: ``graph - no_graph`` and the like, then metric, to the paired difference.
        networks: metric to the network that looked.
        higher_is_better: metric to whether more is better.
        cautions: caveats for the reader.
        chance: metric to the figure of pictures that know nothing of their target, where it can be computed.
    """

    title: str
    n: int
    seed: int
    arms: Mapping[str, Mapping[str, Measurement]]
    differences: Mapping[str, Mapping[str, Measurement]]
    networks: Mapping[str, str]
    higher_is_better: Mapping[str, bool]
    cautions: tuple[str, ...] = ()
    chance: Mapping[str, float] = field(default_factory=dict)

    def figure(self, arm: str, metric: str) -> Measurement:
        """One figure, by arm and metric."""
        return self.arms[arm][metric]

    def to_json(self) -> dict[str, object]:
        """The report as plain values, to be written as JSON."""
        return asdict(self)

    def to_markdown(self) -> str:
        """The report as a Markdown table."""
        return to_markdown(self)

    def print(self) -> None:
        """Print the report as a table on the terminal."""
        print_report(self)


Columns = Mapping[str, Mapping[str, Measurement]]


def to_markdown(report: EvaluationReport) -> str:
    """A line for each metric, a column for each arm and difference; then what to know about them."""
    columns = {**report.arms, **({CHANCE: {}} if report.chance else {}), **report.differences}
    lines = [["", *map(_spoken, columns)], ["---", *("---:" for _ in columns)]]
    for metric in report.networks:
        lines.append([_heading(report, metric), *(_cell(report, name, metric, " ") for name in columns)])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "".join(f"- {note}\n" for note in _notes(report))
    return f"**{report.title}**\n\n{table}\n\n{notes}"


def print_report(report: EvaluationReport, console: Console | None = None) -> None:
    """Print the arms, then the differences, as tables that fit 80 columns."""
    console = console or terminal.console()
    console.print(_table(report, report.arms, report.title))
    if report.differences:
        console.print(_table(report, report.differences, "what the graph adds"))
    for note in _notes(report):
        console.print(f"- {note}", style="dim", markup=False, highlight=False)


def _table(report: EvaluationReport, columns: Columns, title: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for name in columns:
        table.add_column(_spoken(name), justify="right")
    for metric in report.networks:
        heading = _heading(report, metric)
        if columns is report.arms and metric in report.chance:
            heading += f"\n{CHANCE} {_number(report.chance[metric], '')}"
        table.add_row(heading, *(_cell(report, name, metric, "\n") for name in columns))
    return table


def _heading(report: EvaluationReport, metric: str) -> str:
    return f"{metric} {'↑' if report.higher_is_better[metric] else '↓'}"


def _cell(report: EvaluationReport, column: str, metric: str, between: str) -> str:
    if column == CHANCE:
        return _number(report.chance[metric], "") if metric in report.chance else ""
    sign = "+" if column in report.differences else ""
    figure = (report.differences if sign else report.arms)[column][metric]
    low, high = _number(figure.low, sign), _number(figure.high, sign)
    return f"{_number(figure.mean, sign)}{between}[{low}, {high}]"


def _number(value: float, sign: str) -> str:
    return f"{value:{sign}.{1 if abs(value) >= 10 else 3}f}"


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _notes(report: EvaluationReport) -> list[str]:
    metrics: dict[str, list[str]] = {}
    for metric, network in report.networks.items():
        metrics.setdefault(network, []).append(metric)
    looked = "; ".join(f"{', '.join(names)} by {network}" for network, names in metrics.items())
    basis = (
        f"n = {report.n:,} targets, the same for every arm, seed {report.seed}; in brackets 95 % intervals"
    )
    return [basis, looked, *report.cautions]
