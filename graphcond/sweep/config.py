"""Configs of sweeps: their rows, what is measured of each, and what is said. Nothing here loads torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import Field, ValidationError, model_validator

from graphcond.config import Config, as_input_error, shown
from graphcond.errors import InputError
from graphcond.io.strict_yaml import read_yaml
from graphcond.recipe.sections import Seed
from graphcond.recipe.yaml_files import file_or_shipped
from graphcond.sweep.scores.config import AnyScore
from graphcond.sweep.verdicts.config import AnyVerdict

Settings: TypeAlias = dict[str, Any]
"""Settings of a recipe by their paths, as ``--set`` takes them: ``lora.rank: 8``."""


class RowConfig(Config):
    """A row: a recipe, and the settings in which it differs from others."""

    name: str = Field(pattern=r"^[^/\\]+$")
    """Name in tables and of folders, without slashes."""
    recipe: str | None = None
    """Name of a shipped recipe, or a YAML file; the sweep's unless given."""
    set: Settings = Field(default_factory=dict)
    """Settings of the recipe by path."""


class ModelConfig(Config):
    """A model that is trained before the rows."""

    recipe: str
    """Name of a shipped recipe, or a YAML file."""
    set: Settings = Field(default_factory=dict)
    """Settings of the recipe by path."""


class PicturesConfig(Config):
    """The sheet of pictures beside the table."""

    count: int = Field(default=6, ge=1, le=100)
    """Targets."""
    rows: str = "*"
    """Which rows, by name: ``*`` stands for any characters."""
    lines: Literal["targets", "rows"] = "targets"
    """What a line of the sheet is: a target, or, in smaller pictures, a row of the sweep."""
    title: str = "The same targets and noise, drawn by each row"


class SweepConfig(Config):
    """A sweep: every row is a recipe, trained or drawn with and scored in the same way."""

    name: str = Field(pattern=r"^[^/\\]+$")
    """Name of the sweep, without slashes; its folder is called after it."""
    description: str = ""
    """What the sweep shows, in a sentence."""
    recipe: str | None = None
    """Name of a shipped recipe, or a YAML file, of every row that has none of its own."""
    base: str | None = None
    """Put every recipe on this base in the package."""
    set: Settings = Field(default_factory=dict)
    """Settings of all rows by path."""
    grid: dict[str, list[Any] | dict[str, Any]] = Field(default_factory=dict)
    """For each path its values: a list, or a mapping of their names to them. Rows have all combinations."""
    rows: tuple[RowConfig, ...] = ()
    """Rows by name; each has all combinations of the grid."""
    seeds: tuple[Seed, ...] = Field(default=(0,), min_length=1)
    """Every row is done with each of these seeds; figures are then over all of them.

    ``{seed}`` in a setting stands for the seed.
    """
    seed_keys: tuple[str, ...] = Field(default=("training.seed",), min_length=1)
    """The settings that get the seed."""
    model: str | ModelConfig | None = None
    """A trained model, or one to train first: rows then differ in how it is drawn with."""
    exam: Settings = Field(default_factory=dict)
    """Settings that hold for the scores alone, such as ``data.difficulty: hard``.

    Rows are trained without them, or found as a sweep without them left them. Tables go to `tables`."""
    drawn: dict[str, list[Any] | dict[str, Any]] = Field(default_factory=dict)
    """As `grid`, for settings of the scores only: a row is trained once, and scored with each value."""
    scores: tuple[AnyScore, ...] = ()
    """What is measured."""
    seed: Seed = 0
    """Of targets, noise and intervals, which are the same for every row."""
    reference: str | None = None
    """The row that others are compared with; the first of `rows` unless given, at each place of the grid."""
    verdicts: tuple[AnyVerdict, ...] = ()
    """What is said below the table."""
    headline: str | None = None
    """The metric whose arms stand side by side in the first table, with what they say in words."""
    pictures: PicturesConfig | None = None
    """The sheet of pictures; none unless given."""
    curves: str | None = None
    """A path of `grid` or `drawn` with numbers as values: curves.png shows each metric against it, a line for
    each row, and a panel for each value of the other paths."""

    def tables(self, out: Path) -> Path:
        """The folder of the tables of a sweep whose folder is ``out``."""
        exam = ",".join(f"{path}={value}" for path, value in self.exam.items())
        return out / "exams" / folder_name(exam) if exam else out

    @model_validator(mode="after")
    def _has_rows(self) -> SweepConfig:
        for name, axes in (("grid", self.grid), ("drawn", self.drawn)):
            empty = [key for key, values in axes.items() if not values]
            if empty:
                raise ValueError(f"{name}.{empty[0]}: it has no values; give some or leave it out")
        if twice := [key for key in self.drawn if key in self.grid]:
            raise ValueError(f"drawn.{twice[0]}: is in the grid, too; leave one of them out")
        if self.curves is not None and self.curves not in {**self.grid, **self.drawn}:
            raise ValueError(f"curves: neither grid nor drawn has '{self.curves}'; name one of their paths")
        if self.curves is not None:
            values = {**self.grid, **self.drawn}[self.curves]
            given = values.values() if isinstance(values, dict) else values
            if wrong := [one for one in given if type(one) not in (int, float) or one <= 0]:
                raise ValueError(f"curves: '{self.curves}' has {shown(wrong[0])}; use numbers above 0")
        if not (self.recipe or self.rows or self.model):
            raise ValueError("there are no rows; name a recipe, rows or a model")
        for number, row in enumerate(self.rows):
            if not (row.recipe or self.recipe or self.model):
                raise ValueError(f"rows.{number}.recipe: is missing; give it here or for the whole sweep")
            if row.recipe and self.model:
                raise ValueError(f"rows.{number}.recipe: the rows of a model have no recipe; leave it out")
        if self.model and self.recipe:
            raise ValueError("recipe: the rows of a model have no recipe; leave one of them out")
        if self.model and not any(score.needs_model for score in self.scores):
            raise ValueError("model: no score draws with it; add one, such as kind: evaluation")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: one is given twice; remove it")
        for name, settings in (("exam", self.exam), ("drawn", self.drawn)):
            if training := [path for path in settings if path.split(".")[0] == "training"]:
                raise ValueError(f"{name}.{training[0]}: nothing is trained for it; put it under set or grid")
        return self


def folder_name(name: str) -> str:
    """A name with dashes for what may trouble the names of folders, and not too long."""
    return re.sub(r"[^\w=.+-]+", "-", name).strip("-.")[:80] or "row"


def load_sweep(name_or_path: str | Path) -> tuple[SweepConfig, Path]:
    """The sweep in a YAML file, or a shipped one, and its file.

    Raises:
        InputError: no such file, or something in it is wrong; the message names each YAML path.
    """
    path = file_or_shipped(name_or_path, shipped_sweeps(), "sweep")
    return parse_sweep(read_yaml(path), place=path), path


def parse_sweep(values: Any, *, place: object = "sweep") -> SweepConfig:
    """A sweep from plain values; see `load_sweep`."""
    if not isinstance(values, dict):
        raise InputError(
            "a sweep is a mapping of names to settings", place=place, remedy="see docs/sweeps.md"
        )
    try:
        return SweepConfig.model_validate(values)
    except ValidationError as error:
        raise as_input_error(error, SweepConfig, place) from None


def shipped_sweeps() -> dict[str, Path]:
    """The sweeps inside the package, by name."""
    return {path.stem: path for path in sorted((Path(__file__).parent / "shipped").glob("*.yaml"))}
