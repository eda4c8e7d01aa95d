"""Experiment trackers, through accelerate: figures, previews, warnings and the settings of a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker
from accelerate.utils import imports

from graphcond.errors import InputError
from graphcond.io.pictures import open_picture
from graphcond.recipe import Recipe
from graphcond.recipe.overrides import leaves

PLACE = "training.trackers"
PROJECT = "graphcond"
"""The project of runs at trackers that have projects."""

EXTRAS = ("mlflow", "tensorboard", "trackio", "wandb")
"""Trackers that have an extra of their name."""

LOGIN = {
    "wandb": "log in by `wandb login`, or set WANDB_MODE=offline",
    "mlflow": "set MLFLOW_TRACKING_URI to a server that answers, or leave it out to write to ./mlruns",
    "comet_ml": "set COMET_API_KEY, or COMET_START_MODE=offline",
    "clearml": "run `clearml-init`, or set CLEARML_OFFLINE_MODE=1",
    "swanlab": "log in by `swanlab login`, or set SWANLAB_MODE=local",
}
"""Remedies where a tracker does not start."""

TEXTS = ("tensorboard", "wandb", "trackio", "comet_ml", "aim", "swanlab")
"""Trackers that take texts among the figures."""


def check_trackers(names: Iterable[str]) -> None:
    """Check that the packages of trackers are installed.

    Raises:
        InputError: one is not.
    """
    for name in names:
        if not getattr(imports, f"is_{name}_available")():
            package = f"graphcond[{name}]" if name in EXTRAS else name.replace("_", "-")
            raise InputError(
                f"{name} is not installed",
                place=PLACE,
                remedy=f"install it by `pip install {package}`, or leave it out",
            )


def start_trackers(accelerator: Accelerator, recipe: Recipe, run: Path, *, local: bool) -> None:
    """Start the trackers that write into the run folder, or the others, and give them the settings.

    Only the main process has trackers.

    Raises:
        InputError: a tracker does not start, for lack of credentials for instance.
    """
    if not accelerator.is_main_process:
        return
    settings = {
        key: value if isinstance(value, bool | int | float | str) else str(value)
        for key, value in leaves(recipe.model_dump(mode="json"))
    }
    for name in dict.fromkeys(recipe.training.trackers):
        kind = LOGGER_TYPE_TO_CLASS[name]
        if kind.requires_logging_directory != local:
            continue
        try:
            named = {"name": run.resolve().name} if name in ("wandb", "trackio") else {}
            tracker = kind(name, run) if local else kind(PROJECT, **named)
            tracker.start()
            tracker.store_init_configuration(settings)
        except Exception as error:  # of the tracker's own sort
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(
                f"{name} does not start: {reason}",
                place=PLACE,
                remedy=f"{LOGIN.get(name, 'set up its account')}, or leave it out",
            ) from error
        accelerator.trackers.append(tracker)


def finish_trackers(accelerator: Accelerator) -> None:
    """Close the trackers of a run that ended, in whatever way."""
    while accelerator.trackers:
        accelerator.trackers.pop().finish()


def log_text(trackers: Sequence[GeneralTracker], name: str, text: str, step: int) -> None:
    """Send a text to those that take texts."""
    for tracker in trackers:
        if tracker.name in TEXTS or tracker.name not in LOGGER_TYPE_TO_CLASS:
            tracker.log({name: text}, step=step)


def log_picture(trackers: Sequence[GeneralTracker], name: str, file: Path, step: int) -> None:
    """Send a picture to those that take pictures."""
    for tracker in trackers:
        one: Any = tracker
        if tracker.name == "tensorboard":
            one.log_images({name: np.asarray(open_picture(file))[None]}, step=step, dataformats="NHWC")
        elif tracker.name == "trackio":
            import trackio

            one.log({name: trackio.Image(str(file))}, step=step)
        elif hasattr(one, "log_images"):
            one.log_images({name: [open_picture(file)]}, step=step)
        elif hasattr(one, "log_artifact"):  # MLflow
            one.log_artifact(str(file), name)
