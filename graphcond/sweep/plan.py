"""The plan of a sweep: for every row its folder, and what is still missing there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from graphcond import evaluation, worlds
from graphcond.errors import InputError
from graphcond.io.fingerprint import fingerprint, source_version
from graphcond.report import Run, read_run
from graphcond.saving.model_folder import MANIFEST
from graphcond.sweep import scores
from graphcond.sweep.config import SweepConfig
from graphcond.sweep.identity import files_identity, recipe_identity
from graphcond.sweep.record import joined, read_failure, read_scored
from graphcond.sweep.rows import Row
from graphcond.sweep.scores.base import Scored
from graphcond.sweep.shared import Shared
from graphcond.training.paths import RunFolder

RUNS, ROWS, SCORES = "runs", "rows", "scores"
FAILURE = "failure.json"


@dataclass(frozen=True)
class RowPlan:
    """A row with its folder.

    Args:
        row: the row.
        key: names everything that its model, or its drawing, follows from.
        folder: of its run, or of its scores where nothing is trained.
        model: a trained model to draw with.
        trains: whether the row is trained.
        scores: for each score of the sweep, the folder of what it found.
    """

    row: Row
    key: str
    folder: Path
    model: Path | None
    trains: bool
    scores: tuple[Path, ...]

    @property
    def final(self) -> Path | None:
        """The model that draws."""
        return RunFolder(self.folder).final if self.trains else self.model

    @property
    def trained(self) -> bool:
        """True if nothing is left to train."""
        return not self.trains or (RunFolder(self.folder).final / MANIFEST).is_file()

    @property
    def failure_file(self) -> Path:
        """Why the row failed, beside its folder."""
        return self.folder.parent / f".{self.folder.name}.{FAILURE}"

    def scored(self) -> Scored | None:
        """Everything that was measured of the row; None if something is missing."""
        found = [read_scored(folder) for folder in self.scores]
        whole = [one for one in found if one is not None]
        return joined(whole) if self.trained and len(whole) == len(found) else None

    def failure(self) -> str | None:
        """Why the row failed; None if it did not, or is done meanwhile."""
        reason = read_failure(self.failure_file)  # first: what was measured is slow to read
        return None if reason is None or self.scored() is not None else reason

    def run(self) -> Run | None:
        """The run of a trained row."""
        return read_run(self.folder) if self.trains else None


def plan_rows(
    config: SweepConfig, rows: Sequence[Row], out: Path, shared: Shared, *, model: Path | None = None
) -> list[RowPlan]:
    """A plan for each row.

    Args:
        config: the sweep.
        rows: its rows.
        out: folder of the sweep.
        shared: opens the data.
        model: the model with which all rows draw.

    Raises:
        InputError: the data of a row cannot be opened, or two rows are the same.
    """
    trains = model is None and (any(score.needs_model for score in config.scores) or not config.scores)
    found: dict[str, RowPlan] = {}
    weights = None if model is None else files_identity(model)
    for row in rows:
        try:
            data = shared.data_identity(row.recipe.data)
        except InputError as error:
            raise InputError(
                f"{error.place}: {error.problem}", place=f"row '{row.name}'", remedy=error.remedy
            ) from error
        key = fingerprint(recipe_identity(row.recipe, data), weights, row.recipe.evaluation.protocol)
        if key in found:
            raise InputError(
                f"the rows '{found[key].row.name}' and '{row.name}' are the same",
                place=f"sweep '{config.name}'",
                remedy="remove one, or change a setting",
            )
        folder = out / (RUNS if trains else ROWS) / f"{slug(row.name)}-{key[:8]}"
        places = tuple(folder / SCORES / name for name in _score_names(config, key))
        found[key] = RowPlan(row, key, folder, model, trains, places)
    return list(found.values())


def left_over(plans: Sequence[RowPlan], out: Path) -> list[Path]:
    """Folders of rows that the sweep no longer has."""
    known = {plan.folder for plan in plans}
    there = [folder for room in (RUNS, ROWS) if (out / room).is_dir() for folder in (out / room).iterdir()]
    return sorted(path for path in there if path not in known and not path.name.startswith("."))


def slug(name: str) -> str:
    """A name as part of a file's name."""
    return re.sub(r"[^\w=.+-]+", "-", name).strip("-.")[:80] or "row"


def _score_names(config: SweepConfig, key: str) -> list[str]:
    """A folder for each score; another one whenever what it finds may be something else."""
    versions = [source_version(package) for package in (evaluation, scores, worlds)]
    examples = config.pictures.count if config.pictures else 0
    return [
        f"{number:02d}-{score.kind}-"
        f"{fingerprint(key, score.model_dump_json(), config.seed, examples, *versions)[:8]}"
        for number, score in enumerate(config.scores)
    ]
