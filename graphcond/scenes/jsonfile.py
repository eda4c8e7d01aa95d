"""Reads JSON strictly; every error names its place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from graphcond.config import as_input_error
from graphcond.errors import InputError
from graphcond.io import files
from graphcond.io.files import MOST_JSON
from graphcond.io.strict_json import parse_json

Row = TypeVar("Row", bound=BaseModel)


def read_lines(path: Path) -> list[tuple[int, Any]]:
    """The lines of a JSON Lines file that are not empty, parsed, each with its number from 1.

    Raises:
        InputError: the file cannot be read or is empty, or a line is not JSON.
    """
    lines = read_text(path).split("\n")
    found = [(n, parse_json(line, f"{path}:{n}")) for n, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise InputError("the file is empty", place=path, remedy="give it one line per scene")
    return found


def read_text(path: Path) -> str:
    """The text of a UTF-8 file.

    Raises:
        InputError: the file is missing, a folder, too large or not UTF-8.
    """
    return files.read_text(path, encoding="utf-8-sig", most=MOST_JSON)


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
