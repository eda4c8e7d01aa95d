"""Files and scenes that the tests of this room share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from graphcond.scene_graph import Box, SceneGraph

SHARED = Path(__file__).parents[2] / "../shared/data/scene_graphs"

SHEEP: dict[str, Any] = {
    "objects": ["sky", "grass", "sheep"],
    "relationships": [[0, "above", 1], [2, "standing on", 1]],
}


def shared(name: str) -> Path:
    if not (SHARED / name).is_file():
        pytest.skip(f"../shared/data/scene_graphs/{name} is not here")
    return SHARED / name


def write(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def write_picture(path: Path, size: tuple[int, int] = (100, 50)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "teal").save(path)
    return path


def rich_scene() -> SceneGraph:
    """A scene that has everything a scene can have."""
    masks = np.zeros((3, 16, 16), np.bool_)
    masks[0, :8], masks[2, 3, 4] = True, True
    return SceneGraph(
        objects=("sky", "grass", "Schäfchen"),
        relationships=((0, "above", 1), (2, "standing on", 1), (2, "next to", 2)),  # type: ignore[arg-type]
        attributes=(("blue",), (), ("small", "white")),
        boxes=(Box(0.0, 0.0, 1.0, 0.4), None, Box(0.1, 0.3, 0.3, 0.9)),
        masks=masks,
    )
