"""A saved model and a few pictures, for the commands that draw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.builders import small_model


@pytest.fixture(scope="module")
def model(sd_folder: Path, clip_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    small_model(sd_folder, features={"kind": "clip", "model": str(clip_folder)}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def paintings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five pictures in a metadata.jsonl folder; the last has no neighbors."""
    folder = tmp_path_factory.mktemp("paintings")
    rng = np.random.default_rng(0)
    names = [f"p {n}.png" for n in range(5)]
    for name in names:
        Image.fromarray(rng.integers(0, 255, (20, 30, 3), np.uint8)).save(folder / name)
    lines = [
        {"center": n, "text": f"picture {n}", "neighbors": [m for m in names[:4] if m != n]}
        for n in names[:4]
    ]
    lines.append({"center": names[4], "text": "alone", "neighbors": []})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder
