"""A recipe whose encoder reads means of steps, in place of neighbors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from graphcond.attributed_graph import AttributedGraph
from tests.training.toys import Toy, run_toy, toy_condition


def test_a_model_is_trained_on_means(toy: Toy, toy_graph: AttributedGraph, tmp_path: Path) -> None:
    condition = toy_condition() | {
        "sampler": {"kind": "hop_mean", "hops": 2, "neighbors": 6},
        "encoder": {"kind": "neighbor_mean"},
    }
    recipe = toy(steps=2, validate_every=2, preview_every=2, conditions=[condition])
    run = run_toy(recipe, toy_graph, tmp_path / "run")
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert np.isfinite([line["loss"] for line in lines if line["kind"] == "train"]).all()
    assert {line["kind"] for line in lines} >= {"train", "validation"}
    assert (run.folder / "previews" / "step-00000002.png").is_file()
