"""A picture of how many neighbors nodes have."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from graphcond.errors import InputError
from graphcond.files import atomic_file
from graphcond.types import AttributedGraph


def draw_degrees(graph: AttributedGraph, file: Path | str) -> None:
    """Draw a histogram of degrees, both axes logarithmic, as PNG.

    Degree 0 stands at the left edge, since a logarithm has no place for it.

    Raises:
        InputError: the graph has no nodes.
    """
    from matplotlib.figure import Figure

    if not len(graph):
        raise InputError("a graph without nodes has no degrees to draw", place=file)
    largest = max(int(graph.degrees.max()), 1)
    bins = np.unique(np.geomspace(1, largest + 1, 40).astype(int))
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.hist(np.maximum(graph.degrees, 0.5), bins=[0.5, *bins], color="#31688e")
    axes.set(xscale="log", yscale="log", xlabel="neighbors", ylabel="nodes")
    with atomic_file(Path(file)) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
