"""Checkpoints: a model folder and the training state, written atomically."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field, ValidationError
from safetensors import SafetensorError

from graphcond.config import Config, as_input_error
from graphcond.errors import InputError, StorageError, TrainingError
from graphcond.io.files import read_json, refused_by

STATE, TENSORS = "training_state.json", "training_state.safetensors"
FORMAT = 1
GO_BACK = "delete that checkpoint to continue from the one before"
_NAME = re.compile(r"step-\d{8}")


class Standing(Config):
    """The progress of a run, and the facts that must be the same when it is resumed."""

    step: int = Field(ge=0)
    """Optimizer steps done."""
    effective_batch: int
    """Samples in one optimizer step, over all processes."""
    data: str
    """Identity of the training examples."""
    optimizer: str = "adamw"
    """Kind of the optimizer."""
    scaler: dict[str, int | float] = Field(default_factory=dict)
    """State of the gradient scaler, empty without one."""
    format: int = FORMAT
    """Version of the files."""


def checkpoint_folder(checkpoints: Path, step: int) -> Path:
    """The folder of the checkpoint of a step."""
    return checkpoints / f"step-{step:08d}"


def list_checkpoints(checkpoints: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    if not checkpoints.is_dir():
        return []
    return sorted(folder for folder in checkpoints.iterdir() if _NAME.fullmatch(folder.name))


def read_standing(folder: Path) -> Standing:
    """The progress stored in a checkpoint.

    Raises:
        InputError: the checkpoint is damaged or of another version.
    """
    try:
        standing = Standing.model_validate(read_json(folder / STATE))
    except ValidationError as error:
        raise as_input_error(error, Standing, folder / STATE, remedy=GO_BACK) from None
    except InputError as error:
        raise InputError(
            f"the checkpoint is damaged: {error.problem}", place=error.place, remedy=GO_BACK
        ) from None
    if standing.format != FORMAT:
        raise InputError(
            f"the checkpoint is of format {standing.format}, this version reads {FORMAT}",
            place=folder / STATE,
            remedy="use the version that wrote it",
        )
    return standing


def remove_unfinished(checkpoints: Path) -> None:
    """Remove checkpoints that an interrupted run wrote in part."""
    for folder in checkpoints.glob(".*step-*"):  # a model inside it has a folder of its own at first
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def written(checkpoints: Path, place: Path) -> Iterator[None]:
    """Name the checkpoint to resume from if ``place`` cannot be written inside the block.

    Raises:
        TrainingError: it cannot be written: the disk is full, or writing is not permitted.
    """
    try:
        yield
    except (OSError, SafetensorError, StorageError) as error:
        problem = error.problem if isinstance(error, StorageError) else f"cannot be written ({error})"
        usable = list_checkpoints(checkpoints)
        before = f"; the checkpoint {usable[-1].name} is still usable" if usable else ""
        raise TrainingError(
            f"{problem}{before}",
            place=place,
            remedy=f"{refused_by(error) or 'make room on its disk'}, then continue with --resume",
        ) from error
