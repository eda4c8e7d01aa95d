"""What was measured of a row, in its folder: written whole, and found again by another call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from graphcond.errors import InputError
from graphcond.io.files import atomic_folder, read_json, write_json
from graphcond.io.pictures import open_picture
from graphcond.sweep.scores.base import Example, Figure, Scored

CONTENT, EVIDENCE, EXAMPLES = "scores.json", "evidence.safetensors", "examples.json"
PICTURES = ("drawn", "graph", "truth")


def write_scored(folder: Path, scored: Scored, *, seed: int) -> None:
    """Write what a score found; equal findings give equal bytes.

    Args:
        folder: where to.
        scored: the findings.
        seed: of the intervals.

    Raises:
        StorageError: the place refuses, or its disk is full.
    """
    with atomic_folder(folder) as new:
        figures = []
        for figure in scored.figures:
            values = {key: value for key, value in vars(figure).items() if key != "evidence"}
            figures.append({**values, **asdict(figure.measured(seed=seed)), "name": figure.metric})
        evidence = {f"{number:04d}": figure.evidence for number, figure in enumerate(scored.figures)}
        save_file(
            {key: np.ascontiguousarray(one, np.float64) for key, one in evidence.items()}, new / EVIDENCE
        )
        examples = []
        for number, example in enumerate(scored.examples):
            kept: dict[str, Any] = {"label": example.label, "right": example.right}
            for name in PICTURES:
                picture: Image.Image | None = getattr(example, name)
                if picture is not None:
                    kept[name] = f"{number:03d}-{name}.png"
                    picture.save(new / kept[name])
            examples.append(kept)
        write_json(new / EXAMPLES, examples)
        write_json(new / CONTENT, {"figures": figures, "notes": list(scored.notes)})


FIELDS = ("metric", "arm", "n", "how", "higher_is_better", "network", "targets")


def read_scored(folder: Path) -> Scored | None:
    """What `write_scored` wrote; None if it is missing or damaged."""
    try:
        content: Any = read_json(folder / CONTENT)
        evidence = load_file(folder / EVIDENCE)
        figures = [
            Figure(evidence=evidence[f"{number:04d}"], **{name: one[name] for name in FIELDS})
            for number, one in enumerate(content["figures"])
        ]
        return Scored(figures, content["notes"], list(_examples(folder)))
    except (InputError, OSError, SafetensorError, KeyError, TypeError):
        return None


def _examples(folder: Path) -> Iterator[Example]:
    kept: Any = read_json(folder / EXAMPLES)
    for one in kept:
        pictures = {name: open_picture(folder / one[name]) for name in PICTURES if name in one}
        yield Example(label=one["label"], right=one["right"], **pictures)


def write_failure(file: Path, reason: str) -> None:
    """Write why a row failed."""
    write_json(file, {"reason": reason})


def read_failure(file: Path) -> str | None:
    """Why a row failed; None if it did not."""
    with suppress(InputError):
        content = read_json(file)
        if isinstance(content, dict):
            return str(content.get("reason"))
    return None


def joined(found: Sequence[Scored]) -> Scored:
    """The findings of several scores as one."""
    return Scored(
        [figure for one in found for figure in one.figures],
        list(dict.fromkeys(note for one in found for note in one.notes)),
        next((one.examples for one in found if one.examples), ()),
    )
