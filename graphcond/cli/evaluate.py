"""graphcond evaluate: score a model without graph, with it, and with a shuffled one."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphcond.cli.options import AsJson, BaseFolder, Device, Model, TrustRemoteCode
from graphcond.errors import InputError, Notice
from graphcond.io.terminal import say

if TYPE_CHECKING:
    from graphcond.evaluation import EvaluationReport, PictureSet, Targets
    from graphcond.recipe import Recipe
    from graphcond.recipe.sections import AnyData

SHOWN = 8
"""Targets on the sheet of a report."""


def evaluate(
    model: Model,
    graph: Annotated[
        Path | None,
        typer.Option(
            help="A graph folder, or any source that `data build` reads; for a model of scene graphs, any "
            "source of those. The recipe's own data unless given."
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="The split whose nodes or scenes are drawn.")] = "test",
    protocol: Annotated[
        str | None,
        typer.Option(
            help="own (any data with pictures), instructg2i, art or scenes; the recipe's unless given."
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Also score how often a picture shows its target's class."),
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
    base: BaseFolder = None,
    device: Device = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where to write the report: a .json file, or a folder of JSON, table and pictures. Unless "
            "given, the run folder keeps it if the model is the end of a run."
        ),
    ] = None,
    card: Annotated[
        bool, typer.Option("--card", help="Also write the tables into the card of the model.")
    ] = False,
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJson = False,
) -> None:
    """Draw the nodes or scenes of a split in three arms on the same noise, and score them with intervals.

    Several GPUs divide the pictures: accelerate launch -m graphcond evaluate ...

    Example: graphcond evaluate outputs/demo/model --graph outputs/demo/graph --limit 100 --out report.json
    """
    from graphcond.data.open import open_data
    from graphcond.evaluation.crew import launched
    from graphcond.evaluation.metrics.registry import networks_of
    from graphcond.evaluation.protocols import get_protocol
    from graphcond.evaluation.targets import evaluate_model, protocol_for
    from graphcond.io.files import check_writable
    from graphcond.io.tensors import pick_device
    from graphcond.pipeline import GraphPipeline
    from graphcond.progress import progress_bars, silent
    from graphcond.saving.model_folder import plain_manifest, saved_recipe
    from graphcond.training.paths import RunFolder

    networks_of(metric or ())  # a name that is wrong is found before anything is loaded
    if out is not None:
        check_writable(out if out.suffix == ".json" else out / "report.json")
    recipe = saved_recipe(model)
    if card:
        plain_manifest(Path(model))  # a model on the hub has no folder to write into, a release no card
    named = None if protocol is None else get_protocol(protocol, place="--protocol")
    shown: list[tuple[Targets, Mapping[str, PictureSet]]] = []
    where = pick_device(device, place="--device")
    with launched(where) as crew, progress_bars() if crew.leads else nullcontext(silent) as watch:
        data = open_data(data_of(recipe, graph), progress=watch("drawing pictures of the world"))
        chosen = named or protocol_for(recipe.evaluation.protocol, data)
        chosen = replace(
            chosen,
            metrics=tuple(dict.fromkeys(metric)) if metric else chosen.metrics,
            steps=steps or chosen.steps,
        )
        if data.columns.splits is None:
            warnings.warn(
                "the data have no splits, so targets may be those of the training (see data.hold_out)",
                Notice,
                stacklevel=2,
            )
        rows = data.evaluated(split)[:limit]
        if len(rows) < 2:
            raise InputError(
                f"the split '{split}' has only one target", place=graph, remedy="evaluate two or more"
            )
        pipe = GraphPipeline.from_pretrained(
            model,
            device=where,
            base=base,
            trust_remote_code=trust_remote_code,
        )
        forbidden = data.forbidden(split, *recipe.data.forbidden_splits)
        reports = evaluate_model(
            pipe,
            data,
            rows,
            chosen,
            forbidden=forbidden,
            label=label,
            boxes=boxes,
            seed=seed,
            watch=watch,
            look=lambda *seen: shown.append(seen),
            crew=crew,
        )
    if not crew.leads:
        return
    run = RunFolder(Path(model).resolve().parent)
    is_end = Path(model).resolve() == run.final.resolve() and run.recipe.is_file()
    if out is None and is_end and os.access(run.root, os.W_OK):
        out = run.root / "evaluations" / f"{chosen.name}-{split}"
    if out is not None:
        _write(out, reports, *shown[0])
    if card:
        tables = "\n".join(report.to_markdown() for report in reports.values())
        pipe.model.card = replace(pipe.model.card, evaluation=tables)
        pipe.model.write_card(model)
    if as_json:
        say(json.dumps({name: report.to_json() for name, report in reports.items()}))
    else:
        for report in reports.values():
            report.print()


def _write(
    out: Path,
    reports: Mapping[str, EvaluationReport],
    targets: Targets,
    pictures: Mapping[str, PictureSet],
) -> None:
    """Write the report as JSON, or as a folder with its tables and the first targets of its headline."""
    from graphcond.drawing.sheets import contact_sheet
    from graphcond.io.files import write_json, write_text
    from graphcond.io.pictures import write_picture

    content = {name: report.to_json() for name, report in reports.items()}
    if out.suffix == ".json":
        write_json(out, content)
        return
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "report.json", content)
    write_text(out / "report.md", "\n".join(report.to_markdown() for report in reports.values()))
    columns = {"true picture": targets.truths, **pictures} if len(targets.truths) else pictures
    sheet = contact_sheet(
        list(zip(*(column.pictures[:SHOWN] for column in columns.values()), strict=True)),
        row_labels=targets.texts[:SHOWN],
        column_labels=[name.replace("_", " ") for name in columns],
    )
    write_picture(out / "pictures.png", sheet)


def data_of(recipe: Recipe, path: Path | None) -> AnyData:
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
    if recipe.data.kind == "scenes":
        return recipe.data.model_copy(update={"path": path, "format": None, "pictures": None})
    return (SceneData if recipe.data.has_scenes else MmagData)(path=path, forbidden_splits=forbidden)
