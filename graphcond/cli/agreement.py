"""How often neighbors have the label of their target, by sampler: ``graphcond sample --agreement``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int64

from graphcond.cli.sampler_options import embed
from graphcond.io.terminal import console, say

if TYPE_CHECKING:
    from graphcond.attributed_graph import AttributedGraph, Column
    from graphcond.context import NeighborContext
    from graphcond.recipe.sections import AnyFeatures
    from graphcond.samplers import NeighborSamplerConfig

TARGETS = 200
"""Most targets that are sampled for."""


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
