"""The metrics of a sweep against a number, such as that of the neighbors."""

from __future__ import annotations

import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from graphcond.sweep.config import SweepConfig
from graphcond.sweep.results import Group, Results
from graphcond.sweep.rows import ROW

MOST = 4
"""Metrics that are shown, the first ones."""


def draw_curves(config: SweepConfig, results: Results) -> Image.Image | None:
    """A row of panels for each metric, a panel for each value of the other paths, a curve for each row.

    Bars are 95 % intervals over targets. None if the sweep asks for no curves, or nothing was measured.
    """
    path = config.curves
    keys = [key for key in results.keys if key[1] in ("graph", "")][:MOST]
    if path is None or not keys:
        return None
    values = {**config.grid, **config.drawn}[path]
    numbers = list(values.values()) if isinstance(values, dict) else values
    order = list(dict.fromkeys(group.labels[path] for group in results.groups))
    at = dict(zip(order, numbers, strict=True))

    def others(group: Group) -> str:
        return ", ".join(label for key, label in group.labels.items() if key not in (path, ROW))

    columns = list(dict.fromkeys(map(others, results.groups)))
    figure = Figure(figsize=(1 + 3.6 * len(columns), 0.8 + 2.7 * len(keys)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(keys), len(columns), sharex=True, sharey="row", squeeze=False)
    for line, key in zip(panels, keys, strict=True):
        for panel, column in zip(line, columns, strict=True):
            here = [group for group in results.groups if others(group) == column and key in group.values]
            for name in dict.fromkeys(group.labels.get(ROW, config.name) for group in here):
                curve = [group for group in here if group.labels.get(ROW, config.name) == name]
                found = [group.values[key].over_targets for group in curve]
                spread = [[one.mean - one.low for one in found], [one.high - one.mean for one in found]]
                xs = [at[group.labels[path]] for group in curve]
                means = [one.mean for one in found]
                panel.errorbar(xs, means, yerr=spread, marker="o", markersize=4, capsize=2, label=name)
            panel.set_title(column, fontsize=9)
            panel.set_xscale("log", base=2)
            panel.set_xticks(numbers, [str(number) for number in numbers])
            panel.grid(alpha=0.3)
            panel.tick_params(labelsize=8)
        line[0].set_ylabel(key[0], fontsize=9)
    for panel in panels[-1]:
        panel.set_xlabel(path.rpartition(".")[2], fontsize=9)
    panels[0][0].legend(fontsize=8)
    with io.BytesIO() as stream:
        figure.savefig(stream, format="png", metadata={"Software": None})
        return Image.open(stream).convert("RGB")
