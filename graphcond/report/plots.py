"""The curves of runs, drawn by matplotlib."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
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


Line = tuple[Curve, str, int, str]
"""A curve with its label, the number of its color and its style."""


def shared_plots(runs: Sequence[Run]) -> list[Plot]:
    """Losses, graph gap and rates, each with all runs in one plot; those that no run has are left out."""
    numbered, alone = list(enumerate(runs)), len(runs) == 1

    def called(run: Run, name: str) -> str:
        return name if alone else f"{run.label}: {name}"

    training = [(run.curve("train", "loss"), run.label, number, "-") for number, run in numbered]
    validation = [
        (run.curve("validation", "loss", arm), called(run, name), number, style)
        for number, run in numbered
        for arm, (name, style) in ARMS.items()
    ]
    rates = [
        (
            run.curve("train", "learning_rate", group),
            called(run, group),
            place if alone else number,
            STYLES[place % len(STYLES)],
        )
        for number, run in numbered
        for place, group in enumerate(run.names("train", "learning_rate"))
    ]
    return [
        *_plot("Training loss", "loss", training),
        *_plot("Validation loss", "loss", validation),
        *_gap_plot("Graph gap", runs),
        *_gap_plot("Graph gap with boxes hidden", runs, BOXES_HIDDEN),
        *_plot("Learning rate", "rate", rates),
    ]


def own_plots(run: Run) -> list[Plot]:
    """Gradients, gates and other figures of the injectors, and the losses of conditions' own."""

    def lines(*place: str, gap: str = "_") -> list[Line]:
        names = enumerate(run.names("train", *place))
        return [(run.curve("train", *place, name), name.replace("_", gap), n, "-") for n, name in names]

    plots = _plot("Gradient norms", "norm before clipping", lines("gradient_norms"))
    for section, title in (("injectors", "Injector"), ("own_losses", "Own loss")):
        for condition in run.names("train", section):
            plots += _plot(f"{title} of {condition}", "figure", lines(section, condition, gap=" "))
    return plots


def _gap_plot(title: str, runs: Sequence[Run], condition: str = "") -> list[Plot]:
    """The gaps of all runs with their intervals."""
    lines: list[Line] = []
    bands: dict[int, dict[int, Measurement]] = {}
    for number, run in enumerate(runs):
        found = {int(record["step"]): gap_of(record, condition) for record in run.of("validation")}
        gaps = {step: gap for step, gap in found.items() if gap is not None}
        means = [gap.mean if isinstance(gap, Measurement) else gap for gap in gaps.values()]
        lines.append((Curve(tuple(gaps), tuple(means)), run.label, number, "-"))
        bands[number] = {step: gap for step, gap in gaps.items() if isinstance(gap, Measurement)}
    return _plot(title, "% of the loss without graph", lines, bands)


def _plot(
    title: str,
    unit: str,
    lines: Sequence[Line],
    bands: Mapping[int, Mapping[int, Measurement]] | None = None,
) -> list[Plot]:
    """The plot, or nothing where there is no curve; ``bands``, by color, come with a line at 0."""
    with drawing():
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        for curve, label, number, style in lines:
            if curve.steps:
                axes.plot(
                    *(curve.steps, curve.values, style),
                    color=COLORS[number % len(COLORS)],
                    # A leading underscore would hide the line in the legend.
                    label=line(f" {label}" if label.startswith("_") else label),
                    marker="o" if len(curve.steps) < 12 else None,
                    markersize=3.5,
                )
        if not axes.lines:
            return []
        for number, band in (bands or {}).items():
            lows, highs = ([getattr(gap, end) for gap in band.values()] for end in ("low", "high"))
            color = COLORS[number % len(COLORS)]
            axes.fill_between(list(band), lows, highs, color=color, alpha=0.15, linewidth=0)
        if bands is not None:
            axes.axhline(0, color="#9ca3af", linewidth=1)
        axes.set(title=line(title), xlabel="optimizer step", ylabel=unit)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.margins(x=0.02)
        named = [one for one in axes.lines if not str(one.get_label()).startswith("_")]
        if len(named) > 1:
            longest = max(len(str(one.get_label())) for one in named)
            figure.legend(handles=named, loc="outside lower left", ncols=2 if longest < LONG else 1)
    return [Plot(title, figure)]
