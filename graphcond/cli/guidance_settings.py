"""Settings of guidance that a command changes for the pictures that it draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphcond.errors import InputError

OPTIONS = {"text": "--text-scale", "graph": "--graph-scale", "mode": "--mode"}
"""Settings of guidance that have an option of their own."""


def guidance_settings(assignments: Sequence[str] | None) -> dict[str, Any]:
    """The settings of a recipe's ``guidance`` that ``--set guidance.a=b`` names, by their names.

    Raises:
        InputError: a setting is of another section, has an option of its own, does not exist, or is wrong.
    """
    from pydantic import ValidationError

    from graphcond.config import as_input_error
    from graphcond.recipe.overrides import assignment
    from graphcond.recipe.sections import GuidanceConfig

    found: dict[str, Any] = {}
    for one in assignments or ():
        (section, *names), value = assignment(one)
        if section != "guidance" or not names:
            raise InputError(
                f"'{one}' is not a setting of guidance",
                place="--set",
                remedy="change guidance alone, such as --set guidance.reuse=2",
            )
        if names[0] in OPTIONS:
            raise InputError(
                f"'{one}' has an option of its own", place="--set", remedy=f"use {OPTIONS[names[0]]}"
            )
        found[".".join(names)] = value
    try:
        GuidanceConfig.model_validate(found)
    except ValidationError as error:
        raise as_input_error(error, GuidanceConfig, "--set guidance") from None
    return found
