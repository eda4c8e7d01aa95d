"""``graphcond data export``: a graph as other programs read it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphcond.cli.sampler_options import Source
from graphcond.errors import InputError
from graphcond.io.files import check_writable
from graphcond.io.terminal import say
from graphcond.progress import progress_bars

if TYPE_CHECKING:
    from graphcond.attributed_graph import AttributedGraph

EDGES, PYG, METADATA = (".csv", ".csv.gz", ".parquet"), ".pt", ".jsonl"


def export(
    folder: Source,
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Edges as .csv, .csv.gz or .parquet; the graph for PyG as .pt; targets and their neighbors "
            "as metadata.jsonl.",
        ),
    ],
    neighbors: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For metadata.jsonl: what `graphcond sample-all` wrote."),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="For metadata.jsonl: only targets of this split; repeatable."),
    ] = None,
) -> None:
    """Write a graph for other programs; the ending of FILE decides what.

    A table of edges has the columns src and dst, and type and weight where edges have them; `data build`
    reads it. A .pt file is a dict of tensors: `Data.from_dict(torch.load(FILE))` makes a PyG graph of it, or
    `HeteroData.from_dict` where nodes have types. metadata.jsonl is what InstructG2I reads; it lies where the
    pictures are, and leaves out targets and neighbors that have none.

    For example:

        graphcond data export graphs/shop --out shop.parquet

        graphcond data export graphs/shop --out shop/metadata.jsonl --neighbors neighbors.safetensors
    """
    if not out.name.endswith((*EDGES, PYG, METADATA)):
        raise InputError(
            f"'{out.suffix}' is not an export format",
            place="--out",
            remedy=f"end it in {', '.join((*EDGES, PYG, METADATA))}",
        )
    if out.suffix != METADATA and (neighbors or split):
        option = "--neighbors" if neighbors else "--split"
        raise InputError("goes with metadata.jsonl only", place=option, remedy="leave the option out")
    if out.suffix == METADATA and neighbors is None:
        raise InputError(
            "metadata.jsonl holds sampled neighbors",
            place="--out",
            remedy="sample them with graphcond sample-all and add --neighbors FILE",
        )
    check_writable(out)
    from graphcond.graphs import export_edges, load_graph

    graph = load_graph(folder)
    if neighbors is not None:
        told = _export_metadata(graph, neighbors, out, split)
    elif out.suffix == PYG:
        from graphcond.graphs.formats.pyg import write_pyg

        write_pyg(graph, out)
        kind = "Data" if graph.nodes.types is None else "HeteroData"
        told = f"{len(graph)} nodes, for {kind}.from_dict(torch.load('{out.name}'))"
    else:
        with progress_bars() as watch:
            told = f"{export_edges(graph, out, watch('writing edges'))} edges"
    say(f"{out}: {told}")


def _export_metadata(graph: AttributedGraph, stored: Path, out: Path, split: Sequence[str] | None) -> str:
    import numpy as np

    from graphcond.graphs import export_metadata
    from graphcond.samplers.neighbor_file import read_neighbors
    from graphcond.samplers.precomputed import PrecomputedSampler

    context = read_neighbors(stored).context
    sampler = PrecomputedSampler(graph, stored, neighbors=context.neighbors.shape[1])
    targets = context.targets
    if split:
        targets = targets[np.isin(targets, graph.nodes.in_split(*split))]
        if not len(targets):
            raise InputError(
                f"no target is in {' or '.join(split)}", place="--split", remedy="name a split of the graph"
            )
    pictured = np.array([graph.nodes.pictures[node] is not None for node in targets.tolist()], bool)
    export_metadata(graph, sampler.sample(targets[pictured], np.random.default_rng(0)), out)
    left_out = len(targets) - int(pictured.sum())
    told = f", {left_out} without a picture left out" if left_out else ""
    return f"{len(targets) - left_out} targets{told}"
