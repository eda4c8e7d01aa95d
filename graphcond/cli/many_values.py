"""Options that take all values up to the next option; typer knows only one value for each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand

from graphcond.errors import InputError

_TOGETHER = "\0"
"""Separates the values of one ``--neighbors``; a file name cannot contain it."""


NUMBER = re.compile(r"-(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|-(inf|nan)", re.IGNORECASE)
"""A value that begins like an option."""


class ManyValues(TyperCommand):
    """A command whose ``--neighbors`` and ``--graph-scale`` take all values up to the next option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Gather the values, then parse as ever."""
        return super().parse_args(ctx, gather(args))


def gather(args: Sequence[str]) -> list[str]:
    """``--neighbors a b`` as one value, ``--graph-scale 1 2`` as the option given twice.

    Raises:
        InputError: one of them has no value.
    """
    gathered: list[str] = []
    rest = list(args)
    while rest:
        option = rest.pop(0)
        if option == "--neighbors":
            gathered += [option, _TOGETHER.join(_values(option, rest))]
        elif option == "--graph-scale":
            gathered += [part for value in _values(option, rest) for part in (option, value)]
        else:
            gathered.append(option)
    return gathered


def apart(together: str) -> list[str]:
    """The values of one ``--neighbors`` that `gather` made one."""
    return together.split(_TOGETHER)


def _values(option: str, rest: list[str]) -> list[str]:
    """Takes the values of ``option`` from the head of ``rest``."""
    values = []
    while rest and (not rest[0].startswith("-") or NUMBER.fullmatch(rest[0])):
        values.append(rest.pop(0))
    if not values:
        raise InputError(
            "the option needs a value", place=option, remedy="name one or more after it, or leave it out"
        )
    return values
