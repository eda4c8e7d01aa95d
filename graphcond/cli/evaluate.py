"""graphcond evaluate: score a model without graph, with it, and with a shuffled one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphcond.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphcond.evaluation import EvaluationReport


def evaluate(
    model: Annotated[str, typer.Argument(help="Folder of a trained model, or a hub id.")],
    graph: Annotated[Path, typer.Option(help="A graph folder, or any source that `data build` reads.")],
    split: Annotated[str, typer.Option(help="The split whose nodes are drawn.")] = "test",
    protocol: Annotated[
        str | None, typer.Option(help="instructg2i or art; the recipe's unless given.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=2, help="Draw at most this many nodes.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Score only this. Repeat for more.")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Denoising steps; the protocol's unless given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of noise, shuffling and intervals.")] = 0,
    device: Annotated[
        str | None, typer.Option(help="cuda, mps or cpu; the best there is unless given.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the report here, as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Draw the nodes of a split in three arms on the same noise, and score them with intervals.

    Example: graphcond evaluate outputs/demo/model --graph outputs/demo/graph --limit 100 --out report.json
    """
    from graphcond.cli.options import pick_device
    from graphcond.evaluation.nodes import evaluate_model, rows_of_split
    from graphcond.evaluation.protocols import get_protocol
    from graphcond.files import check_writable, write_json
    from graphcond.graphs import load_graph
    from graphcond.pipeline import GraphPipeline
    from graphcond.progress import progress_bars

    if out is not None:
        check_writable(out)
    nodes = load_graph(graph)
    rows = rows_of_split(nodes, split)[:limit]
    if len(rows) < 2:
        raise InputError(f"the split '{split}' has only one node", place=graph, remedy="evaluate two or more")
    with progress_bars() as watch:
        pipe = GraphPipeline.from_pretrained(model, device=pick_device(device))
        chosen = get_protocol(protocol or pipe.model.recipe.evaluation.protocol, place="--protocol")
        chosen = replace(
            chosen,
            metrics=tuple(dict.fromkeys(metric)) if metric else chosen.metrics,
            steps=steps or chosen.steps,
        )
        forbidden = nodes.nodes.in_split(split, *pipe.model.recipe.data.forbidden_splits)
        reports = evaluate_model(pipe, nodes, rows, chosen, forbidden=forbidden, seed=seed, watch=watch)
    content = _content(reports)
    if out is not None:
        write_json(out, content)
    if as_json:
        print(json.dumps(content))
    else:
        for report in reports.values():
            report.print()


def _content(reports: Mapping[str, EvaluationReport]) -> dict[str, object]:
    return {name: report.to_json() for name, report in reports.items()}
