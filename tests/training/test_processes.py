"""Two processes on one machine do what one does with batches of twice the size."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from graphcond.graphs import load_graph, save_graph
from tests.training.toys import run_toy, toy_recipe, write_graph

ROOT = Path(__file__).parents[2]
SETTINGS = {"steps": 3, "ema": 0.5, "validate_every": 2, "preview_every": 3, "checkpoint_every": 2}


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch is built without torch.distributed")
def test_two_processes_do_what_one_does(sd_folder: Path, clip_folder: Path, tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "pictures")
    save_graph(graph, tmp_path / "graph")
    recipe = toy_recipe(sd_folder, clip_folder, batch_size=4, **SETTINGS)
    alone = run_toy(recipe, graph, tmp_path / "alone")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    arguments = [sd_folder, clip_folder, tmp_path / "graph", tmp_path / "together"]
    done = subprocess.run(
        [*launch, __file__, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    weights = Path("final/conditions/neighbors/encoder.safetensors")
    torch.testing.assert_close(
        load_file(tmp_path / "together" / weights), load_file(alone.folder / weights), atol=1e-4, rtol=1e-4
    )
    lines = (tmp_path / "together" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == len((alone.folder / "metrics.jsonl").read_text().splitlines())


def one_process(sd_folder: str, clip_folder: str, graph: str, out: str) -> None:
    """What each of the two processes runs."""
    recipe = toy_recipe(Path(sd_folder), Path(clip_folder), batch_size=2, **SETTINGS)
    run_toy(recipe, load_graph(graph), Path(out))


if __name__ == "__main__":
    one_process(*sys.argv[1:])
