"""graphcond train: from a recipe to a run folder with a trained model."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from graphcond.cli.options import Base, Device, Overrides, base_name
from graphcond.errors import InputError
from graphcond.io.terminal import say


def train_command(
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE", help="A YAML file or the name of a shipped recipe; a resumed run has its own."
        ),
    ] = None,
    base: Base = None,
    set_: Overrides = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN_DIR", help="Go on from the newest checkpoint of a run.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="RUN_DIR", help="Where to write; outputs/... unless given.")
    ] = None,
    hold_out: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Hold out this share of data without splits, such as 0.1."),
    ] = None,
    device: Device = None,
) -> None:
    """Train the graph modules of a recipe over its frozen base.

    The run folder gets metrics.jsonl, previews/, checkpoints/ and, at the end, the model in final/.
    Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 save a checkpoint first.
    Several GPUs: accelerate launch -m graphcond train ...

    For example:

        graphcond train instructg2i --base tiny

        graphcond train instructg2i --set data.path=graphs/paintings --set training.steps=5000

        graphcond train instructg2i --set data.path=graphs/shop --hold-out 0.1

        graphcond train --resume outputs/instructg2i-20250101-120000 --set training.steps=10000
    """
    from graphcond.data.dataset import SceneDataset
    from graphcond.recipe import load_recipe
    from graphcond.training import train
    from graphcond.training.validation import gap_sentence

    if resume is not None and out is not None:
        raise InputError("a resumed run stays where it is", place="--out", remedy="leave it out")
    shorthand = [] if hold_out is None else [f"data.hold_out={hold_out}"]
    overrides = [*(set_ or []), *shorthand]
    if recipe is not None:
        chosen = load_recipe(recipe, base=base_name(base), overrides=overrides)
    elif resume is None:
        remedy = "give a YAML file or a name from `graphcond recipe list`"
        raise InputError("the recipe is missing", place="RECIPE", remedy=remedy)
    elif base is not None:
        raise InputError("a resumed run keeps its base", place="--base", remedy="leave it out")
    elif not (resume / "recipe.yaml").is_file():
        remedy = "give the folder that holds recipe.yaml"
        raise InputError("the folder is not a run folder", place=resume, remedy=remedy)
    else:
        chosen = load_recipe(resume / "recipe.yaml", overrides=overrides)
    run = train(chosen, out=out, resume=resume, device=device)
    if "validation" in run.metrics:
        say(f"graph gap: {gap_sentence(run.metrics['validation'])}")
    # An example that draws a target of the run, held out where any is.
    place, model = str(chosen.data.place or run.data.root), str(run.folder / "final")
    if isinstance(run.data, SceneDataset):
        options = ["--scene", place, "--index", str(run.example)]
    else:
        options = ["--graph", place, "--target", run.data.ids[run.example]]
    say(f"model: {model}")
    say(f"try: {shlex.join(['graphcond', 'generate', model, *options])}")
