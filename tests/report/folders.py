"""Run folders written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

RECIPE = {
    "name": "paintings",
    "training": {"steps": 20, "learning_rate": 0.001},
    "conditions": [{"name": "a"}],
}


def train_line(step: int, loss: float | None = 0.5, **more: Any) -> dict[str, Any]:
    return {"step": step, "kind": "train", "loss": loss, "learning_rate": {"a": 1e-3}, **more}


def validation_line(step: int, no_graph: float, graph: float, **more: Any) -> dict[str, Any]:
    losses = {"graph": graph, "no_graph": no_graph, "shuffled": no_graph}
    return {"step": step, "kind": "validation", "loss": losses, "graph_gap": no_graph - graph, **more}


def write_run(
    folder: Path,
    records: Sequence[Mapping[str, Any] | str] = (),
    *,
    recipe: Mapping[str, Any] = RECIPE,
    final: bool = False,
    previews: Sequence[int] = (),
) -> Path:
    """A run folder; a record that is a text is written as it is."""
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(dict(recipe), allow_unicode=True), encoding="utf-8")
    lines = [line if isinstance(line, str) else json.dumps(line) for line in records]
    (folder / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    if final:
        (folder / "final").mkdir()
        (folder / "final" / "graphcond.json").write_text("{}", encoding="utf-8")
    if previews:
        (folder / "previews").mkdir()
    for step in previews:
        Image.new("RGB", (64, 32), (step % 255, 90, 90)).save(folder / "previews" / f"step-{step:08d}.png")
    return folder
