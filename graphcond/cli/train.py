"""graphcond train: from a recipe to a run folder with a trained model."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphcond.cli.options import Base, Device, Overrides, base_name
from graphcond.errors import InputError
from graphcond.io.terminal import say

if TYPE_CHECKING:
    from graphcond.recipe import Recipe


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
    from graphcond.training import train
    from graphcond.training.validation import gap_sentence

    if resume is not None and out is not None:
        raise InputError("a resumed run stays where it is", place="--out", remedy="leave it out")
    shorthand = [] if hold_out is None else [f"data.hold_out={hold_out}"]
    chosen = _recipe(recipe, base, [*(set_ or []), *shorthand], resume)
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


def _recipe(name: str | None, base: str | None, overrides: list[str], resume: Path | None) -> Recipe:
    from graphcond.recipe import load_recipe

    if name is None and resume is None:
        raise InputError(
            "the recipe is missing",
            place="RECIPE",
            remedy="give a YAML file or a name from `graphcond recipe list`",
        )
    if name is not None:
        return load_recipe(name, base=base_name(base), overrides=overrides)
    if base is not None:
        raise InputError("a resumed run keeps its base", place="--base", remedy="leave it out")
    file = Path(str(resume)) / "recipe.yaml"
    if not file.is_file():
        raise InputError(
            "the folder is not a run folder",
            place=file.parent,
            remedy="give the folder that holds recipe.yaml",
        )
    return load_recipe(file, overrides=overrides)
