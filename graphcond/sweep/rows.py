"""The rows of a sweep: each a resolved recipe, with the folders of what it leaves.

The names of these folders change with everything that a row follows from, so that what is found there is what
the row would give again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from graphcond import evaluation, worlds
from graphcond.bases.base_files import base_files
from graphcond.bases.config import PACKAGED, TINY_FOLDER, BaseFields
from graphcond.errors import InputError, did_you_mean
from graphcond.features.feature_cache import FeatureCache
from graphcond.io.files import read_json
from graphcond.io.fingerprint import fingerprint, source_version
from graphcond.recipe import Recipe, load_recipe
from graphcond.recipe.load import parse_recipe
from graphcond.saving.model_folder import MANIFEST
from graphcond.sweep import scores
from graphcond.sweep.config import RowConfig, Settings, SweepConfig, folder_name
from graphcond.sweep.exam import Shared
from graphcond.sweep.record import read_scored
from graphcond.sweep.scores.base import Scored
from graphcond.training.paths import RunFolder

ROW = "row"
"""The axis of the names of rows, beside those of the grid."""

SEED = "{seed}"
"""Stands for the seed in settings that are texts, such as the folder of a base that was trained with it."""

FIXED = ("base", "features", "lora", "adapters", "start_from", "stages", "conditions")
"""Sections of a trained model's recipe that drawing cannot change, except for samplers."""

SPOKEN = {"name", "description", "tiny", "tiny_dit", "evaluation"}
"""Sections of a recipe that change neither what is trained nor what is drawn."""

RUNS, ROWS, SCORES = "runs", "rows", "scores"


@dataclass(frozen=True)
class Row:
    """A row of a sweep with one seed.

    Args:
        name: with the seed, where there are several.
        group: the name without the seed.
        seed: the seed.
        labels: by axis (``row``, or a path of the grid) the name of the value there.
        recipe: resolved.
        examined: the recipe with which it is scored, where that is another one.
        trained_as: the name, with the seed, of its training, which rows that differ only in `drawn` share;
            `name` unless given.
    """

    name: str
    group: str
    seed: int
    labels: Mapping[str, str]
    recipe: Recipe
    examined: Recipe | None = None
    trained_as: str = ""

    @property
    def scored_as(self) -> Recipe:
        """The recipe with which it is scored."""
        return self.examined or self.recipe


@dataclass(frozen=True)
class RowPlan:
    """A row with its folders.

    Args:
        row: the row.
        folder: of its run, or of its scores where nothing is trained.
        trains: whether the row is trained.
        final: the model that draws; None where no score does.
        scores: for each score of the sweep, the folder of what it found.
        exam: distinguishes rows that share a folder; empty where the folder has one row.
    """

    row: Row
    folder: Path
    trains: bool
    final: Path | None
    scores: tuple[Path, ...]
    exam: str = ""

    @property
    def trained(self) -> bool:
        """True if nothing is left to train."""
        return not self.trains or (RunFolder(self.folder).final / MANIFEST).is_file()

    def beside(self, what: str) -> Path:
        """The file beside the row's folder of its ``failure`` or ``cost``."""
        name = ".".join(part for part in ("", self.folder.name, self.exam, what) if part)
        return self.folder.parent / f".{name}.json"

    def told(self, what: str, key: str) -> Any:
        """What stands under ``key`` in a file beside the row's folder; None where nothing does."""
        with suppress(InputError):
            match read_json(self.beside(what)):
                case {**values}:
                    return values.get(key)
        return None

    def failure(self) -> str | None:
        """Why the row failed when it was tried last; None if it did not."""
        reason = self.told("failure", "reason")
        return None if reason is None else str(reason)

    def processor_seconds(self) -> float | None:
        """User and system time of the processes that worked on the row; None where none was counted."""
        seconds = self.told("cost", "processor_seconds")
        return seconds if isinstance(seconds, float) else None

    def scored(self) -> Scored | None:
        """Everything that was measured of the row; None if something is missing."""
        found = [read_scored(folder) for folder in self.scores] if self.trained else [None]
        whole = [one for one in found if one is not None]
        if len(whole) < len(found):
            return None
        return Scored(
            [figure for one in whole for figure in one.figures],
            list(dict.fromkeys(note for one in whole for note in one.notes)),
            next((one.examples for one in whole if one.examples), ()),
        )


