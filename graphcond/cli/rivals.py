"""Samplers beside each other: ``graphcond sample --compare`` and ``graphcond sample --agreement``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int64

from graphcond.cli.sampler_options import embed
from graphcond.io.terminal import console, say

if TYPE_CHECKING:
    from graphcond.attributed_graph import AttributedGraph, Column
    from graphcond.context import NeighborContext
    from graphcond.drawing.sheets import Cell
    from graphcond.recipe.sections import AnyFeatures
    from graphcond.samplers import NeighborSamplerConfig

TARGETS = 200
"""Most targets that are sampled for."""

SHOWN = 8
"""Most neighbors of a sampler on the sheet and in the table, the best ones."""


def rivals(graph: AttributedGraph, columns: frozenset[Column]) -> dict[str, NeighborSamplerConfig]:
    """The samplers to try on a graph that has these ``columns`` of embeddings."""
    from graphcond.samplers import SAMPLERS, NeighborSamplerConfig
    from graphcond.samplers.defaults import RIVALS, default_sampler

    pictured = any(picture is not None for picture in graph.nodes.pictures)
    found: dict[str, NeighborSamplerConfig] = {}
    for name, settings in {**RIVALS, "the default": default_sampler(graph, columns)}.items():
        values = {**settings, "require_picture": pictured}
        config = SAMPLERS[values["kind"]].model_validate(values)
        if not isinstance(config, NeighborSamplerConfig) or config in found.values():
            continue
        if config.requires() <= (columns if pictured else columns - {"pictures"}):
            found[name] = config
    return found


def tried(
    graph: AttributedGraph,
    configs: Mapping[str, NeighborSamplerConfig],
    network: AnyFeatures,
    targets: Int64[np.ndarray, " n"],
    *,
    seed: int,
    forbidden: Int64[np.ndarray, " f"] | None = None,
) -> Iterator[tuple[str, NeighborContext]]:
    """What each of ``configs`` chooses for the same targets, with bars of the progress."""
    from graphcond.progress import progress_bars

    with progress_bars() as watch:
        needed = any(config.reads_embeddings for config in configs.values())
        embeddings = embed(graph, network, watch) if needed else None
        progress = watch("trying samplers")
        for done, (name, config) in enumerate(configs.items(), 1):
            sampler = config.build(graph=graph, embeddings=embeddings, forbidden=forbidden)
            yield name, sampler.sample(targets, np.random.default_rng(seed))
            progress(done, len(configs))


def show_agreement(
    graph: AttributedGraph,
    column: str,
    configs: Mapping[str, NeighborSamplerConfig],
    network: AnyFeatures,
    *,
    seed: int,
    as_json: bool,
) -> None:
    """Print the share of neighbors with their target's label, for each of ``configs``.

    Targets are at most `TARGETS` nodes with a label: of the split ``test``, whose nodes are then never
    neighbors, or of the whole graph if it has none.

    Raises:
        InputError: no such column, or no node has a label.
    """
    from graphcond.data.dataset import GraphDataset
    from graphcond.intervals import measured
    from graphcond.report import Table

    data, held_out = GraphDataset(graph), graph.nodes.in_split("test")
    labels, among = data.labels(column), held_out if len(held_out) else np.arange(len(graph))
    targets = data.labelled(column, among, limit=TARGETS, seed=seed)
    found = {
        name: measured(column, context.agreement(labels), len(targets), "mean", seed=seed)
        for name, context in tried(graph, configs, network, targets, seed=seed, forbidden=held_out)
    }
    if as_json:
        say(json.dumps({name: asdict(figure) for name, figure in found.items()}, ensure_ascii=False))
        return
    table = Table.of(
        [
            {"sampler": name, f"same {column}": one.mean, "95 % interval": f"{one.low:.2f} to {one.high:.2f}"}
            for name, one in found.items()
        ]
    )
    console().print(table.to_rich())
    of = "of the split 'test'" if len(held_out) else "of the graph"
    say(f"share of neighbors with the {column} of their target, over {len(targets):,} targets {of}")


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
    from rich.markup import escape
    from rich.table import Table

    from graphcond.io.pictures import picture_format

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
    from graphcond.cli.sample import cell_of
    from graphcond.drawing.sheets import contact_sheet
    from graphcond.io.pictures import write_picture

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
