"""Two processes on one machine do what one does with batches of twice the size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import PartialState
from safetensors.torch import load_file
from torch.distributed.tensor import DTensor
from typer.testing import CliRunner

from graphcond.cli import app
from graphcond.evaluation import targets
from graphcond.evaluation.evaluate import make_pictures
from graphcond.graphs import save_graph
from graphcond.recipe import load_recipe
from tests.training.toys import Toy, quiet, run_toy, write_graph

ROOT = Path(__file__).parents[2]
SETTINGS = {"steps": 4, "ema": 0.5, "validate_every": 2, "preview_every": 3, "checkpoint_every": 2}
LAUNCH = ("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no")
DDP, FSDP = ("--multi_gpu",), ("--use_fsdp", "--fsdp_version", "2")
"""Both only say that processes are started; without a GPU they compute on CPUs, over gloo."""
SMALL_BATCHES = partial(make_pictures, batch_size=4)
"""Three batches for 11 targets, so that both processes evaluate some."""
WEIGHTS = Path("final/conditions/neighbors/encoder.safetensors")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not torch.distributed.is_available(), reason="torch is built without torch.distributed"
    ),
]


def launch(kind: tuple[str, ...], *command: object, **environment: str) -> None:
    """Run a command in two processes; the port is one that is free."""
    start = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2", *kind, *LAUNCH]
    done = subprocess.run(
        [*start, "--main_process_port", "0", *map(str, command)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def losses(run: Path) -> list[float]:
    """Of every step, then of validation with the graph."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    validated = [line["loss"]["graph"] for line in lines if line["kind"] == "validation"]
    return [line["loss"] for line in lines if line["kind"] == "train"] + validated


def test_two_processes_do_what_one_does_by_ddp_and_resumed_by_fsdp(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path / "cache of one"))
    graph = write_graph(tmp_path / "pictures")
    save_graph(graph, tmp_path / "graph")
    data = {"kind": "mmag", "path": str(tmp_path / "graph"), "resolution": 64}
    toy(data=data, batch_size=2, **SETTINGS).save(tmp_path / "recipe.yaml")
    alone = run_toy(toy(data=data, batch_size=4, **SETTINGS), graph, tmp_path / "alone").folder
    run, cache = tmp_path / "together", {"GRAPHCOND_CACHE": str(tmp_path / "cache of two")}
    recipe = (tmp_path / "recipe.yaml", "--set", "training.steps=2")
    launch(DDP, "-m", "graphcond", "train", *recipe, "--out", run, **cache)
    assert len(losses(run)) == 2 + 1
    launch(FSDP, __file__, run, alone / "final", tmp_path, **cache)
    assert losses(run) == pytest.approx(losses(alone), abs=1e-5)
    assert len(losses(run)) == 4 + 2
    torch.testing.assert_close(load_file(run / WEIGHTS), load_file(alone / WEIGHTS), atol=1e-4, rtol=1e-4)
    monkeypatch.setattr(targets, "make_pictures", SMALL_BATCHES)
    for command in drawing(alone / "final", tmp_path, tmp_path / "one"):
        call(command)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert {"report.json", "report.md", "pictures.png", "sheet.png", "node-3.png"} <= {f.name for f in files}
    for file in files:
        assert (tmp_path / "two" / file).read_bytes() == (tmp_path / "one" / file).read_bytes(), file


def drawing(model: Path, place: Path, out: Path) -> list[list[str]]:
    """Commands that draw the same in any number of processes."""
    options = ["--graph", str(place / "graph"), "--steps", "1", "--device", "cpu", "--out"]
    evaluated = ["--protocol", "own", "--split", "train", "--metric", "feature_distance"]
    return [
        ["evaluate", str(model), *evaluated, *options, str(out / "report")],
        ["generate", str(model), "--targets", "train", "--batch", "4", *options, str(out / "pictures")],
    ]


def call(command: list[str]) -> Any:
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def one_process(run: str, model: str, place: str) -> None:
    """What each of the two processes does after the first sitting of the training."""
    from graphcond.training import train
    from graphcond.training.run import fill_caches

    targets.make_pictures = SMALL_BATCHES
    state = PartialState(cpu=True)  # the connection of all that follows
    assert state.num_processes == 2
    for command in drawing(Path(model), Path(place), Path(place) / "two"):
        call(command)
    recipe = load_recipe(Path(run) / "recipe.yaml", overrides=[f"training.steps={SETTINGS['steps']}"])
    assert fill_caches(recipe, console=quiet()).targets == 11
    trained = train(recipe, resume=Path(run), console=quiet()).model
    assert all(isinstance(weight, DTensor) for weight in trained.base.denoiser.parameters())


if __name__ == "__main__":
    one_process(*sys.argv[1:])
