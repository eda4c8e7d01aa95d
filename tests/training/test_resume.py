from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from graphcond.adapters.lora import WEIGHTS_FILE
from graphcond.attributed_graph import AttributedGraph
from graphcond.errors import InputError
from graphcond.io.stops import Stopped
from graphcond.model import GraphModel
from graphcond.training.step import Stepper
from tests.training.toys import Toy, run_toy, same, toy_condition, trained_weights, write_graph

CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "ema": {"ema": 0.9},
    "accumulation and warm-up": {"accumulate": 2, "batch_size": 3, "warmup": 4},
    "the whole denoiser": {"train_base": True, "ema": 0.5, "learning_rates": {"base": 1e-4}},
    "lora with dropout": {"lora": {"rank": 2, "dropout": 0.3}, "ema": 0.5},
    "muon": {"optimizer": {"kind": "muon", "settings": {"momentum": 0.9}}},
    "an optimizer by its path": {
        "optimizer": {"kind": "torch.optim.NAdam", "settings": {"momentum_decay": 0.1}}
    },
    "an optimizer that averages": {"optimizer": {"kind": "tests.training.toys.LastTwo"}, "validate_every": 2},
    "an update by peft": {"adapters": {"update": {"kind": "peft", "method": "lokr", "settings": {"r": 2}}}},
    "two conditions": {"conditions": [toy_condition("first"), toy_condition("second", "zeros")]},
}


def state(folder: Path, step: int) -> dict[str, Any]:
    return load_file(folder / "checkpoints" / f"step-{step:08d}" / "training_state.safetensors")


@pytest.mark.parametrize(
    ("case", "stop"),
    [("plain", 1), ("plain", 3), ("plain", 4), *((case, 3) for case in CASES if case != "plain")],
)
def test_a_resumed_run_is_bit_for_bit_the_unbroken_one(
    case: str, stop: int, toy: Toy, toy_graph: AttributedGraph, tmp_path: Path
) -> None:
    def recipe(steps: int) -> Any:
        return toy(steps=steps, **CASES[case])

    whole = run_toy(recipe(6), toy_graph, tmp_path / "whole")
    first = run_toy(recipe(stop), toy_graph, tmp_path / "parts")
    resumed = run_toy(recipe(6), toy_graph, resume=tmp_path / "parts")

    assert not same(trained_weights(first), trained_weights(whole))
    assert same(trained_weights(resumed), trained_weights(whole))
    assert same(state(resumed.folder, 6), state(whole.folder, 6))
    saved = GraphModel.from_pretrained(resumed.folder / "final").trainable_parameters()
    assert same(
        {f"{name}/{key}": p.detach() for name, group in saved.items() for key, p in group.items()},
        trained_weights(whole),
    )


