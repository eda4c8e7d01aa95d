"""The rows of a sweep: every combination of its grid, its rows and its seeds, each a resolved recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from graphcond.errors import InputError, did_you_mean
from graphcond.recipe import Recipe, load_recipe
from graphcond.sweep.config import RowConfig, Settings, SweepConfig

ROW = "row"
"""The axis of the names of rows, beside those of the grid."""


@dataclass(frozen=True)
class Row:
    """A row of a sweep with one seed.

    Args:
        group: name of the row without its seed.
        seed: the seed.
        labels: by axis (``row``, or a path of the grid) the name of the value there.
        recipe: resolved.
        several: whether the row is done with several seeds.
    """

    group: str
    seed: int
    labels: Mapping[str, str]
    recipe: Recipe
    several: bool

    @property
    def name(self) -> str:
        """The name, with the seed if there are several."""
        return f"{self.group}, seed {self.seed}" if self.several else self.group


def rows_of(config: SweepConfig, place: Path, *, model: Recipe | None = None) -> list[Row]:
    """Every row of a sweep, resolved and checked.

    Args:
        config: the sweep.
        place: its file; recipe files are found from its folder.
        model: the recipe of the model with which all rows draw.

    Raises:
        InputError: a recipe or a setting is wrong, or two rows have the same name.
    """
    rows: list[Row] = []
    names = _short([*config.grid])
    for point in product(*(_labelled(key, names[key], config.grid[key]) for key in config.grid)):
        for number, row in enumerate(config.rows or (None,)):
            labels = {key: label for key, label, _ in point} | ({ROW: row.name} if row else {})
            group = ", ".join(labels.values()) or config.name
            where = f"{place}: rows.{number}" if row else place
            settings = {**config.set, **(row.set if row else {}), **{key: value for key, _, value in point}}
            for seed in config.seeds:
                every = {**settings, **dict.fromkeys(config.seed_keys, seed)}
                recipe = _recipe(config, row, every, place, model, where=f"{where} ({group})")
                rows.append(Row(group, seed, labels, recipe, several=len(config.seeds) > 1))
    seen: set[str] = set()
    for one in rows:
        if one.name in seen:
            raise InputError(f"two rows are named '{one.name}'", place=place, remedy="rename one")
        seen.add(one.name)
    known = {name for row in rows for name in (row.group, row.labels.get(ROW, row.group))}
    if config.reference is not None and config.reference not in known:
        remedy = did_you_mean(config.reference, known)
        raise InputError(f"there is no row '{config.reference}'", place=f"{place}: reference", remedy=remedy)
    return rows


def recipe_file(name: str, place: Path) -> str | Path:
    """The recipe that a sweep names: a file beside it, any other file, or a shipped recipe."""
    beside = place.parent / name
    return beside if beside.is_file() else name


def _recipe(
    config: SweepConfig,
    row: RowConfig | None,
    settings: Settings,
    place: Path,
    model: Recipe | None,
    where: str,
) -> Recipe:
    try:
        if model is not None:
            return redrawn(model, settings)
        name = (row.recipe if row else None) or config.recipe
        return load_recipe(recipe_file(str(name), place), base=config.base, overrides=settings.items())
    except InputError as error:
        raise InputError(error.problem, place=where, remedy=error.remedy) from error


FIXED = ("base", "features", "lora", "start_from", "stages", "conditions")
"""Sections of a trained model's recipe that drawing cannot change, except for samplers."""


def redrawn(model: Recipe, settings: Settings) -> Recipe:
    """The recipe of a trained model with settings that only matter when it draws.

    Raises:
        InputError: a setting is wrong, or would need another model.
    """
    from graphcond.recipe.load import parse_recipe

    values = model.model_dump(mode="json") | {"tiny": {}}
    recipe = parse_recipe(values, overrides=settings.items())
    for section in FIXED:
        if _trained(recipe, section) != _trained(model, section):
            raise InputError(
                f"the model is trained with another '{section}'",
                remedy="change samplers, data or guidance only, or name a recipe in place of the model",
            )
    return recipe


def _trained(recipe: Recipe, section: str) -> Any:
    if section != "conditions":
        return getattr(recipe, section)
    return [condition.model_dump(exclude={"sampler"}) for condition in recipe.conditions]


def _labelled(key: str, short: str, values: list[Any] | dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    if isinstance(values, dict):
        return ((key, str(name), value) for name, value in values.items())
    return ((key, f"{short}={value}", value) for value in values)


def _short(keys: list[str]) -> dict[str, str]:
    """The last word of each path, or the whole path where two end alike."""
    ends = {key: [word for word in key.split(".") if word != "kind"][-1:] for key in keys}
    words = {key: end[0] if end else key for key, end in ends.items()}
    return {key: word if [*words.values()].count(word) == 1 else key for key, word in words.items()}
