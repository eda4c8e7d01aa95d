"""Libraries that need not be installed."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from graphcond.errors import InputError, first_line


def why_missing(module: str) -> str | None:
    """The reason why a library cannot be imported, on one line; None if it can.

    A build for another torch fails with any error that its loader raises, so any is an answer.
    """
    os.environ.setdefault("DGLBACKEND", "pytorch")  # without it DGL writes a config into the user's home
    try:
        import_module(module)
    except Exception as error:
        return first_line(error)
    return None


def optional(module: str, install: str, *, place: object = None, otherwise: str = "") -> Any:
    """Import a library that need not be installed.

    Args:
        module: such as ``torch_geometric``.
        install: the argument of ``pip install`` for it.
        place: the setting or file that needs it.
        otherwise: another remedy, such as "or use backend: auto".

    Raises:
        InputError: it is missing or broken.
    """
    reason = why_missing(module)
    if reason is not None:
        raise InputError(
            f"{module} cannot be imported ({reason})",
            place=place,
            remedy=f"install it with `pip install {install}`{otherwise}",
        )
    return import_module(module)