@pytest.mark.parametrize(
    ("kind", "written", "file"),
    [
        ({"kind": "lora"}, {"rank": 3}, WEIGHTS_FILE),
        ({"kind": "peft", "method": "lokr"}, {"settings": {"r": 2}}, "."),
    ],
    ids=["lora", "peft"],
)
def test_an_update_that_started_from_a_file_goes_on(
    kind: dict[str, Any],
    written: dict[str, Any],
    file: str,
    toy: Toy,
    toy_graph: AttributedGraph,
    tmp_path: Path,
) -> None:
    """Its layers are those of the file, not those of its settings."""
    first = run_toy(toy(steps=1, adapters={"update": kind | written}), toy_graph, tmp_path / "first")
    update = kind | {"init": str(first.folder / "final" / "adapters" / "update" / file)}
    whole = run_toy(toy(steps=3, adapters={"update": update}), toy_graph, tmp_path / "whole")
    run_toy(toy(steps=2, adapters={"update": update}), toy_graph, tmp_path / "parts")
    resumed = run_toy(toy(steps=3, adapters={"update": update}), toy_graph, resume=tmp_path / "parts")
    assert same(trained_weights(resumed), trained_weights(whole))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_saves_a_checkpoint_from_which_the_run_ends_the_same(
    number: signal.Signals,
    toy: Toy,
    toy_graph: AttributedGraph,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = toy(steps=5, schedule="cosine", warmup=1)
    whole = run_toy(recipe, toy_graph, tmp_path / "whole")
    take_step = Stepper.__call__

    def interrupted(self: Stepper, step: int, **options: Any) -> Any:
        if step == 1:
            os.kill(os.getpid(), number)
        return take_step(self, step, **options)

    monkeypatch.setattr(Stepper, "__call__", interrupted)
    with pytest.raises(Stopped) as stopped:
        run_toy(recipe, toy_graph, tmp_path / "parts")
    assert stopped.value.number == number
    monkeypatch.setattr(Stepper, "__call__", take_step)
    assert [p.name for p in (tmp_path / "parts" / "checkpoints").iterdir()] == ["step-00000002"]
    assert not (tmp_path / "parts" / "final").exists()

    resumed = run_toy(recipe, toy_graph, resume=tmp_path / "parts")
    assert same(trained_weights(resumed), trained_weights(whole))


def test_metrics_go_on_without_repeats(toy: Toy, toy_graph: AttributedGraph, tmp_path: Path) -> None:
    run = run_toy(toy(steps=2), toy_graph, tmp_path / "run")
    with (run.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 3, "kind": "train"}\n{"step": 4, "ki')
    run_toy(toy(steps=4), toy_graph, resume=run.folder)
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    trained = [line for line in lines if line["kind"] == "train"]
    assert [line["step"] for line in trained] == [1, 2, 3, 4]
    assert all("loss" in line for line in trained)
    sittings = [(line["step"], line["kind"]) for line in lines if line["kind"] != "train"]
    assert sittings == [(0, "start"), (2, "end"), (2, "start"), (4, "end")]


def test_a_finished_run_resumes_to_itself(toy: Toy, toy_graph: AttributedGraph, tmp_path: Path) -> None:
    recipe = toy(steps=2, ema=0.9)
    run = run_toy(recipe, toy_graph, tmp_path / "run")
    assert same(trained_weights(run_toy(recipe, toy_graph, resume=run.folder)), trained_weights(run))


@pytest.fixture(scope="module")
def finished(toy: Toy, toy_graph: AttributedGraph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    return run_toy(toy(steps=2), toy_graph, out).folder


def refusal(folder: Path, graph: AttributedGraph, recipe: Any) -> str:
    with pytest.raises(InputError) as error:
        run_toy(recipe, graph, resume=folder)
    return str(error.value)


def test_another_recipe_is_refused(finished: Path, toy: Toy, toy_graph: AttributedGraph) -> None:
    message = refusal(finished, toy_graph, toy(steps=2, learning_rate=5e-4))
    assert "training.learning_rate was 0.001 and is 0.0005" in message
    assert "training.steps" not in message


def test_a_folder_without_a_run_is_refused(toy: Toy, toy_graph: AttributedGraph, tmp_path: Path) -> None:
    assert "is not a run folder" in refusal(tmp_path, toy_graph, toy())


def test_a_run_that_was_stopped_before_its_first_checkpoint_ends_the_same(
    finished: Path, toy: Toy, toy_graph: AttributedGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = toy(steps=2)

    def stopped(*_: object, **__: object) -> None:
        raise Stopped(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr("graphcond.training.run.prepare", stopped)
        with pytest.raises(Stopped):
            run_toy(recipe, toy_graph, tmp_path / "run")
    run = run_toy(recipe, toy_graph, resume=tmp_path / "run")
    name = "conditions/neighbors/encoder.safetensors"
    assert (run.folder / "final" / name).read_bytes() == (finished / "final" / name).read_bytes()


def test_changed_data_is_refused(finished: Path, toy: Toy, tmp_path: Path) -> None:
    graph = write_graph(tmp_path)
    (tmp_path / "00.png").write_bytes((tmp_path / "01.png").read_bytes())
    message = refusal(finished, graph, toy(steps=2))
    assert "training data is not what the run was started with" in message


@pytest.mark.parametrize("name", ["training_state.safetensors", "training_state.json"])
def test_a_damaged_checkpoint_is_refused(
    name: str, toy: Toy, toy_graph: AttributedGraph, tmp_path: Path
) -> None:
    recipe = toy(steps=1)
    run = run_toy(recipe, toy_graph, tmp_path / "run")
    file = run.folder / "checkpoints" / "step-00000001" / name
    file.write_bytes(file.read_bytes()[:50])
    message = refusal(run.folder, toy_graph, recipe)
    assert name in message
    assert "delete that checkpoint" in message.lower()


def test_fewer_steps_than_are_done_are_refused(finished: Path, toy: Toy, toy_graph: AttributedGraph) -> None:
    message = refusal(finished, toy_graph, toy(steps=1))
    assert "has done 2 steps, more than training.steps = 1" in message
