"""A sweep from its file to its table: what is done is found, what is missing is done."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from rich.console import Console

from graphcond.errors import GraphcondError, InputError, StorageError
from graphcond.io.files import check_writable, write_json
from graphcond.io.tensors import pick_device
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from graphcond.precompute.work import ALL, Share
from graphcond.progress import duration
from graphcond.recipe import Recipe, load_recipe
from graphcond.saving.model_folder import saved_recipe
from graphcond.sweep.config import ModelConfig, SweepConfig
from graphcond.sweep.exam import Exam, Shared
from graphcond.sweep.record import read_scored, write_scored
from graphcond.sweep.results import Results, results_of
from graphcond.sweep.rows import Row, RowPlan, left_over, plan_rows, recipe_file, rows_of
from graphcond.sweep.tables import write_results
from graphcond.sweep.workers import perform_all
from graphcond.training import train
from graphcond.training.paths import RunFolder
from graphcond.training.prepare import Loaded

MODEL = "model"
Say = Callable[[str], None]


@dataclass(frozen=True)
class SweepState:
    """Where a sweep stands after a call.

    Args:
        results: the table; None while rows are missing that another process does.
        failed: by the name of the row, why it failed.
        missing: names of rows that are still to be done.
        left_over: folders of rows that are no longer in the sweep.
        rows: number of rows, each seed on its own.
    """

    results: Results | None
    failed: dict[str, str]
    missing: tuple[str, ...]
    left_over: tuple[Path, ...]
    rows: int


def run_sweep(
    config: SweepConfig,
    place: Path,
    out: Path,
    *,
    jobs: int = 1,
    share: Share = ALL,
    device: str | None = None,
    shared: Shared | None = None,
    say: Say = lambda text: None,
) -> SweepState:
    """Do the rows of a sweep that are not done yet, then write its table.

    Every row is resolved and checked before the first starts. A row that fails does not stop the others.

    Args:
        config: the sweep.
        place: its file; recipe files are found from its folder.
        out: folder of the rows, the table and its pictures.
        jobs: worker processes; 1 works in this one.
        share: the rows of this process, where several machines share ``out``.
        device: ``cpu``, ``cuda`` or ``mps``; the best there is unless given.
        shared: networks and data of this process.
        say: called with a line about the progress.

    Raises:
        InputError: a row is wrong, two rows are the same, or there are none.
        StorageError: the place refuses, or its disk is full.
        KeyboardInterrupt: the user stopped it; the same call continues.
    """
    if jobs < 1:
        raise InputError(f"expected at least 1, got {jobs}", place="--jobs", remedy="use 1 or more")
    check_writable(config.tables(out) / "table.md")
    shared = shared or Shared(pick_device(device, place="--device"))
    model, recipe = _model(config, place, out, shared, share, say)
    plans = plan_rows(config, rows_of(config, place, model=recipe), out, shared, model=model)
    others = left_over(plans, out)
    for folder in others:
        say(f"{folder} is of a row that is no longer in the sweep; it stays where it is")
    folders = list(dict.fromkeys(plan.folder for plan in plans))[share.index :: share.count]
    mine = [plan for plan in plans if plan.folder in folders]
    say(f"{config.name}: {len(plans)} rows" + (f", {len(mine)} of them here" if share.count > 1 else ""))
    done = {plan.row.name: scored for plan in mine if (scored := plan.scored()) is not None}
    if done:
        say(f"{len(done)} rows were done before")
    _perform([plan for plan in mine if plan.row.name not in done], config, shared, jobs, say)
    others_do = [plan for plan in plans if plan.row.name not in done]
    done |= {plan.row.name: scored for plan in others_do if (scored := plan.scored()) is not None}
    left = {plan.row.name: plan.failure() for plan in others_do if plan.row.name not in done}
    failed = {name: reason for name, reason in left.items() if reason is not None}
    missing, results = [name for name, reason in left.items() if reason is None], None
    if missing:
        say(f"{len(missing)} rows are still to be done by others; whoever finds all done writes the table")
    else:
        results = results_of(config, plans, done, failed)
        write_results(config, results, config.tables(out))
    return SweepState(results, failed, tuple(missing), tuple(others), len(plans))


def _model(
    config: SweepConfig, place: Path, out: Path, shared: Shared, share: Share, say: Say
) -> tuple[Path | None, Recipe | None]:
    """The model with which all rows draw, trained if it must be, and its recipe."""
    if config.model is None:
        return None, None
    if not isinstance(config.model, ModelConfig):
        return Path(config.model), saved_recipe(config.model)
    settings = {**config.set, **config.model.set, **dict.fromkeys(config.seed_keys, config.seeds[0])}
    recipe = load_recipe(
        recipe_file(config.model.recipe, place), base=config.base, overrides=settings.items()
    )
    only = SweepConfig(name=config.name, recipe=config.model.recipe, base=config.base)
    (plan,) = plan_rows(only, [Row(MODEL, MODEL, config.seeds[0], {}, recipe)], out / MODEL, shared)
    if not plan.trained and share.index > 0:
        raise InputError(
            "the model of the rows is not trained yet", place="--shard", remedy=f"start 0/{share.count} first"
        )
    if not plan.trained:
        say(f"training {recipe.name}, with which the rows draw")
        reason = perform(plan, only, shared)
        if reason is not None:
            raise InputError(f"it cannot be trained: {reason}", place="model", remedy="correct its recipe")
    return plan.final, recipe


def _perform(todo: Sequence[RowPlan], config: SweepConfig, shared: Shared, jobs: int, say: Say) -> None:
    """Do rows, in this process or in workers, and keep why those failed that did."""
    jobs = min(jobs, len(todo))
    performed: Iterable[tuple[RowPlan, str | None]]
    if jobs <= 1:
        performed = ((plan, perform(plan, config, shared)) for plan in todo)
    else:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        threads = max(1, cores // jobs)
        say(f"{jobs} processes, threads of each: {threads}")
        first = {plan.folder: plan for plan in reversed(todo)}  # which train what others are scored with
        parts = [
            [plan for plan in todo if (first[plan.folder] is plan) is trains] for trains in (True, False)
        ]
        options: dict[str, Any] = {"device": shared.device.type, "jobs": jobs, "threads": threads}
        performed = chain.from_iterable(perform_all(part, config, **options) for part in parts if part)
    started = time.monotonic()
    for done, (plan, reason) in enumerate(performed, 1):
        passed = time.monotonic() - started
        left = f", about {duration(passed / done * (len(todo) - done))} left" if done < len(todo) else ""
        if reason is None:
            plan.beside("failure").unlink(missing_ok=True)
        else:
            write_json(plan.beside("failure"), {"reason": reason})
        what = "done" if reason is None else f"failed: {reason}"
        say(f"row {done} of {len(todo)}, {plan.row.name}: {what} ({duration(passed)}{left})")


def perform(plan: RowPlan, config: SweepConfig, shared: Shared) -> str | None:
    """Train and score a row, as far as that was not done before.

    Returns:
        why the row failed; None if it did not.

    Raises:
        KeyboardInterrupt: the user stopped it; another call continues from there.
    """
    begun, before = time.process_time(), plan.processor_seconds() or 0.0
    try:
        if not plan.trained:
            train_row(plan, shared)
        score_row(plan, config, shared)
    except Exception as error:  # the other rows go on, whatever it is
        if os.environ.get("GRAPHCOND_DEBUG"):
            traceback.print_exc()
        return str(error) if isinstance(error, GraphcondError) else f"{type(error).__name__}: {error}"
    finally:  # of a row that is stopped, too: what it took is added up over its sittings
        with suppress(StorageError):
            write_json(plan.beside("cost"), {"processor_seconds": before + time.process_time() - begun})
    return None


def train_row(plan: RowPlan, shared: Shared) -> None:
    """Train a row; a run that was stopped at any time is resumed."""
    recipe, resumed = plan.row.recipe, RunFolder(plan.folder).recipe.is_file()
    with shared.base(recipe) as base:
        trained = train(
            recipe,
            out=None if resumed else plan.folder,
            resume=plan.folder if resumed else None,
            device=shared.device.type,
            graph=shared.data(recipe.data),
            console=Console(quiet=True),
            loaded=Loaded(base, shared.extractors(recipe.features), shared.turns),
        )
        trained.model.eject()


def score_row(plan: RowPlan, config: SweepConfig, shared: Shared) -> None:
    """Measure what was not measured before."""
    every = zip(config.scores, plan.scores, strict=True)
    missing = [(score, folder) for score, folder in every if read_scored(folder) is None]
    if not missing:
        return
    recipe, draws = plan.row.scored_as, any(score.needs_model for score, _ in missing)
    with shared.base(recipe) as base:
        pipe = None
        if draws and plan.final is not None:
            own = None if recipe.training.train_base else base
            model = GraphModel.from_pretrained(
                plan.final, device=base.device, base=own, trust_remote_code=True
            )
            pipe = GraphPipeline(model.drawn_as(recipe))
        exam = Exam(
            recipe=recipe,
            data=shared.data(recipe.data),
            shared=shared,
            seed=config.seed,
            examples=config.pictures.count if config.pictures else 0,
            trained=pipe,
        )
        for score, folder in missing:
            write_scored(folder, score.make().score(exam), seed=config.seed)
        if pipe is not None:
            model.eject()
