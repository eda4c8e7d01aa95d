"""JSON from anywhere: what is not plain JSON is an error for the user, and no key is silently lost."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from graphcond.errors import InputError

DEEPEST = 100
"""Levels of lists and objects: recursive functions copy what was read."""

COPIED = 1_000_000
"""Characters below which a text may be settings; longer ones are data, whose models check each level."""

_MAY_OVERFLOW = re.compile(r"[eE]\+?\d{3}|\d{300}")
"""Numbers that may be too large for a float, which `json` reads as infinity."""


def parse_json(text: str, place: object, *, remedy: str = "correct that line", nan: bool = False) -> Any:
    """The value of a JSON text.

    Args:
        text: the text.
        place: where it comes from, for errors.
        remedy: the remedy where the text is not JSON.
        nan: accept NaN and infinity, as `json.dumps` writes them.

    Raises:
        InputError: the text is empty, not JSON or nested too deeply, or it has a key twice in one object, NaN
            or infinity, an integer of thousands of digits, or half a surrogate pair.
    """
    if not text.strip():
        raise InputError("the file is empty", place=place, remedy="check that it was written to its end")
    strict: dict[str, Any] = {} if nan else {"parse_constant": _refuse}
    if not nan and _MAY_OVERFLOW.search(text):
        strict["parse_float"] = _finite
    try:
        value = json.loads(text, object_pairs_hook=_object, **strict)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair cannot be encoded
        level = [value] if len(text) < COPIED else []
        for _ in range(DEEPEST):
            within = [one for one in level if isinstance(one, dict | list)]
            level = [child for one in within for child in (one.values() if isinstance(one, dict) else one)]
        if level:
            raise RecursionError
        return value
    except json.JSONDecodeError as error:
        where = f"{place}:{error.lineno}" if "\n" in text.rstrip() else place
        raise InputError(f"the text is not JSON: {error.msg}", place=where, remedy=remedy) from None
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


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key '{twice:.60}' occurs twice in one object")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"the number {digits:.30} is too large")
    return number
