"""Settings changed from outside, written ``a.b=c``, in plain values before they are validated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from graphcond.errors import InputError, did_you_mean
from graphcond.io.strict_yaml import parse_yaml


def override(values: dict[str, Any], assignments: Iterable[str]) -> None:
    """Apply ``a.b=c`` assignments to plain values, in place.

    Raises:
        InputError: no assignment, or its path does not fit the values.
    """
    for text in assignments:
        assign(values, *assignment(text))


def assignment(override: str | tuple[str, Any], *, place: str = "--set") -> tuple[list[str], Any]:
    """The path and the value of ``a.b=c``, which is read as YAML, or of a pair of both.

    Raises:
        InputError: no assignment, or its value is not YAML.
    """
    if not isinstance(override, str):
        path, value = override
        return path.split("."), deepcopy(value)  # later overrides may change parts of it
    path, equals, text = override.partition("=")
    if not equals or not path.strip():
        raise InputError(f"'{override}' is not an assignment", place=place, remedy=f"write {place} a.b=c")
    try:
        return path.strip().split("."), parse_yaml(text, place)
    except InputError as error:
        raise InputError(
            f"the value of '{override:.60}' cannot be read: {error.problem}", place=place, remedy="quote it"
        ) from None


def assign(values: Any, path: list[str], value: Any, *, place: object = "--set") -> None:
    """Set one value in nested mappings and lists; items of a list go by number or by their name.

    Args:
        values: what to change, in place.
        path: the names on the way to the value.
        value: the value.
        place: where the assignment is written, for errors.

    Raises:
        InputError: the path does not fit the values.
    """
    *parents, last = path
    for depth, part in enumerate(parents):
        if isinstance(values, dict) and (whole := ".".join(path[depth:])) in values:
            values[whole] = value  # a name with a dot in it, such as that of a group of parameters
            return
        values = _child(values, part, ".".join(path[: depth + 1]), place)
    if isinstance(values, list):
        values[_position(values, last, ".".join(path), place)] = value
    elif last == "kind" and values.get("kind") != value:
        values.clear()  # another kind starts from its own defaults
        values["kind"] = value
    else:
        values[last] = value


def _child(values: Any, part: str, path: str, place: object) -> Any:
    child = values[_position(values, part, path, place)] if isinstance(values, list) else values.get(part)
    if child is None and isinstance(values, dict):
        child = values[part] = {}
    if not isinstance(child, dict | list):
        raise InputError(f"'{path}' is a value, not a section", place=place, remedy="shorten the path")
    return child


def _position(items: list[Any], part: str, path: str, place: object) -> int:
    names = [str(item.get("name")) for item in items if isinstance(item, dict)]
    if part in names:
        return names.index(part)
    if part.isdigit() and int(part) < len(items):
        return int(part)
    raise InputError(f"there is no '{path}'", place=place, remedy=did_you_mean(part, names))


def leaves(values: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The settings of a recipe by their paths; lists without mappings stay whole."""
    if isinstance(values, Mapping) and values:
        items = [(str(key), value) for key, value in values.items()]
    elif isinstance(values, list) and any(isinstance(item, Mapping) for item in values):
        items = [(str(number), item) for number, item in enumerate(values)]
    else:
        yield path, values
        return
    for key, value in items:
        yield from leaves(value, f"{path}.{key}" if path else key)