def rows_of(config: SweepConfig, place: Path, *, model: Recipe | None = None) -> list[Row]:
    """Every row of a sweep, resolved and checked: all combinations of its grid, its rows and its seeds.

    Args:
        config: the sweep.
        place: its file; recipe files are found from its folder.
        model: the recipe of the model with which all rows draw.

    Raises:
        InputError: a recipe or a setting is wrong, or two rows have the same name.
    """
    found: dict[str, Row] = {}
    alone = RowConfig.model_construct(name="", recipe=None, set={})
    for point in product(*_axes({**config.grid, **config.drawn})):
        exam = config.exam | {key: value for key, _, value in point if key in config.drawn}
        for number, row in enumerate(config.rows or (alone,)):
            labels = {key: label for key, label, _ in point} | ({ROW: row.name} if row.name else {})
            group = ", ".join(labels.values()) or config.name
            trained = ", ".join(label for key, label in labels.items() if key not in config.drawn)
            where = f"{place}: rows.{number} ({group})" if row.name else f"{place} ({group})"
            file = recipe_file(str(row.recipe or config.recipe), place)
            settings = {**config.set, **row.set}
            settings |= {key: value for key, _, value in point if key in config.grid}
            for seed in config.seeds:
                every = {
                    key: value.replace(SEED, str(seed)) if isinstance(value, str) else value
                    for key, value in {**settings, **dict.fromkeys(config.seed_keys, seed)}.items()
                }
                try:
                    if model is None:
                        recipe = load_recipe(file, base=config.base, overrides=every.items())
                    else:
                        recipe = redrawn(model, every)
                except InputError as error:
                    raise InputError(error.problem, place=where, remedy=error.remedy) from error
                ending = f", seed {seed}" if len(config.seeds) > 1 else ""
                name, trained_as = group + ending, (trained or config.name) + ending
                if name in found:
                    raise InputError(f"two rows are named '{name}'", place=place, remedy="rename one")
                examined = _examined(recipe, exam, f"{place}: {'drawn' if config.drawn else 'exam'}")
                found[name] = Row(name, group, seed, labels, recipe, examined, trained_as)
    known = {name for row in found.values() for name in (row.group, row.labels.get(ROW, row.group))}
    if config.reference is not None and config.reference not in known:
        remedy = did_you_mean(config.reference, known)
        raise InputError(f"there is no row '{config.reference}'", place=f"{place}: reference", remedy=remedy)
    return list(found.values())


def recipe_file(name: str, place: Path) -> str | Path:
    """The recipe that a sweep names: a file beside it, any other file, or a shipped recipe."""
    beside = place.parent / name
    return beside if beside.is_file() else name


def redrawn(model: Recipe, settings: Settings) -> Recipe:
    """The recipe of a trained model with settings that only matter when it draws.

    Raises:
        InputError: a setting is wrong, or would need another model.
    """
    recipe = parse_recipe(
        model.model_dump(mode="json") | {"tiny": {}, "tiny_dit": {}}, overrides=settings.items()
    )
    for section in FIXED:
        if _trained(recipe, section) != _trained(model, section):
            raise InputError(
                f"the model is trained with another '{section}'",
                remedy="change samplers, data or guidance only; anything else needs a training",
            )
    return recipe


def _examined(recipe: Recipe, exam: Settings, place: str) -> Recipe | None:
    try:
        return redrawn(recipe, exam) if exam else None
    except InputError as error:
        raise InputError(error.problem, place=place, remedy=error.remedy) from error


