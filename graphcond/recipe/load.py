"""Recipes from files and by name, with overrides and another base."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import ValidationError

from graphcond.bases.config import packaged_bases
from graphcond.config import as_input_error
from graphcond.errors import InputError, Notice, did_you_mean
from graphcond.io.quiet import ignored
from graphcond.io.strict_yaml import read_yaml
from graphcond.recipe.overrides import assign, assignment
from graphcond.recipe.sections import AUTO
from graphcond.recipe.yaml_files import find_recipe

if TYPE_CHECKING:
    from graphcond.recipe.recipe import Recipe

Override: TypeAlias = str | tuple[str, Any]
"""``a.b=c``, or a path and its value."""


def load_recipe(
    name_or_path: str | Path, *, base: str | None = None, overrides: Iterable[Override] = ()
) -> Recipe:
    """Read a recipe, put it on another base if asked, then apply ``a.b=c`` overrides.

    Raises:
        InputError: the file or an override is wrong; the message names each YAML path.
    """
    path = find_recipe(name_or_path)
    return parse_recipe(read_yaml(path), base=base, overrides=overrides, place=path)


def check_recipe(
    name_or_path: str | Path, *, base: str | None = None, overrides: Sequence[Override] = ()
) -> Recipe:
    """The recipe as `load_recipe` reads it, after its sections for bases in the package have been tried too.

    The sections are tried as they are in the file: overrides such as ``base.model`` are for another base.

    Raises:
        InputError: as `load_recipe`; or a section does not fit the recipe.
    """
    recipe = load_recipe(name_or_path, base=base, overrides=overrides)
    with ignored(Notice):  # given above already
        for kind, packaged in packaged_bases().items():
            if packaged.section is not None and getattr(recipe, packaged.section):
                load_recipe(name_or_path, base=kind)
    return recipe


def parse_recipe(
    values: Any, *, base: str | None = None, overrides: Iterable[Override] = (), place: object = "recipe"
) -> Recipe:
    """A recipe from plain values; see `load_recipe`."""
    if not isinstance(values, dict):
        raise InputError(
            "a recipe is a mapping of names to settings", place=place, remedy="see `graphcond recipe show`"
        )
    values = copy.deepcopy(values)
    assignments = [_renamed(*assignment(one)) for one in overrides]
    if base is not None:
        graph = ["data"], ["data", "kind"], ["data", "path"]  # which a world must not replace
        keep_data = any(path in graph for path, _ in assignments)
        _move(values, _validate(values, place), base, keep_data=keep_data, place=f"{place}: {base}")
        _validate(values, f"{place}: {base}")
    if not assignments:
        return _validate(values, place)
    written = copy.deepcopy(values)
    for path, value in assignments:
        assign(values, path, value)
    try:
        return _validate(values, "--set")
    except InputError:
        _validate(written, place)  # what was wrong before is the fault of the file
        raise


def _validate(values: Mapping[str, Any], place: object) -> Recipe:
    from graphcond.recipe.recipe import Recipe  # loads plug-ins, which may import this module at their top

    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise as_input_error(error, Recipe, place) from None


def _move(values: dict[str, Any], recipe: Recipe, base: str, *, keep_data: bool, place: object) -> None:
    """Put the values of ``recipe`` on a base in the package, in place, and apply its sections for it."""
    if base not in packaged_bases():
        remedy = did_you_mean(base, packaged_bases())
        raise InputError(f"there is no base '{base}' in the package", place="--base", remedy=remedy)
    packaged = packaged_bases()[base]
    values["base"] = {"kind": base}
    own = recipe.features.on_tiny == "tiny"
    values["features"] = dict(packaged.features) if own else {"kind": recipe.features.on_tiny}
    world = packaged.scene_world if recipe.data.has_scenes else packaged.graph_world
    if keep_data:
        values.setdefault("data", {})["resolution"] = 64
    elif world is None:
        raise InputError(
            f"the base '{base}' has no world of scenes",
            place="--base",
            remedy="use --base tiny, or set data.path",
        )
    else:
        values["data"] = {"kind": "world", "world": world}
    values.setdefault("training", {})["mixed_precision"] = "no"
    values["evaluation"] = {"protocol": AUTO}
    values.pop("tiny", None)
    own_section = {} if packaged.section is None else getattr(recipe, packaged.section)
    for path, value in {**recipe.tiny, **own_section}.items():
        assign(values, *_renamed(path.split("."), value), place=place)


def _renamed(path: list[str], value: Any) -> tuple[list[str], Any]:
    """The assignment with ``conditions.*.without_graph`` in place of its old name."""
    if path[0] == "conditions" and path[2:] == ["null"]:
        warnings.warn(f"{'.'.join(path)} is called without_graph now; rename it", Notice, stacklevel=3)
        return [*path[:2], "without_graph"], value
    return path, value
