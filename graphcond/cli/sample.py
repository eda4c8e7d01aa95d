"""graphcond sample: which neighbors a sampler chooses for a node."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphcond.cli import sampler_options as ask
from graphcond.cli.options import AsJson
from graphcond.errors import InputError
from graphcond.io.terminal import console, say

if TYPE_CHECKING:
    from graphcond.attributed_graph import AttributedGraph, NodeEmbeddings
    from graphcond.context import NeighborContext
    from graphcond.drawing.sheets import Cell
    from graphcond.progress import Watch
    from graphcond.samplers import NeighborSampler, NeighborSamplerConfig

LONGEST = 512


def sample(
    folder: ask.Source,
    target: Annotated[
        str | None, typer.Option(metavar="ID", help="The node, by its id in the source.")
    ] = None,
    agreement: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="In place of a node: how often neighbors have their target's value in this column, for the "
            "sampler that is named, or for all of them.",
        ),
    ] = None,
    sampler: ask.Sampler = None,
    recipe: ask.FromRecipe = None,
    set_: ask.Settings = None,
    features: ask.Features = None,
    seed: ask.Seed = 0,
    as_json: AsJson = False,
    picture: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw the target and its neighbors in a row.")
    ] = None,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="Show what every sampler chooses, on a sheet: --picture, or outputs/compare.png.",
        ),
    ] = False,
) -> None:
    """Show the neighbors that a sampler chooses for a node, best first.

    For example:

        graphcond sample graphs/paintings --target 7

        graphcond sample graphs/paintings --target 7 --sampler semantic_ppr --set similarity.kind=text_image

        graphcond sample graphs/paintings --target 7 --compare

        graphcond sample graphs/paintings --agreement artist
    """
    import numpy as np

    from graphcond.attributed_graph import rows_named
    from graphcond.cli.rivals import compare_all, rivals, show_agreement
    from graphcond.graphs import load_graph
    from graphcond.progress import progress_bars

    graph = load_graph(folder)
    config, network = ask.chosen_sampler(graph, sampler, recipe, set_ or [], features)
    if agreement is not None and target is None:
        alone = sampler or recipe or set_
        configs = {config.kind: config} if alone else rivals(graph, network.columns)
        show_agreement(graph, agreement, configs, network, seed=seed, as_json=as_json)
        return
    if target is None or agreement is not None:
        raise InputError(
            "expected either a node or a column", place="--target, --agreement", remedy="name one of the two"
        )
    row = int(rows_named([target], graph.nodes.index, noun="node", place=folder)[0])
    if compare:
        if sampler or recipe or set_:
            raise InputError("it compares all samplers", place="--compare", remedy="name no sampler")
        compare_all(graph, row, network, picture or Path("outputs/compare.png"), seed=seed, as_json=as_json)
        return
    with progress_bars() as watch:
        embeddings = ask.embed(graph, network, watch) if config.reads_embeddings else None
        built = make_sampler(graph, config, embeddings, watch)
        context = built.sample(np.array([row]), np.random.default_rng(seed))
    chosen = _described(graph, context)
    if picture is not None:
        _draw(graph, row, chosen, picture, f"{config.kind}: neighbors of {target}")
    if as_json:
        say(json.dumps({"target": target, "neighbors": chosen}, ensure_ascii=False))
    elif chosen:
        _show(f"{target}: {graph.nodes.texts[row]}", chosen)
    elif config.require_picture:
        say(f"{target} has no neighbors with a picture. --set require_picture=false takes others too.")
    else:
        say(f"{target} has no neighbors.")


def make_sampler(
    graph: AttributedGraph,
    config: NeighborSamplerConfig,
    embeddings: NodeEmbeddings | None,
    watch: Watch,
) -> NeighborSampler:
    """The sampler, with relations where edges have types; ``watch`` is told while it is made.

    Trying out how to compute PageRank takes half a minute on 50 million edges, the first time.
    """
    from graphcond.progress import during
    from graphcond.samplers import RelatingSampler

    with during(watch, "making the sampler"):
        return RelatingSampler(graph, config.build(graph=graph, embeddings=embeddings))


def _described(graph: AttributedGraph, context: NeighborContext) -> list[dict[str, Any]]:
    """The neighbors of the only target, as JSON has them."""
    from graphcond.attributed_graph import ABSENT

    chosen = [
        {
            "id": graph.nodes.ids[node],
            "score": float(f"{score:.6g}"),
            "text": graph.nodes.texts[node],
            "picture": graph.nodes.pictures[node],
        }
        for node, score in zip(context.neighbors[0].tolist(), context.scores[0].tolist(), strict=True)
        if node != ABSENT
    ]
    if context.relations is not None:
        names = (None, *graph.relation_names)
        for neighbor, relation in zip(chosen, context.relations[0].tolist(), strict=False):
            neighbor["relation"] = names[relation]
    return chosen


def _show(title: str, chosen: Sequence[dict[str, Any]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    related = ["relation"] if "relation" in chosen[0] else []
    table = Table("id", "score", *related, "text", title=escape(title), title_justify="left")
    for neighbor in chosen:
        relation = [escape(neighbor[name] or "") for name in related]
        table.add_row(escape(neighbor["id"]), f"{neighbor['score']:.4g}", *relation, escape(neighbor["text"]))
    console().print(table)


def cell_of(graph: AttributedGraph, node: int, caption: str) -> Cell:
    """The picture of a node on a sheet."""
    from graphcond.drawing.sheets import Cell
    from graphcond.io.pictures import open_picture

    path = graph.picture_path(node)
    return Cell(None if path is None else open_picture(path, longest=LONGEST), caption)


def _draw(graph: AttributedGraph, row: int, chosen: Sequence[dict[str, Any]], file: Path, title: str) -> None:
    from graphcond.drawing.sheets import contact_sheet
    from graphcond.io.pictures import picture_format, write_picture

    picture_format(file)  # before pictures are read
    rows = [row, *(graph.nodes.index[neighbor["id"]] for neighbor in chosen)]
    scores = ["target", *(f"{neighbor['score']:.3g}" for neighbor in chosen)]
    sheet = contact_sheet(
        [[cell_of(graph, node, caption) for node, caption in zip(rows, scores, strict=True)]],
        column_labels=[graph.nodes.texts[node] or graph.nodes.ids[node] for node in rows],
        title=title,
        group_starts={1},
    )
    write_picture(file, sheet)
