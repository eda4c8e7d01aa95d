"""What a stage leaves: its encoder's weights on disk, found again by what they follow from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from graphcond.errors import InputError
from graphcond.files import atomic_folder, default_cache_folder, read_json, write_json
from graphcond.weights import load_tensors

WEIGHTS, FACTS = "encoder.safetensors", "stage.json"


@dataclass(frozen=True)
class StageResult:
    """The end of a stage.

    Args:
        weights: the encoder's state.
        trained: names of the parameters that the objective reached; the others are as they were.
        figures: the last ones.
    """

    weights: Mapping[str, Tensor]
    trained: tuple[str, ...]
    figures: Mapping[str, float]


def cache_folder(key: str) -> Path:
    """Where a result lies for all runs."""
    return default_cache_folder() / "training" / f"stage-{key}"


def read_result(folder: Path, key: str | None = None) -> StageResult | None:
    """The result in a folder; None where there is none, it is damaged, or it follows from something else.

    Args:
        folder: where to look.
        key: what the result must follow from; anything unless given.
    """
    try:
        facts = read_json(folder / FACTS)
        weights = load_tensors(folder / WEIGHTS)
    except InputError:
        return None
    if not isinstance(facts, dict) or (key is not None and facts.get("key") != key):
        return None
    return StageResult(weights, tuple(facts.get("trained", ())), facts.get("figures", {}))


def write_result(folder: Path, key: str, result: StageResult) -> None:
    """Write a result, whole or not at all.

    Raises:
        WriteError: the place refuses, or its disk is full.
    """
    with atomic_folder(folder) as new:
        save_file(dict(result.weights), new / WEIGHTS)
        facts = {"key": key, "trained": list(result.trained), "figures": dict(result.figures)}
        write_json(new / FACTS, facts)
