"""The folder of a run: starting and resuming, and the settings that a resumed run may change."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from graphcond.errors import InputError
from graphcond.io.files import check_new_folder
from graphcond.recipe import Recipe, load_recipe
from graphcond.recipe.overrides import leaves
from graphcond.training.checkpoint import list_checkpoints, read_standing, remove_unfinished
from graphcond.training.paths import RunFolder

FREE = (
    "description",
    "tiny",
    "guidance",
    "evaluation",
    "base.attention",
    "base.gradient_checkpointing",
    "training.steps",
    "training.log_every",
    "training.validate_every",
    "training.validation_samples",
    "training.preview_every",
    "training.previews",
    "training.preview_steps",
    "training.checkpoint_every",
    "training.keep_checkpoints",
    "training.tensorboard",
)
"""Settings that a resumed run may change: the steps already done stay what they are.

With another number of steps, a schedule other than ``constant`` follows the new number from then on.
"""


def new_run(recipe: Recipe, out: Path | None) -> RunFolder:
    """The folder of a new run: ``out``, or ``outputs/<recipe>-<date>-<time>``; nothing is written yet.

    Raises:
        InputError: ``out`` holds something already.
        StorageError: nothing can be written there.
    """
    if out is None:
        out = Path("outputs") / f"{recipe.name}-{datetime.now():%Y%m%d-%H%M%S}"
    check_new_folder(out, remedy="choose another --out, or continue that run with --resume")
    return RunFolder(out)


def resumed_run(recipe: Recipe, folder: Path) -> tuple[RunFolder, Path | None]:
    """The folder of a resumed run, and its newest checkpoint; None if the run was stopped in its stages.

    Raises:
        InputError: the folder is not a run, has no usable checkpoint, or ran another recipe or further.
    """
    run = RunFolder(folder)
    if not run.recipe.is_file():
        raise InputError(
            "the folder is not a run folder", place=folder, remedy="give the folder that holds recipe.yaml"
        )
    check_same_recipe(load_recipe(run.recipe), recipe, place=run.recipe)
    remove_unfinished(run.checkpoints)
    checkpoints = list_checkpoints(run.checkpoints)
    if not checkpoints and recipe.stages:
        return run, None
    if not checkpoints:
        raise InputError("the run has no checkpoint", place=folder, remedy="start a new run")
    done = read_standing(checkpoints[-1]).step
    if done > recipe.training.steps:
        raise InputError(
            f"the run has done {done} steps, more than training.steps = {recipe.training.steps}",
            place=folder,
            remedy="raise training.steps",
        )
    return run, checkpoints[-1]


def check_same_recipe(was: Recipe, now: Recipe, *, place: Path) -> None:
    """Check that a resumed run only changes settings that may change.

    Raises:
        InputError: names the settings that differ.
    """
    before, after = (dict(leaves(recipe.model_dump(mode="json"))) for recipe in (was, now))
    free = tuple(f"{setting}." for setting in FREE)
    changed = [
        f"{path} was {before.get(path)!r} and is {after.get(path)!r}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path) and not f"{path}.".startswith(free)
    ]
    if changed:
        raise InputError(
            f"the run has another recipe: {'; '.join(changed[:3])}",
            place=place,
            remedy="resume with the run's own recipe, or start a new run",
        )
