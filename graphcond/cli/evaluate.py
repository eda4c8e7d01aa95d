"""graphcond evaluate: score a model without graph, with it, and with a shuffled one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphcond.errors import InputError
from graphcond.io.terminal import say

if TYPE_CHECKING:
    from graphcond.recipe import Recipe
    from graphcond.recipe.sections import AnyData


def evaluate(
    model: Annotated[str, typer.Argument(help="Folder of a trained model, or a hub id.")],
    graph: Annotated[
        Path | None,
        typer.Option(
            help="A graph folder, or any source that `data build` reads; for a model of scene graphs, any "
            "source of those. The recipe's own data unless given."
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="The split whose nodes or scenes are drawn.")] = "test",
    protocol: Annotated[
        str | None, typer.Option(help="instructg2i, art or scenes; the recipe's unless given.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=2, help="Draw at most this many.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Score only this. Repeat for more.")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Denoising steps; the protocol's unless given.")
    ] = None,
    boxes: Annotated[
        bool, typer.Option(help="Show a model of scene graphs the boxes that scenes give.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Of noise, shuffling and intervals.")] = 0,
    device: Annotated[
        str | None, typer.Option(help="cuda, mps or cpu; the best there is unless given.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the report here, as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Draw the nodes or scenes of a split in three arms on the same noise, and score them with intervals.

    Example: graphcond evaluate outputs/demo/model --graph outputs/demo/graph --limit 100 --out report.json
    """
    from graphcond.data.open import open_data
    from graphcond.evaluation.protocols import get_protocol
    from graphcond.evaluation.targets import evaluate_model
    from graphcond.io.files import check_writable, write_json
    from graphcond.io.tensors import pick_device
    from graphcond.pipeline import GraphPipeline
    from graphcond.progress import progress_bars
    from graphcond.saving.model_folder import saved_recipe

    if out is not None:
        check_writable(out)
    recipe = saved_recipe(model)
    chosen = get_protocol(protocol or recipe.evaluation.protocol, place="--protocol")
    chosen = replace(
        chosen,
        metrics=tuple(dict.fromkeys(metric)) if metric else chosen.metrics,
        steps=steps or chosen.steps,
    )
    with progress_bars() as watch:
        data = open_data(_data_of(recipe, graph), progress=watch("drawing the world"))
        rows = data.evaluated(split)[:limit]
        if len(rows) < 2:
            raise InputError(
                f"the split '{split}' has only one target", place=graph, remedy="evaluate two or more"
            )
        pipe = GraphPipeline.from_pretrained(model, device=pick_device(device, place="--device"))
        forbidden = data.forbidden(split, *recipe.data.forbidden_splits)
        reports = evaluate_model(
            pipe, data, rows, chosen, forbidden=forbidden, boxes=boxes, seed=seed, watch=watch
        )
    content = {name: report.to_json() for name, report in reports.items()}
    if out is not None:
        write_json(out, content)
    if as_json:
        say(json.dumps(content))
    else:
        for report in reports.values():
            report.print()


def _data_of(recipe: Recipe, path: Path | None) -> AnyData:
    """The data for the evaluation: ``path`` as the model's recipe would read it, or the recipe's own data."""
    from graphcond.recipe.sections import MmagData, SceneData

    if path is None:
        if recipe.data.left_open:
            raise InputError(
                "the model names no data, so a folder is needed", place="--graph", remedy="name the folder"
            )
        return recipe.data
    forbidden = recipe.data.forbidden_splits
    if recipe.data.kind == "mmag":
        return recipe.data.model_copy(update={"path": path})
    if not recipe.data.has_scenes:
        return MmagData(path=path, forbidden_splits=forbidden)
    if recipe.data.kind == "scenes":
        return recipe.data.model_copy(update={"path": path, "format": None, "pictures": None})
    return SceneData(path=path, forbidden_splits=forbidden)
