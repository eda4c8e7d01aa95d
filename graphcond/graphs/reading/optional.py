"""Libraries that only some formats need."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from graphcond.errors import InputError


def optional(module: str, install: str) -> Any:
    """Import a library that need not be installed.

    Args:
        module: such as ``torch_geometric``.
        install: what ``pip install`` needs to hear for it.

    Raises:
        InputError: it is missing or broken.
    """
    os.environ.setdefault("DGLBACKEND", "pytorch")  # without it DGL writes a config into the user's home
    try:
        return import_module(module)
    except Exception as error:  # a broken DGL raises anything: FileNotFoundError, AttributeError, OSError
        reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
        raise InputError(
            f"{module} cannot be imported ({reason})", remedy=f"install it: `pip install {install}`"
        ) from error
