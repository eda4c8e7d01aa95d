"""Options that several commands share."""

from __future__ import annotations

from typing import Literal

from graphcond.errors import InputError, did_you_mean

MAX_SEED = 2**63 - 1
"""The range of seeds of torch's generators."""


def base_name(base: str | None) -> Literal["tiny"] | None:
    """The base that ``--base`` names.

    Raises:
        InputError: the base is unknown.
    """
    if base is None:
        return None
    if base == "tiny":
        return "tiny"
    raise InputError(f"there is no base '{base}'", place="--base", remedy=did_you_mean(base, ["tiny"]))
