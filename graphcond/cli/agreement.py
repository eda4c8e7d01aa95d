"""How often neighbors have the label of their target, by sampler: ``graphcond sample --agreement``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from graphcond.errors import InputError
from graphcond.io.terminal import console, say

if TYPE_CHECKING:
    from graphcond.attributed_graph import AttributedGraph, Column, NodeEmbeddings
    from graphcond.intervals import Measurement
    from graphcond.progress import Watch
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


def show_agreement(
    graph: AttributedGraph,
    column: str,
    configs: Mapping[str, NeighborSamplerConfig],
    embeddings: NodeEmbeddings | None,
    *,
    seed: int,
    as_json: bool,
    watch: Watch,
) -> None:
    """Print the share of neighbors with their target's label, for each of ``configs``.

    Targets are at most `TARGETS` nodes with a label: of the split ``test``, whose nodes are then never
    neighbors, or of the whole graph if it has none.

    Raises:
        InputError: no such column, or no node has a label.
    """
    import numpy as np

    from graphcond.data.dataset import GraphDataset
    from graphcond.intervals import Measurement, bootstrap_interval

    labels = GraphDataset(graph).labels(column)
    held_out = graph.nodes.in_split("test")
    rows = held_out if len(held_out) else np.arange(len(graph))
    labelled = np.array([row for row in rows.tolist() if labels[row]], np.int64)
    if not len(labelled):
        raise InputError(f"no target has a {column}", place="--agreement", remedy="name another column")
    generator = np.random.default_rng(seed)
    targets = np.sort(generator.permutation(labelled)[:TARGETS])
    progress, found = watch("sampling"), dict[str, Measurement]()
    for done, (name, config) in enumerate(configs.items(), 1):
        sampler = config.build(graph=graph, embeddings=embeddings, forbidden=held_out)
        shares = sampler.sample(targets, np.random.default_rng(seed)).agreement(labels)
        interval = bootstrap_interval(shares, seed=seed)
        found[name] = Measurement(column, float(shares.mean()), *interval, n=len(targets))
        progress(done, len(configs))
    if as_json:
        say(json.dumps({name: asdict(figure) for name, figure in found.items()}, ensure_ascii=False))
        return
    _print(found, column, "test" if len(held_out) else None)


def _print(found: Mapping[str, Measurement], column: str, split: str | None) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("sampler", f"same {escape(column)}", "95 % interval")
    for name, figure in found.items():
        table.add_row(name, f"{figure.mean:.2f}", f"{figure.low:.2f} to {figure.high:.2f}")
    console().print(table)
    of = f"of the split '{split}'" if split else "of the graph"
    count = next(iter(found.values())).n
    say(f"share of neighbors with the {column} of their target, over {count:,} targets {of}")
