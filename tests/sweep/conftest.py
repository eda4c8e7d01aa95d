"""Sweeps over a small art world and the tiny base."""

from __future__ import annotations

import copy
from typing import Any

import pytest

VALUES: dict[str, Any] = {
    "name": "small",
    "recipe": "instructg2i",
    "base": "tiny",
    "set": {
        "data.paintings_per_artist": 12,
        "training.steps": 2,
        "training.batch_size": 2,
        "training.validate_every": None,
        "training.preview_every": None,
        "training.checkpoint_every": 1,
    },
    "rows": [
        {"name": "tokens"},
        {"name": "gates", "set": {"conditions.neighbors.injector.kind": "gated_self_attention"}},
    ],
    "scores": [
        {"kind": "evaluation", "metrics": ["style_accuracy", "oracle_distance"], "limit": 4, "steps": 1}
    ],
}


@pytest.fixture
def values() -> dict[str, Any]:
    """The plain values of a sweep of two rows, to be changed."""
    return copy.deepcopy(VALUES)
