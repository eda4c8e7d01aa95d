"""DGL, where it is there: it is optional, and old builds of it break beside a newer torch."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import torch

from graphcond.encoders.config import Backend
from graphcond.errors import InputError


@cache
def load_dgl() -> Any:
    """The module ``dgl``, or the exception that importing it raised."""
    os.environ.setdefault("DGLBACKEND", "pytorch")  # without it DGL writes a config into the user's home
    try:
        import dgl
        import dgl.nn.pytorch
    except Exception as error:  # a broken DGL raises anything: FileNotFoundError, AttributeError, OSError
        return error
    return dgl


def require_dgl() -> Any:
    """The module ``dgl``.

    Raises:
        InputError: it is missing or broken.
    """
    dgl = load_dgl()
    if isinstance(dgl, Exception):
        reason = str(dgl).strip().splitlines()[0].rstrip(".") if str(dgl).strip() else type(dgl).__name__
        raise InputError(
            f"DGL cannot be imported ({reason})",
            place="encoder.backend: dgl",
            remedy="pip install 'graphcond[dgl]' under Python 3.11, or use backend: auto",
        )
    return dgl


def uses_dgl(backend: Backend, device: torch.device) -> bool:
    """Whether ``backend`` means DGL on ``device``; ``auto`` does on a CPU where DGL can be imported."""
    if backend == "auto":
        return device.type == "cpu" and not isinstance(load_dgl(), Exception)
    return backend == "dgl"
