"""Files with one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO

from graphcond.errors import InputError

_REMEDY = "mend or delete that line"


def read_jsonl(file: Path, opened: BinaryIO | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each object with its place (``file:line``); empty lines are skipped.

    Args:
        file: the file.
        opened: the same file, already open, for a caller who wants to know how far it is read.

    Raises:
        InputError: the file is missing or not UTF-8, or a line is not a JSON object.
    """
    try:
        with TextIOWrapper(opened or file.open("rb"), "utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield f"{file}:{number}", _parse(line, f"{file}:{number}")
    except FileNotFoundError:
        raise InputError("no such file", place=file, remedy="check the path") from None
    except UnicodeDecodeError:
        raise InputError("the file is not UTF-8", place=file, remedy="save it as UTF-8") from None


def _parse(line: str, place: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
        if "\\ud" in line.lower():
            # Refuse half a surrogate pair: JSON can spell it, UTF-8 cannot encode it.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        problem = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise InputError(f"the line is not JSON: {problem}", place=place, remedy=_REMEDY) from None
    if not isinstance(value, dict):
        raise InputError(f"expected a JSON object, got {type(value).__name__}", place=place, remedy=_REMEDY)
    return value
