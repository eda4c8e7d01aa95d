"""What was measured of a row, in its folder: written whole, and found again by another call."""

from __future__ import annotations

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
FIELDS = ("metric", "arm", "n", "how", "higher_is_better", "network", "targets")
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
        figures = [
            {**{name: getattr(figure, name) for name in FIELDS}, **asdict(figure.measured(seed=seed))}
            for figure in scored.figures
        ]
        evidence = [np.ascontiguousarray(figure.evidence, np.float64) for figure in scored.figures]
        save_file({f"{number:04d}": one for number, one in enumerate(evidence)}, new / EVIDENCE)
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


def read_scored(folder: Path) -> Scored | None:
    """What `write_scored` wrote; None if it is missing or damaged."""
    try:
        content: Any = read_json(folder / CONTENT)
        evidence = load_file(folder / EVIDENCE)
        figures = [
            Figure(evidence=evidence[f"{number:04d}"], **{name: one[name] for name in FIELDS})
            for number, one in enumerate(content["figures"])
        ]
        examples = [
            Example(
                label=one["label"],
                right=one["right"],
                **{name: open_picture(folder / one[name]) for name in PICTURES if name in one},
            )
            for one in read_json(folder / EXAMPLES)
        ]
        return Scored(figures, content["notes"], examples)
    except (InputError, OSError, SafetensorError, KeyError, TypeError):
        return None
