"""The weights of the base that a saved model was trained over, and whether it is opened over the same."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

from graphcond.errors import Notice
from graphcond.io.files import read_json
from graphcond.saving.model_folder import MANIFEST

KEY = "base_weights"
"""The key of the fingerprints in the manifest."""

DENOISER = "denoiser"

PARTS = {DENOISER: "denoiser", "others": "autoencoder or text encoder"}
"""What the keys of `Base.weights_version` stand for."""


def recorded(base: Mapping[str, str], *, own_denoiser: bool) -> dict[str, str]:
    """The fingerprints of a base that a model records: without the denoiser if it is the model's own."""
    return {part: name for part, name in base.items() if not (own_denoiser and part == DENOISER)}


def read_recorded(folder: Path) -> dict[str, str] | None:
    """The fingerprints in the folder of a saved model; None where it has none."""
    manifest = read_json(folder / MANIFEST)
    found = manifest.get(KEY) if isinstance(manifest, dict) else None
    return {part: str(name) for part, name in found.items()} if isinstance(found, dict) else None


def warn_of_other_weights(
    saved: Mapping[str, str] | None, base: Mapping[str, str], place: Path, *, reshipped: bool
) -> None:
    """Give a `Notice` if a model is opened over weights that it was not trained over; see `other_weights`."""
    if (found := other_weights(saved, base, reshipped=reshipped)) is not None:
        problem, remedy = found
        warnings.warn(f"{place}: the model was trained over {problem}. {remedy}", Notice, stacklevel=3)


def other_weights(
    saved: Mapping[str, str] | None, base: Mapping[str, str], *, reshipped: bool
) -> tuple[str, str] | None:
    """What a model was trained over, and what to do, if that is not the base over which it is opened.

    Args:
        saved: the recorded fingerprints; None for a model that was saved before there were any.
        base: those of the base over which it is opened.
        reshipped: the base came with graphcond, and models without fingerprints had another one.
    """
    if saved is None:
        changed = "the base in an earlier graphcond, whose weights have changed since"
        remedy = "Train it again, or open it with the graphcond that saved it"
        return (changed, remedy) if reshipped else None
    others = [
        PARTS[part]
        for part, name in saved.items()
        if part in base and name != base[part] and _format(name) == _format(base[part])
    ]
    if not others:
        return None
    return (
        f"a base with another {' and another '.join(others)}",
        "Open it over its own base (--base, or from_pretrained(..., base=...)), or train it again",
    )


def _format(name: str) -> str:
    """What a fingerprint says before the digits of its first network."""
    return name.partition(" ")[0].rpartition(":")[0]
