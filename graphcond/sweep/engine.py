"""A sweep from its file to its table: what is done is found, what is missing is done."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from graphcond.errors import InputError
from graphcond.io.files import check_writable
from graphcond.io.tensors import pick_device
from graphcond.precompute.work import ALL, Share
from graphcond.recipe import Recipe, load_recipe
from graphcond.saving.model_folder import saved_recipe
from graphcond.sweep.config import ModelConfig, SweepConfig
from graphcond.sweep.perform import perform
from graphcond.sweep.plan import RowPlan, left_over, plan_rows
from graphcond.sweep.results import Results, results_of
from graphcond.sweep.rows import Row, recipe_file, rows_of
from graphcond.sweep.shared import Shared
from graphcond.sweep.tables import write_results
from graphcond.sweep.workers import perform_all

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
    check_writable(out / "table.md")
    shared = shared or Shared(pick_device(device, place="--device"))
    model, recipe = _model(config, place, out, shared, share, say)
    rows = rows_of(config, place, model=recipe)
    plans = plan_rows(config, rows, out, shared, model=model)
    others = left_over(plans, out)
    for folder in others:
        say(f"{folder} is of a row that is no longer in the sweep; it stays where it is")
    mine = plans[share.index :: share.count]
    todo = [plan for plan in mine if plan.scored() is None]
    say(f"{config.name}: {len(plans)} rows" + (f", {len(mine)} of them here" if share.count > 1 else ""))
    if len(todo) < len(mine):
        say(f"{len(mine) - len(todo)} rows were done before")
    _perform(todo, config, shared, jobs, say)
    missing = [plan for plan in plans if plan.scored() is None and plan.failure() is None]
    results = None
    if missing:
        say(
            f"{len(missing)} rows are still to be done by others; whoever finds all of them done writes the "
            "table"
        )
    else:
        results = results_of(config, plans)
        write_results(config, results, out)
    failed = {plan.row.name: reason for plan in plans if (reason := plan.failure()) is not None}
    return SweepState(results, failed, tuple(plan.row.name for plan in missing), tuple(others), len(plans))


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
    row = Row(MODEL, config.seeds[0], {}, recipe, several=False)
    (plan,) = plan_rows(only, [row], out / MODEL, shared)
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
    started = time.monotonic()
    for done, (plan, reason) in enumerate(_performed(todo, config, shared, jobs, say), 1):
        passed = time.monotonic() - started
        left = f", about {spoken(passed / done * (len(todo) - done))} left" if done < len(todo) else ""
        what = "done" if reason is None else f"failed: {reason}"
        say(f"row {done} of {len(todo)}, {plan.row.name}: {what} ({spoken(passed)}{left})")


def _performed(
    todo: Sequence[RowPlan], config: SweepConfig, shared: Shared, jobs: int, say: Say
) -> Iterator[tuple[RowPlan, str | None]]:
    jobs = min(jobs, len(todo))
    if jobs <= 1:
        return ((plan, perform(plan, config, shared)) for plan in todo)
    threads = max(1, cores() // jobs)
    say(f"{jobs} processes, threads of each: {threads}")
    return perform_all(todo, config, device=shared.device.type, jobs=jobs, threads=threads)


def cores() -> int:
    """The processor cores of this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spoken(seconds: float) -> str:
    """A duration as a reader says it."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
