"""Recipes from files and by name, with overrides and another base."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from graphcond.errors import InputError, did_you_mean
from graphcond.recipe.problems import as_input_error
from graphcond.recipe.recipe import Recipe
from graphcond.recipe_files import find_recipe, parse_yaml, read_yaml

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
    assignments = [_assignment(text) for text in overrides]
    if base == "tiny":
        _validate(values, place)  # the recipe itself must be right before it is moved
        _onto_tiny(values, keep_data=any(_names_data(path) for path, _ in assignments))
    for path, value in assignments:
        _assign(values, path, value)
    return _validate(values, place)


def override(values: dict[str, Any], assignments: Iterable[str]) -> None:
    """Apply ``a.b=c`` assignments to plain values, in place.

    Raises:
        InputError: no assignment, or its path does not fit the values.
    """
    for text in assignments:
        _assign(values, *_assignment(text))


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
        _assign(values, path.split("."), value)


def _names_data(path: list[str]) -> bool:
    """Whether an override says which graph, so that no world takes its place."""
    return path in (["data"], ["data", "kind"], ["data", "path"])


def _assignment(text: str) -> tuple[list[str], Any]:
    path, equals, value = text.partition("=")
    if not equals or not path.strip():
        raise InputError(f"'{text}' is no assignment", place="--set", remedy="write --set a.b=c")
    try:
        return path.strip().split("."), parse_yaml(value)
    except yaml.YAMLError:
        raise InputError(f"the value of '{text}' is not YAML", place="--set", remedy="quote it") from None


def _assign(values: Any, path: list[str], value: Any) -> None:
    """Set one value in nested mappings and lists; items of a list go by number or by their name."""
    *parents, last = path
    for depth, part in enumerate(parents):
        values = _child(values, part, ".".join(path[: depth + 1]))
    if isinstance(values, list):
        values[_position(values, last, ".".join(path))] = value
    elif last == "kind" and values.get("kind") != value:
        values.clear()  # another kind starts from its own defaults
        values["kind"] = value
    else:
        values[last] = value


def _child(values: Any, part: str, path: str) -> Any:
    child = values[_position(values, part, path)] if isinstance(values, list) else values.get(part)
    if child is None and isinstance(values, dict):
        child = values[part] = {}
    if not isinstance(child, dict | list):
        raise InputError(f"'{path}' is a value, not a section", place="--set", remedy="shorten the path")
    return child


def _position(items: list[Any], part: str, path: str) -> int:
    names = [str(item.get("name")) for item in items if isinstance(item, dict)]
    if part in names:
        return names.index(part)
    if part.isdigit() and int(part) < len(items):
        return int(part)
    raise InputError(f"there is no '{path}'", place="--set", remedy=did_you_mean(part, names))
