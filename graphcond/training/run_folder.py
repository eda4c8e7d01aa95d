"""The folder of a run: starting and resuming, and the settings that a resumed run may change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from graphcond.errors import InputError
from graphcond.io.files import check_new_folder, delete_leftovers, writing
from graphcond.io.locks import locked
from graphcond.recipe import Recipe, load_recipe
from graphcond.recipe.overrides import leaves
from graphcond.recipe.recipe import DATA_PATHS
from graphcond.training.checkpoint import list_checkpoints, read_standing, remove_unfinished
from graphcond.training.paths import RunFolder

FREE = (
    "description",
    "tiny",
    "tiny_dit",
    "guidance",
    "evaluation",
    "base.attention",
    "base.gradient_checkpointing",
    "base.channels_last",
    "training.compile",
    "training.steps",
    "training.log_every",
    "training.validate_every",
    "training.validation_samples",
    "training.preview_every",
    "training.previews",
    "training.preview_steps",
    "training.checkpoint_every",
    "training.keep_checkpoints",
    "training.trackers",
)
"""Settings that a resumed run may change: the steps already done stay what they are.

With another number of steps, a schedule other than ``constant`` follows the new number from then on.
"""

OCCUPIED = "choose another --out, or continue that run with --resume"


def place_of_run(recipe: Recipe, out: Path | None) -> Path:
    """The place of a new run: ``out``, or ``outputs/<recipe>-<date>-<time>``; nothing is written yet."""
    return Path("outputs") / f"{recipe.name}-{datetime.now():%Y%m%d-%H%M%S}" if out is None else out


@contextmanager
def new_run(recipe: Recipe, folder: Path) -> Iterator[RunFolder]:
    """Make the folder of a run, which no other process works on within the block.

    It holds the recipe from the beginning, so that a run that is stopped at any time can be resumed. If the
    block fails before there is anything else in it, it is deleted.

    Raises:
        InputError: ``folder`` holds something already, or another process works on it.
        StorageError: nothing can be written there.
    """
    run = RunFolder(folder)
    if not run.lock.exists():
        check_new_folder(folder, remedy=OCCUPIED)
    with writing(folder):
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)  # two processes may come here: the lock decides
    try:
        with locked(run.lock, "the run folder"):
            delete_leftovers(folder, ".+", "new")  # of a process that was killed as it began
            if set(folder.iterdir()) > {run.lock}:
                raise InputError("exists already", place=folder, remedy=OCCUPIED)
            recipe.save(run.recipe)
            try:
                yield run
            except Exception:
                if set(folder.iterdir()) == {run.lock, run.recipe}:
                    run.recipe.unlink()
                raise
    finally:
        if made:
            with suppress(OSError):  # it is not empty
                folder.rmdir()


@contextmanager
def resumed_run(recipe: Recipe, folder: Path) -> Iterator[tuple[RunFolder, Path | None]]:
    """The folder of a run, which no other process works on within the block, and its newest checkpoint.

    The checkpoint is None if the run was stopped before the first one.

    Raises:
        InputError: the folder is not a run, another process works on it, or it ran another recipe or further.
    """
    run = RunFolder(folder)
    if not run.recipe.is_file():
        raise InputError(
            "the folder is not a run folder", place=folder, remedy="give the folder that holds recipe.yaml"
        )
    with locked(run.lock, "the run folder"):
        check_same_recipe(load_recipe(run.recipe), recipe, place=run.recipe)
        remove_unfinished(run.checkpoints)
        checkpoints = list_checkpoints(run.checkpoints)
        if not checkpoints:
            yield run, None
            return
        done = read_standing(checkpoints[-1]).step
        if done > recipe.training.steps:
            raise InputError(
                f"the run has done {done} steps, more than training.steps = {recipe.training.steps}",
                place=folder,
                remedy="raise training.steps",
            )
        yield run, checkpoints[-1]


def check_same_recipe(was: Recipe, now: Recipe, *, place: Path) -> None:
    """Check that a resumed run only changes settings that may change.

    Data may have moved: that they are the same is seen from their content, which a checkpoint names.

    Raises:
        InputError: names the settings that differ.
    """
    before, after = (dict(leaves(recipe.with_full_paths().model_dump(mode="json"))) for recipe in (was, now))
    free = tuple(f"{setting}." for setting in FREE)
    changed = [
        f"{path} was {before.get(path)!r} and is {after.get(path)!r}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
        and not f"{path}.".startswith(free)
        and path.rpartition(".")[2] not in DATA_PATHS
    ]
    if changed:
        raise InputError(
            f"the run has another recipe: {'; '.join(changed[:3])}",
            place=place,
            remedy="resume with the run's own recipe, or start a new run",
        )
