"""A training loop's state on disk, so that a stage that was stopped goes on where it was."""

import os
from pathlib import Path
from typing import Any

import torch


def restore(file: Path, parts: dict[str, Any]) -> int:
    """Load the states of ``parts`` and return the steps that are done; 0 where there is no file."""
    if not file.exists():
        return 0
    state = torch.load(file, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["step"])


def keep(file: Path, parts: dict[str, Any], step: int) -> None:
    """Write the states of ``parts`` and the number of steps, atomically."""
    fresh = file.with_suffix(".new")
    torch.save({"step": step, **{name: part.state_dict() for name, part in parts.items()}}, fresh)
    os.replace(fresh, file)
