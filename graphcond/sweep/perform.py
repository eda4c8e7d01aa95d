"""Doing one row: its training, or what is left of it, and its scores."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from graphcond.bases import Base
from graphcond.errors import GraphcondError
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from graphcond.sweep.config import SweepConfig
from graphcond.sweep.exam import Exam
from graphcond.sweep.plan import RowPlan
from graphcond.sweep.record import read_scored, write_failure, write_scored
from graphcond.sweep.shared import Shared
from graphcond.training import train
from graphcond.training.paths import RunFolder
from graphcond.training.prepare import Loaded


def perform(plan: RowPlan, config: SweepConfig, shared: Shared) -> str | None:
    """Train and score a row, as far as that was not done before.

    Returns:
        why the row failed; None if it did not.

    Raises:
        KeyboardInterrupt: the user stopped it; another call continues from there.
    """
    try:
        if not plan.trained:
            train_row(plan, shared)
        score_row(plan, config, shared)
        plan.failure_file.unlink(missing_ok=True)
    except Exception as error:  # the other rows go on, whatever it is
        if os.environ.get("GRAPHCOND_DEBUG"):
            traceback.print_exc()
        known = isinstance(error, GraphcondError)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        write_failure(plan.failure_file, reason)
        return reason
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
    missing = [
        (score, folder)
        for score, folder in zip(config.scores, plan.scores, strict=True)
        if read_scored(folder) is None
    ]
    if not missing:
        return
    recipe = plan.row.recipe
    with (
        shared.base(recipe) as base,
        _pipeline(plan, base, any(one.needs_model for one, _ in missing)) as pipe,
    ):
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


@contextmanager
def _pipeline(plan: RowPlan, base: Base, needed: bool) -> Iterator[GraphPipeline | None]:
    """The pipeline of a row's model, with the samplers and scales of the row."""
    if not needed or plan.final is None:
        yield None
        return
    own = plan.row.recipe.training.train_base
    model = GraphModel.from_pretrained(plan.final, device=base.device, base=None if own else base)
    as_row = GraphModel(
        model.base,
        model.conditions.values(),
        feature_width=model.feature_width,
        lora=model.lora,
        recipe=plan.row.recipe,
    )
    yield GraphPipeline(as_row)
    model.eject()
