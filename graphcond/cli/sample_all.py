"""graphcond sample-all: the neighbors of all targets, sampled ahead into one file."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphcond.cli import sampler_options as ask
from graphcond.cli.options import LOCAL, On
from graphcond.cli.sample import make_sampler
from graphcond.errors import InputError
from graphcond.io.terminal import say

if TYPE_CHECKING:
    from graphcond.recipe.sections import AnyFeatures
    from graphcond.samplers import NeighborSampler, NeighborSamplerConfig


def sample_all(
    folder: ask.Source,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write, as .safetensors.")],
    sampler: ask.Sampler = None,
    recipe: ask.FromRecipe = None,
    set_: ask.Settings = None,
    features: ask.Features = None,
    split: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only the targets of this split; all unless given.")
    ] = None,
    seed: ask.Seed = 0,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="This process does share I (from 0) of N; RANK and WORLD_SIZE decide unless given.",
        ),
    ] = None,
    on: On = LOCAL,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes of this command; on Ray one for each CPU unless given."),
    ] = None,
) -> None:
    """Sample the neighbors of all targets into a file that recipes read.

    A killed run continues where it was when it is started again, and gives the same file. Several machines
    that share a disk: give each its --shard, or accelerate launch -m graphcond sample-all ...; the last to
    finish writes the file. Machines of a Ray cluster: --on ray.

    For example:

        graphcond sample-all graphs/paintings --sampler ppr --set neighbors=20 --out neighbors.safetensors

        graphcond sample-all graphs/paintings --out neighbors.safetensors --shard 0/2 --workers 4

    A recipe reads it with sampler: {kind: precomputed, path: neighbors.safetensors}.
    """
    import numpy as np

    from graphcond.data.dataset import GraphDataset
    from graphcond.features.feature_cache import EmbeddingTable
    from graphcond.graphs import load_graph
    from graphcond.graphs.store import folder_state
    from graphcond.precompute import plan_of, precompute, share_of
    from graphcond.precompute.places import place_named
    from graphcond.progress import progress_bars

    share, place = share_of(shard, os.environ), place_named(on, workers if on != LOCAL else None, gpu=False)
    source = folder_state(folder)
    graph = load_graph(folder)
    config, network = ask.chosen_sampler(graph, sampler, recipe, set_ or [], features)
    data = GraphDataset(graph)
    if split is not None and data.columns.splits is None:
        raise InputError("the graph has no splits", place="--split", remedy="leave it out")
    targets = np.arange(len(data)) if split is None else data.rows(split, place="--split")
    with progress_bars() as watch:
        embeddings = ask.embed(graph, network, watch) if config.reads_embeddings else None
        # All rows that are compared, now: workers then find them in the cache, and compute none twice.
        for name, table in vars(embeddings).items() if embeddings is not None else ():
            if name in config.columns() and isinstance(table, EmbeddingTable):
                table.fill()
        plan = replace(plan_of(out, graph, config, embeddings, targets, seed=seed), source=source)
        done = precompute(
            plan,
            partial(make_sampler, graph, config, embeddings, watch),
            share,
            workers=workers or 1,
            in_workers=partial(_build, folder.absolute(), config, network),
            on=place,
            progress=watch("sampling targets"),
        )
    if done:
        say(f"neighbors of {len(plan.targets)} targets: {out}")
    else:
        say(f"share {share.index} of {share.count} is done; the last to finish writes {out}")


def _build(folder: Path, config: NeighborSamplerConfig, features: AnyFeatures) -> NeighborSampler:
    """In a worker: maps the graph's folder and reads the embeddings that are cached by now."""
    from graphcond.graphs import load_graph
    from graphcond.progress import silent

    graph = load_graph(folder)
    embeddings = ask.embed(graph, features, silent) if config.reads_embeddings else None
    return make_sampler(graph, config, embeddings, silent)
