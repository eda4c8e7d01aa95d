"""The result of an evaluation: every figure of every arm, and the differences between arms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from rich.console import Console
from rich.table import Column, Table

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
        """A line for each metric, a column for each arm and difference; then what to know about them."""
        columns = {**self.arms, **({CHANCE: {}} if self.chance else {}), **self.differences}
        rows = [
            [self._heading(metric), *(self._cell(name, metric, " ") for name in columns)]
            for metric in self.networks
        ]
        header = ["", *map(_spoken, columns)]
        table = terminal.markdown_table(header, rows, right=[False, *(True for _ in columns)])
        notes = "".join(f"- {note}\n" for note in self._notes())
        return f"**{self.title}**\n\n{table}\n\n{notes}"

    def print(self, console: Console | None = None) -> None:
        """Print the arms, then the differences, as tables that fit 80 columns, on the terminal."""
        console = console or terminal.console()
        for title, columns in ((self.title, self.arms), ("what the graph adds", self.differences)):
            if not columns:
                continue
            table = Table("", *(Column(_spoken(name), justify="right") for name in columns), title=title)
            table.title_justify, table.columns[0].no_wrap = "left", True
            for metric in self.networks:
                known = columns is self.arms and metric in self.chance
                chance = f"\n{CHANCE} {_number(self.chance[metric], '')}" if known else ""
                cells = (self._cell(name, metric, "\n") for name in columns)
                table.add_row(self._heading(metric) + chance, *cells)
            console.print(table)
        for note in self._notes():
            console.print(f"- {note}", style="dim", markup=False, highlight=False)

    def _heading(self, metric: str) -> str:
        return f"{metric} {'↑' if self.higher_is_better[metric] else '↓'}"

    def _cell(self, column: str, metric: str, between: str) -> str:
        if column == CHANCE:
            return _number(self.chance[metric], "") if metric in self.chance else ""
        sign = "+" if column in self.differences else ""
        figure = (self.differences if sign else self.arms)[column][metric]
        low, high = _number(figure.low, sign), _number(figure.high, sign)
        return f"{_number(figure.mean, sign)}{between}[{low}, {high}]"

    def _notes(self) -> list[str]:
        metrics: dict[str, list[str]] = {}
        for metric, network in self.networks.items():
            metrics.setdefault(network, []).append(metric)
        looked = "; ".join(f"{', '.join(names)} by {network}" for network, names in metrics.items())
        basis = (
            f"n = {self.n:,} targets, the same for every arm, seed {self.seed}; in brackets 95 % intervals"
        )
        return [basis, looked, *self.cautions]


def _number(value: float, sign: str) -> str:
    return f"{value:{sign}.{1 if abs(value) >= 10 else 3}f}"


def _spoken(name: str) -> str:
    return name.replace("_", " ")
