"""Recipes from files and by name, with overrides and another base."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TextIO

import yaml
from pydantic import ValidationError

from graphcond.errors import InputError, did_you_mean
from graphcond.recipe.problems import as_input_error
from graphcond.recipe.recipe import Recipe

BaseName = Literal["tiny"]


def shipped_recipes() -> dict[str, Path]:
    """The recipes inside the package, by name."""
    packaged = Path(str(files("graphcond"))) / "recipes"
    folder = packaged if packaged.is_dir() else Path(__file__).parents[2] / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_recipe(name_or_path: str | Path) -> Path:
    """The file of a shipped recipe, or the file itself.

    Raises:
        InputError: neither a file nor the name of a shipped recipe.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    shipped = shipped_recipes()
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    raise InputError(
        "no such recipe",
        place=name_or_path,
        remedy=f"give a YAML file, or {did_you_mean(path.stem, shipped)}",
    )


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


def read_yaml(path: Path) -> Any:
    """The values of a YAML file.

    Raises:
        InputError: unreadable, not YAML, or a key given twice.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            return _parse(stream)
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 (byte {error.start})", place=path, remedy="save it as UTF-8") from None
    except OSError as error:
        raise InputError(error.strerror or str(error), place=path, remedy="check the path") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else path
        problem = getattr(error, "problem", None) or str(error)
        raise InputError(f"not YAML: {problem}", place=where, remedy="mend that line") from None


def _parse(text: TextIO | str) -> Any:
    """The values of a YAML text; all that can be wrong with it is a `yaml.YAMLError`."""
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except UnicodeDecodeError:
        raise
    except ValueError as error:  # a date that does not exist
        raise yaml.YAMLError(str(error)) from error
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, and reads the key ``null`` as the word it is here."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key is a list or a mapping", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"'{key}' is given twice", key_node.start_mark
                )
            seen.add(key)
        values = super().construct_mapping(node, deep)
        return {"null" if key is None else key: value for key, value in values.items()}


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
        return path.strip().split("."), _parse(value)
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
