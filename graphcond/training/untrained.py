"""Recipes of which nothing is trained: their model is written at once."""

from __future__ import annotations

from typing import Any

from accelerate import Accelerator

from graphcond.recipe import Recipe
from graphcond.training.metrics import append_record
from graphcond.training.prepare import Prepared
from graphcond.training.preview import Previews
from graphcond.training.report import Report
from graphcond.training.run_folder import RunFolder
from graphcond.training.validation import Validation


def write_untrained(
    recipe: Recipe, prepared: Prepared, accelerator: Accelerator, run: RunFolder, report: Report
) -> dict[str, dict[str, Any]]:
    """Write a model without trained parameters, with the validation loss and the preview it would get.

    Returns:
        The validation figures as a record of kind ``validation``; nothing where none are asked for.
    """
    report.say(f"{recipe.name} has nothing to train; the model is written as it is")
    if not accelerator.is_main_process:
        return {}
    newest, config, model = {}, recipe.training, prepared.model
    if config.validate_every is not None:
        with report.timed("validation"):
            found = Validation(prepared.validation, config)(model, model.base.noise_scheduler(), accelerator)
        newest["validation"] = {"step": 0, "kind": "validation", **found.record()}
        append_record(run.metrics, newest["validation"])
    if config.preview_every is not None:
        with report.timed("previews"):
            previews = Previews(prepared.validation, config.previews, recipe.data.resolution)
            previews.write(model, run.previews / "step-00000000.png")
    model.train(False)
    model.save_pretrained(run.final)
    return newest
