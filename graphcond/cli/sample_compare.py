"""What every sampler chooses for one node: ``graphcond sample --target ID --compare``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.markup import escape
from rich.table import Table

from graphcond.attributed_graph import AttributedGraph
from graphcond.cli.agreement import rivals, tried
from graphcond.cli.sample import cell_of
from graphcond.drawing.sheets import Cell, contact_sheet
from graphcond.io.pictures import picture_format, write_picture
from graphcond.io.terminal import console, say
from graphcond.recipe.sections import AnyFeatures

SHOWN = 8
"""Most neighbors of a sampler on the sheet and in the table, the best ones."""


def compare_all(
    graph: AttributedGraph, row: int, network: AnyFeatures, file: Path, *, seed: int, as_json: bool
) -> None:
    """Draw on a sheet what every sampler chooses for a node, and print it.

    Args:
        graph: the graph.
        row: the node.
        network: the features with which samplers compare nodes.
        file: the sheet.
        seed: of random choices, the same for all samplers.
        as_json: whether to print JSON.

    Raises:
        InputError: the name of the file does not end like a picture, or a picture cannot be read.
    """
    picture_format(file)
    configs = rivals(graph, network.columns)
    found: dict[str, list[int]] = {
        name: context.neighbors[context.present].tolist()
        for name, context in tried(graph, configs, network, np.array([row]), seed=seed)
    }
    draw_compared(graph, row, found, file)
    ids = graph.nodes.ids
    if as_json:
        chosen = {name: [ids[node] for node in nodes] for name, nodes in found.items()}
        say(json.dumps({"target": ids[row], "neighbors": chosen, "sheet": str(file)}, ensure_ascii=False))
        return
    table = Table("sampler", "neighbors, best first", title=escape(f"{ids[row]}: {graph.nodes.texts[row]}"))
    for name, nodes in found.items():
        more = f", and {len(nodes) - SHOWN} more" if len(nodes) > SHOWN else ""
        table.add_row(name, escape(", ".join(ids[node] for node in nodes[:SHOWN]) + more))
    console().print(table)
    say(f"sheet: {file}")


def draw_compared(graph: AttributedGraph, row: int, found: Mapping[str, Sequence[int]], file: Path) -> None:
    """A line for each sampler: the target and its neighbors, with their texts."""
    width = max(1, *(min(SHOWN, len(nodes)) for nodes in found.values()))
    lines: list[list[Cell | None]] = []
    for nodes in found.values():
        shown = [row, *nodes[:SHOWN]]
        cells = [cell_of(graph, node, graph.nodes.texts[node] or graph.nodes.ids[node]) for node in shown]
        lines.append([*cells, *[None] * (1 + width - len(cells))])
    sheet = contact_sheet(
        lines,
        row_labels=[f"{name} ({SHOWN} of {len(n)})" if len(n) > SHOWN else name for name, n in found.items()],
        column_labels=["target", *map(str, range(1, width + 1))],
        title=f"Neighbors of {graph.nodes.ids[row]}, by sampler",
        group_starts={1},
    )
    write_picture(file, sheet)
