"""The figures of a sweep as a plot."""

from __future__ import annotations

import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from graphcond.sweep.config import SweepConfig
from graphcond.sweep.results import Results

MOST = 6
"""Metrics that are shown, the first ones."""
WIDTH, LINE = 3.2, 0.32
"""Inches of a panel, and of a line in it."""


def draw_plot(config: SweepConfig, results: Results) -> Image.Image | None:
    """A panel for each metric, a line for each row: its figure with its interval; None without figures.

    Intervals over seeds are drawn thicker behind those over targets.
    """
    keys = [key for key in results.keys if key[1] in ("graph", "")][:MOST]
    groups = [group for group in results.groups if group.values]
    if not keys or not groups:
        return None
    size = (2.6 + WIDTH * len(keys), 1.1 + LINE * len(groups))
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(keys), sharey=True, squeeze=False)[0]
    for panel, key in zip(panels, keys, strict=True):
        for place, group in enumerate(groups):
            value = group.values.get(key)
            if value is None:
                continue
            for one, width, color in ((value.over_seeds, 5, "#c9d3e3"), (value.over_targets, 1.5, "#2b4c7e")):
                if one is not None:
                    panel.plot([one.low, one.high], [place, place], color=color, linewidth=width)
            panel.plot([value.over_targets.mean], [place], "o", color="#2b4c7e", markersize=4)
        better = results.higher_is_better(key[0])
        panel.set_title(key[0] if better is None else f"{key[0]} {'↑' if better else '↓'}", fontsize=9)
        panel.grid(axis="x", alpha=0.3)
        panel.tick_params(labelsize=8)
    panels[0].set_yticks(range(len(groups)), [group.name for group in groups])
    panels[0].invert_yaxis()
    figure.suptitle(f"{config.name}: 95 % intervals", fontsize=10)
    with io.BytesIO() as stream:
        figure.savefig(stream, format="png", metadata={"Software": None})
        return Image.open(stream).convert("RGB")
