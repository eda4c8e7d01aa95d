"""Recipes from files and by name, with overrides and another base."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from graphcond.config import as_input_error
from graphcond.errors import InputError, Notice
from graphcond.recipe.overrides import assign, assignment
from graphcond.recipe.recipe import Recipe
from graphcond.recipe.yaml_files import find_recipe, read_yaml

BaseName = Literal["tiny"]


def load_recipe(
    name_or_path: str | Path, *, base: BaseName | None = None, overrides: Iterable[str] = ()
) -> Recipe:
    """Read a recipe, put it on another base if asked, then apply ``a.b=c`` overrides.

    Raises:
        InputError: the file or an override is wrong; the message names each YAML path.
    """
    path = find_recipe(name_or_path)
    return parse_recipe(read_yaml(path), base=base, overrides=overrides, place=path)


def parse_recipe(
    values: Any, *, base: BaseName | None = None, overrides: Iterable[str] = (), place: object = "recipe"
) -> Recipe:
    """A recipe from plain values; see `load_recipe`."""
    if not isinstance(values, dict):
        raise InputError(
            "a recipe is a mapping of names to settings", place=place, remedy="see `graphcond recipe show`"
        )
    values = copy.deepcopy(values)
    assignments = [_renamed(*assignment(text)) for text in overrides]
    if base == "tiny":
        _validate(values, place)  # the recipe itself must be right before it is moved
        _onto_tiny(values, keep_data=any(_names_data(path) for path, _ in assignments))
    for path, value in assignments:
        assign(values, path, value)
    return _validate(values, place)


def _validate(values: Mapping[str, Any], place: object) -> Recipe:
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise as_input_error(error, Recipe, place) from None


def _onto_tiny(values: dict[str, Any], *, keep_data: bool) -> None:
    values["base"] = {"kind": "tiny"}
    words_only = values.get("features", {}).get("kind") in ("text", "tiny_bert")
    values["features"] = {"kind": "tiny_bert" if words_only else "tiny"}
    data = values.setdefault("data", {})
    if keep_data:
        data["resolution"] = 64
    else:
        scenes = "scenes" in (data.get("kind"), data.get("world"))
        values["data"] = {"kind": "world", "world": "scenes" if scenes else "art"}
    values.setdefault("training", {})["mixed_precision"] = "no"
    for path, value in values.pop("tiny", {}).items():
        assign(values, *_renamed(path.split("."), value))


def _renamed(path: list[str], value: Any) -> tuple[list[str], Any]:
    """The assignment with ``conditions.*.without_graph`` in place of its old name."""
    if path[0] == "conditions" and path[2:] == ["null"]:
        warnings.warn(f"{'.'.join(path)} is called without_graph now; rename it", Notice, stacklevel=3)
        return [*path[:2], "without_graph"], value
    return path, value


def _names_data(path: list[str]) -> bool:
    """Whether an override says which graph, so that no world takes its place."""
    return path in (["data"], ["data", "kind"], ["data", "path"])
