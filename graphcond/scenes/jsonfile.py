"""Reads JSON strictly; every error names its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from graphcond.config import as_input_error
from graphcond.errors import InputError
from graphcond.io import files

Row = TypeVar("Row", bound=BaseModel)

MOST_BYTES = 4_000_000_000
"""A larger JSON file is refused: reading it takes many times its size in memory."""


def read_strict(path: Path) -> Any:
    """Read JSON; UTF-8 with or without a byte order mark.

    Raises:
        InputError: the file is missing, too large, not UTF-8, not JSON or nested too deeply, or it has a key
            twice in one object, NaN or infinity, or half a surrogate pair.
    """
    return parse_strict(read_text(path), path)


def read_lines(path: Path) -> list[tuple[int, Any]]:
    """The lines of a JSON Lines file that are not empty, parsed, each with its number from 1.

    Raises:
        InputError: the file cannot be read or is empty, or a line is not JSON.
    """
    lines = read_text(path).split("\n")
    found = [(n, parse_strict(line, f"{path}:{n}")) for n, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise InputError("the file is empty", place=path, remedy="give it one line per scene")
    return found


def read_text(path: Path) -> str:
    """The text of a UTF-8 file.

    Raises:
        InputError: the file is missing, a folder, too large or not UTF-8.
    """
    return files.read_text(path, encoding="utf-8-sig", most=MOST_BYTES)


def parse_strict(text: str, place: object) -> Any:
    """Parse JSON as `read_strict` does; ``place`` is the place in errors."""
    if not text.strip():
        raise InputError("the file is empty", place=place, remedy="check that it was written to its end")
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair cannot be encoded
        return value
    except json.JSONDecodeError as error:
        where = f"{place}:{error.lineno}" if "\n" in text else place
        raise InputError(
            f"the text is not JSON: {error.msg}", place=where, remedy="correct that line"
        ) from None
    except RecursionError:
        raise InputError(
            "the JSON is nested too deeply", place=place, remedy="write fewer brackets"
        ) from None
    except UnicodeEncodeError:
        raise InputError(
            "the JSON holds half a surrogate pair (\\ud...)", place=place, remedy="correct it"
        ) from None
    except ValueError as error:
        raise InputError(f"the text is not JSON: {error}", place=place, remedy="correct it") from None


def rows_of(value: Any, file: Path) -> list[tuple[str, Any]]:
    """Each element of a parsed list with its place for messages; any other value is one row."""
    if isinstance(value, list):
        return [(f"{file}: entry {number}", row) for number, row in enumerate(value)]
    return [(str(file), value)]


Identifier = Annotated[
    str,
    Field(min_length=1),
    BeforeValidator(lambda given: str(given) if type(given) is int else given),
]
"""A number or a text that identifies something, as a text."""


def checked(model: type[Row], value: Any, place: object) -> Row:
    """``value`` as the ``model`` of a row.

    Raises:
        InputError: it has another form.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise as_input_error(error, model, place, position="[{}]", remedy="correct the file") from None


@contextmanager
def at(place: object) -> Iterator[None]:
    """Put ``place`` before the place of an error that the block raises.

    Raises:
        InputError: the error of the block, with the longer place.
    """
    try:
        yield
    except InputError as error:
        inner = error.place
        longer = place if inner is None else f"{place}: {inner}"
        raise type(error)(error.problem, place=longer, remedy=error.remedy) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key '{twice:.60}' occurs twice in one object")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")
