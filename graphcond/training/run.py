"""`train`: from a recipe to a run folder with a trained model."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from jaxtyping import Int64
from rich.console import Console

from graphcond.attributed_graph import AttributedGraph
from graphcond.data.dataset import Dataset, as_dataset
from graphcond.errors import TrainingError
from graphcond.io import terminal
from graphcond.io.locks import in_turn
from graphcond.model import GraphModel
from graphcond.precompute.places import Place
from graphcond.recipe import Recipe
from graphcond.scene_graph import SceneSet
from graphcond.training.device import accelerated
from graphcond.training.metrics import append_record, cut_after
from graphcond.training.paths import RunFolder
from graphcond.training.prepare import Loaded, Prepared, prepare
from graphcond.training.preview import Previews
from graphcond.training.reach import advice, measure
from graphcond.training.report import Report
from graphcond.training.run_folder import new_run, place_of_run, resumed_run
from graphcond.training.trackers import finish_trackers, start_trackers
from graphcond.training.trainer import Trainer
from graphcond.training.validation import Validation


def write_untrained(
    recipe: Recipe, prepared: Prepared, accelerator: Accelerator, run: RunFolder, report: Report
) -> dict[str, dict[str, Any]]:
    """Write a model without trained parameters, with the validation loss and the preview it would get.

    Returns:
        The validation figures as a record of kind ``validation``; empty if validation is off.
    """
    report.say(f"{recipe.name} has nothing to train; the model is written as it is")
    if not accelerator.is_main_process:
        return {}
    newest, config, model = {}, recipe.training, prepared.model
    if config.validate_every is not None:
        with report.timed("validation"):
            found = Validation(prepared.validation, config)(model, accelerator)
        newest["validation"] = {"step": 0, "kind": "validation", **found.record()}
        append_record(run.metrics, newest["validation"])
    if config.preview_every is not None:
        with report.timed("previews"):
            previews = Previews(prepared.validation, config.previews, recipe.data.resolution)
            previews.write(model, run.previews / "step-00000000.png")
    model.train(False)
    model.save_pretrained(run.final)
    return newest


@dataclass(frozen=True)
class TrainedRun:
    """The result of `train`.

    Args:
        model: the trained model, in evaluation mode; with an EMA, its average.
        folder: the run folder; the model is in its ``final``.
        data: the training data.
        example: row of a target to try the model on, held out where any is.
        seconds: by stage; ``training`` holds validation, previews and checkpoints too.
        metrics: the last lines of metrics.jsonl of this call, by kind: ``train`` and ``validation``.
        warnings: one sentence for each sign that a graph is not used.
    """

    model: GraphModel
    folder: Path
    data: Dataset
    example: int
    seconds: Mapping[str, float]
    metrics: Mapping[str, Mapping[str, Any]]
    warnings: tuple[str, ...] = ()

    @property
    def graph(self) -> AttributedGraph:
        """The graph that it was trained on.

        Raises:
            InputError: it was trained on scenes.
        """
        return self.data.graph


def train(
    recipe: Recipe,
    *,
    out: Path | None = None,
    resume: Path | None = None,
    device: str | None = None,
    graph: AttributedGraph | SceneSet | Dataset | None = None,
    targets: Int64[np.ndarray, " n"] | None = None,
    console: Console | None = None,
    loaded: Loaded | None = None,
) -> TrainedRun:
    """Train the conditions (and the LoRA) of a recipe over its frozen base, after its stages.

    On one CPU process, a run that is resumed from its newest checkpoint ends with bit for bit the
    weights of an uninterrupted run.

    Args:
        recipe: the recipe of the run.
        out: a new folder for the run; ``outputs/<recipe>-<date>-<time>`` unless given.
        resume: the folder of a run to continue, in place of ``out``.
        device: ``cpu``, ``cuda`` or ``mps``; the best there is unless given.
        graph: a graph or scenes in place of the recipe's data.
        targets: rows of them to train on, in place of the training splits.
        console: where progress is shown; standard error unless given.
        loaded: networks in place of those that the recipe names, to train several models over one base.

    Raises:
        InputError: something about the recipe, the data or the run folder is wrong.
        TrainingError: the loss stopped being a number, or a checkpoint could not be written.
        Stopped: a signal stopped the run (it is a `KeyboardInterrupt`); its progress is in a checkpoint.
    """
    recipe, place = recipe.with_full_paths(), place_of_run(recipe, out) if resume is None else resume
    with (
        accelerated(recipe.training, device) as accelerator,
        _claimed(recipe, place, resume is not None, accelerator) as (run, checkpoint),
    ):
        shown = console if console is not None else terminal.console(stderr=True)
        report = Report(shown if accelerator.is_main_process else Console(quiet=True))
        try:
            start_trackers(accelerator, recipe, run.root, local=False)
            with in_turn(loaded.turns if loaded else None):
                prepared = prepare(
                    *(recipe, accelerator.device, report),
                    data=None if graph is None else as_dataset(graph),
                    targets=targets,
                    run=run if accelerator.is_main_process else None,
                    resumed=None if checkpoint is None else run,
                    loaded=loaded,
                    first=accelerator.main_process_first,
                )
            if prepared.trains:
                newest, warnings = _fit(recipe, prepared, accelerator, run, report, checkpoint)
            else:
                _begin(run, recipe, 0, accelerator)
                newest, warnings = write_untrained(recipe, prepared, accelerator, run, report), []
        except KeyboardInterrupt:
            report.say(f"Go on with: {shlex.join(['graphcond', 'train', '--resume', str(run.root)])}")
            raise
        finally:
            finish_trackers(accelerator)
    return TrainedRun(
        model=prepared.model,
        folder=run.root,
        data=prepared.data,
        example=int(prepared.validation.targets[0]),
        seconds=MappingProxyType(report.seconds),
        metrics=MappingProxyType(newest),
        warnings=tuple(warnings),
    )


@dataclass(frozen=True)
class FilledCaches:
    """The result of `fill_caches`: numbers of targets, and the seconds by stage."""

    targets: int
    validated_on: int
    seconds: Mapping[str, float]


def fill_caches(recipe: Recipe, *, device: str | None = None, console: Console | None = None) -> FilledCaches:
    """Compute and keep what `train` reads: embeddings, neighbors, latents and encoded prompts.

    Processes that do so at once divide the work. Stages of the recipe are left to `train`.

    Args:
        recipe: the recipe.
        device: as for `train`.
        console: as for `train`.

    Raises:
        InputError: something about the recipe or the data is wrong.
        StorageError: the cache cannot be written.
    """
    recipe = recipe.with_full_paths().model_copy(update={"stages": (), "start_from": None})
    with accelerated(recipe.training, device) as accelerator:
        shown = console if console is not None else terminal.console(stderr=True)
        report = Report(shown if accelerator.is_main_process else Console(quiet=True))
        prepared = prepare(recipe, accelerator.device, report, first=accelerator.main_process_first)
    return FilledCaches(len(prepared.train), len(prepared.validation), report.seconds)


def fill_caches_on(place: Place, recipe: Recipe, *, device: str | None = None) -> FilledCaches:
    """`fill_caches` in all workers of a place at once; they must have the same cache folder.

    Raises:
        InputError: as `fill_caches` and `Place.run`.
        StorageError: the cache cannot be written.
    """
    make = partial(_filling, recipe.with_full_paths(), device)
    filled = list(place.run(make, range(place.workers)))  # until the last has ended
    return filled[0]


def _filling(recipe: Recipe, device: str | None) -> Callable[[int], FilledCaches]:
    """In a worker: the function that fills the caches; the first one shows its progress."""
    return lambda number: fill_caches(recipe, device=device, console=Console(quiet=True) if number else None)


@contextmanager
def _claimed(
    recipe: Recipe, folder: Path, resumed: bool, accelerator: Accelerator
) -> Iterator[tuple[RunFolder, Path | None]]:
    """The run and the checkpoint to go on from, in all processes; the main process holds the lock."""
    with ExitStack() as stack:
        found: list[Any] = [None, None]
        if accelerator.is_main_process:
            if resumed:
                found = list(stack.enter_context(resumed_run(recipe, folder)))
            else:
                found[0] = stack.enter_context(new_run(recipe, folder))
        run, checkpoint = broadcast_object_list(found)
        yield run, checkpoint


def _fit(
    recipe: Recipe,
    prepared: Prepared,
    accelerator: Accelerator,
    run: RunFolder,
    report: Report,
    checkpoint: Path | None,
) -> tuple[Mapping[str, Any], list[str]]:
    trainer, config = Trainer(recipe, prepared, accelerator, run, report), recipe.training
    if checkpoint is not None:
        trainer.state.restore(checkpoint)
    if trainer.state.step == config.steps:
        report.say(f"All {trainer.state.step} steps are done already; raise training.steps to continue")
    reach = None
    if checkpoint is None and accelerator.is_main_process:
        reach = measure(prepared.model.base, prepared.validation, recipe.data.resolution)
        if (note := advice(reach, recipe)) is not None:
            report.say(f"note: {note}")
    _begin(run, recipe, trainer.state.step, accelerator)
    left_out = f" ({prepared.left_out} without any graph left out)" if prepared.left_out else ""
    step = f", from step {trainer.state.step}" if trainer.state.step else ""
    report.table(
        f"Training {recipe.name}",
        {
            "run folder": run.root,
            **{f"trained parameters: {name}": f"{count:,}" for name, count in trainer.parameters.items()},
            "targets": f"{len(prepared.train):,}{left_out}",
            "validated on": f"{len(prepared.validation)} "
            + (
                "held-out targets"
                if prepared.held_out
                else "training targets (none are held out; --hold-out 0.1 makes a split where there is none)"
            ),
            "effective batch": f"{trainer.plan.effective} = {config.batch_size} x {config.accumulate} passes"
            f" x {accelerator.num_processes} processes",
            "steps": f"{config.steps}{step}",
            "device": f"{accelerator.device}, {config.mixed_precision} mixed precision",
            "attention": prepared.model.base.attention,
        },
    )
    trainer.begin(reach)
    failure: str | None = None
    try:
        trainer.fit()
    except TrainingError as error:
        failure = error.problem
        raise
    finally:
        trainer.end(failure)
    return trainer.newest, trainer.warnings


def _begin(run: RunFolder, recipe: Recipe, step: int, accelerator: Accelerator) -> None:
    if accelerator.is_main_process:
        recipe.save(run.recipe)
        cut_after(run.metrics, step)
    start_trackers(accelerator, recipe, run.root, local=True)
