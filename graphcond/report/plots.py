"""The curves of runs, drawn by matplotlib."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from graphcond.intervals import Measurement
from graphcond.io.quiet import ignored
from graphcond.report.runs import BOXES_HIDDEN, Curve, Run, gap_of
from graphcond.report.table import line

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7f7f7f")
"""Of Okabe and Ito, which color-blind readers tell apart; grey in place of their yellow."""

ARMS = {
    "graph": ("with its graph", "-"),
    "boxes_hidden": ("with its graph, boxes hidden", "-."),
    "shuffled": ("with another's graph", ":"),
    "no_graph": ("without graph", "--"),
}
"""The losses of a validation: how they are called and drawn."""

STYLES = ("-", "--", ":", "-.")

SETTINGS: Any = {
    "text.parse_math": False,  # names of runs are no formulas
    "svg.fonttype": "none",
    "svg.hashsalt": "graphcond",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "axes.edgecolor": "#9ca3af",
    "axes.formatter.useoffset": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "legend.frameon": False,
    "legend.fontsize": 9,
}

SIZE = (6.4, 3.8)
"""Inches of a plot."""

LONG = 36
"""Letters of a label beside which there is no room for another."""


@dataclass(frozen=True)
class Plot:
    """A figure with its title, and with what it shows for those who cannot see it."""

    title: str
    figure: Figure

    def svg(self) -> bytes:
        """As SVG; equal figures give equal bytes."""
        stream = io.BytesIO()
        with drawing():
            self.figure.savefig(stream, format="svg", metadata={"Date": None}, bbox_inches="tight")
        return stream.getvalue()


@contextmanager
def drawing() -> Iterator[None]:
    """Matplotlib as the reports use it; a sign that its font lacks is drawn as a box without a warning."""
    with matplotlib.rc_context(SETTINGS), ignored(message="Glyph .* missing from"):
        yield


def shared_plots(runs: Sequence[Run]) -> list[Plot]:
    """Losses, graph gap and rates, each with all runs in one plot; those that no run has are left out."""
    return [
        *_plot("Training loss", "loss", runs, _training_loss),
        *_plot("Validation loss", "loss", runs, _validation_loss),
        *_plot("Graph gap", "% of the loss without graph", runs, _gap),
        *_plot(
            "Graph gap with boxes hidden",
            "% of the loss without graph",
            runs,
            partial(_gap, condition=BOXES_HIDDEN),
        ),
        *_plot("Learning rate", "rate", runs, _rates),
    ]


def own_plots(run: Run) -> list[Plot]:
    """Gradients, gates and other figures of the injectors, and the losses of conditions' own."""
    plots = _plot("Gradient norms", "norm before clipping", [run], _gradients)
    for section, title in (("injectors", "Injector"), ("own_losses", "Own loss")):
        for condition in run.names("train", section):

            def figures(
                axes: Axes, runs: Sequence[Run], place: tuple[str, str] = (section, condition)
            ) -> None:
                for number, name in enumerate(run.names("train", *place)):
                    _line(axes, run.curve("train", *place, name), name.replace("_", " "), number)

            plots += _plot(f"{title} of {condition}", "figure", [run], figures)
    return plots


def _plot(
    title: str, unit: str, runs: Sequence[Run], draw: Callable[[Axes, Sequence[Run]], None]
) -> list[Plot]:
    """The plot, or nothing where ``draw`` finds no curve."""
    with drawing():
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        draw(axes, runs)
        if not axes.lines:
            return []
        axes.set(title=line(title), xlabel="optimizer step", ylabel=unit)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.margins(x=0.02)
        named = [one for one in axes.lines if not str(one.get_label()).startswith("_")]
        if len(named) > 1:
            longest = max(len(str(one.get_label())) for one in named)
            figure.legend(handles=named, loc="outside lower left", ncols=2 if longest < LONG else 1)
    return [Plot(title, figure)]


def _training_loss(axes: Axes, runs: Sequence[Run]) -> None:
    for number, run in enumerate(runs):
        _line(axes, run.curve("train", "loss"), run.label, number)


def _validation_loss(axes: Axes, runs: Sequence[Run]) -> None:
    for number, run in enumerate(runs):
        for arm, (name, style) in ARMS.items():
            label = name if len(runs) == 1 else f"{run.label}: {name}"
            _line(axes, run.curve("validation", "loss", arm), label, number, style)


def _gap(axes: Axes, runs: Sequence[Run], condition: str = "") -> None:
    for number, run in enumerate(runs):
        found = {int(record["step"]): gap_of(record, condition) for record in run.of("validation")}
        gaps = {step: gap for step, gap in found.items() if gap is not None}
        means = [gap.mean if isinstance(gap, Measurement) else gap for gap in gaps.values()]
        _line(axes, Curve(tuple(gaps), tuple(means)), run.label, number)
        measured = {step: gap for step, gap in gaps.items() if isinstance(gap, Measurement)}
        if measured:
            lows, highs = ([getattr(gap, end) for gap in measured.values()] for end in ("low", "high"))
            axes.fill_between(list(measured), lows, highs, color=_color(number), alpha=0.15, linewidth=0)
    if axes.lines:
        axes.axhline(0, color="#9ca3af", linewidth=1)


def _rates(axes: Axes, runs: Sequence[Run]) -> None:
    for number, run in enumerate(runs):
        for place, group in enumerate(run.names("train", "learning_rate")):
            label = group if len(runs) == 1 else f"{run.label}: {group}"
            curve = run.curve("train", "learning_rate", group)
            _line(axes, curve, label, number if len(runs) > 1 else place, STYLES[place % len(STYLES)])


def _gradients(axes: Axes, runs: Sequence[Run]) -> None:
    for run in runs:
        for number, group in enumerate(run.names("train", "gradient_norms")):
            _line(axes, run.curve("train", "gradient_norms", group), group, number)


def _line(axes: Axes, curve: Curve, label: str, number: int, style: str = "-") -> None:
    if curve.steps:
        marker = "o" if len(curve.steps) < 12 else None
        # A leading underscore would hide the line in the legend.
        name = line(f" {label}" if label.startswith("_") else label)
        axes.plot(
            curve.steps, curve.values, style, color=_color(number), label=name, marker=marker, markersize=3.5
        )


def _color(number: int) -> str:
    return COLORS[number % len(COLORS)]
