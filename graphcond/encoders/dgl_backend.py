"""DGL, if it is installed: it is optional, and old builds fail with a newer torch."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import torch

from graphcond.encoders.config import Backend
from graphcond.io.optional import optional, why_missing


@cache
def why_no_dgl() -> str | None:
    """The reason why DGL cannot be imported; None if it can. It is looked for once a process."""
    return why_missing("dgl.nn.pytorch")


def require_dgl() -> Any:
    """The module ``dgl``.

    Raises:
        InputError: it is missing or broken.
    """
    optional(
        "dgl.nn.pytorch",
        "'graphcond[dgl]' (Python 3.11)",
        place="encoder.backend: dgl",
        otherwise=", or use backend: auto",
    )
    return import_module("dgl")


def uses_dgl(backend: Backend, device: torch.device) -> bool:
    """True if ``backend`` selects DGL on ``device``; ``auto`` does on a CPU if DGL can be imported."""
    if backend == "auto":
        return device.type == "cpu" and why_no_dgl() is None
    return backend == "dgl"