def _trained(recipe: Recipe, section: str) -> Any:
    if section != "conditions":
        return getattr(recipe, section)
    return [condition.model_dump(exclude={"sampler"}) for condition in recipe.conditions]


def _axes(grid: Mapping[str, list[Any] | dict[str, Any]]) -> Iterator[list[tuple[str, str, Any]]]:
    """For each path of the grid: the path, the name and the value of each of its values.

    A value without a name is called by the last word of its path, or by the whole path where two end alike.
    """
    words = {key: key.removesuffix(".kind").rpartition(".")[2] for key in grid}
    for key, values in grid.items():
        if isinstance(values, dict):
            yield [(key, str(name), value) for name, value in values.items()]
        else:
            short = words[key] if [*words.values()].count(words[key]) == 1 else key
            yield [(key, f"{short}={value}", value) for value in values]


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
    weights = None if model is None else files_identity(model)
    measured = [
        config.seed,
        config.pictures.count if config.pictures else 0,
        *(source_version(package) for package in (evaluation, scores, worlds)),
    ]
    found: dict[str, RowPlan] = {}
    for row in rows:
        try:
            data = shared.data_identity(row.recipe.data)
            exam = []
            if row.examined is not None:
                exam = [recipe_identity(row.examined, shared.data_identity(row.examined.data))]
        except InputError as error:
            raise InputError(
                f"{error.place}: {error.problem}", place=f"row '{row.name}'", remedy=error.remedy
            ) from error
        key = fingerprint(recipe_identity(row.recipe, data), weights, row.recipe.evaluation.protocol)
        drawn = fingerprint(*exam)[:8] if config.drawn else ""
        name = key + drawn
        if name in found:
            raise InputError(
                f"the rows '{found[name].row.name}' and '{row.name}' are the same",
                place=f"sweep '{config.name}'",
                remedy="remove one, or change a setting",
            )
        folder = out / (RUNS if trains else ROWS) / f"{folder_name(row.trained_as or row.name)}-{key[:8]}"
        places = tuple(
            folder
            / SCORES
            / f"{number:02d}-{score.kind}-{fingerprint(key, score.model_dump_json(), *measured, *exam)[:8]}"
            for number, score in enumerate(config.scores)
        )
        final = RunFolder(folder).final if trains else model
        found[name] = RowPlan(row, folder, trains, final, places, drawn)
    return list(found.values())


def left_over(plans: Sequence[RowPlan], out: Path) -> list[Path]:
    """Folders of rows that the sweep no longer has."""
    known = {plan.folder for plan in plans}
    there = [folder for room in (RUNS, ROWS) if (out / room).is_dir() for folder in (out / room).iterdir()]
    return sorted(path for path in there if path not in known and not path.name.startswith("."))


def recipe_identity(recipe: Recipe, data: str) -> str:
    """A name that changes with whatever a trained model follows from.

    Args:
        recipe: resolved.
        data: identity of its data.
    """
    features = [getattr(recipe.features, name, None) for name in ("model", "path")]
    features = [PACKAGED.get(str(name), name) for name in features]  # a CLIP in the package goes by its name
    return fingerprint(
        recipe.model_dump_json(exclude=SPOKEN),
        data,
        base_identity(recipe.base),
        files_identity(TINY_FOLDER),
        *(files_identity(name) for name in (*features, recipe.start_from) if name is not None),
    )


def base_identity(base: BaseFields) -> str:
    """A name that changes with the files of a base; its config alone where they are not on this machine."""
    try:
        folder = base.folder()
        files = [folder / file for file in base_files(type(base), folder)]
        return fingerprint(*FeatureCache().digests(files))
    except (InputError, OSError):
        return fingerprint(base.model_dump_json())


def files_identity(name: str | Path) -> str:
    """A name that changes with the weights in a folder, or with a file; the name itself of anything else."""
    place = Path(name)
    files = [place] if place.is_file() else sorted(place.rglob("*.safetensors")) if place.is_dir() else []
    return fingerprint(*FeatureCache().digests(files)) if files else str(name)
