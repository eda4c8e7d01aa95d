from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from graphcond.attributed_graph import AttributedGraph
from graphcond.errors import InputError, TrainingError
from graphcond.io.files import atomic_folder
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from graphcond.recipe import load_recipe
from graphcond.report import read_run
from graphcond.training import state as state_module
from graphcond.training import step as step_module
from graphcond.training import trainer as trainer_module
from graphcond.training.checkpoint import list_checkpoints
from graphcond.training.preview import Previews
from tests.training.toys import Toy, run_toy, same, trained_weights


def test_a_run_folder_holds_everything(toy: Toy, toy_graph: AttributedGraph, tmp_path: Path) -> None:
    recipe = toy(
        steps=5,
        log_every=2,
        validate_every=4,
        preview_every=3,
        checkpoint_every=2,
        keep_checkpoints=2,
        ema=0.9,
    )
    run = run_toy(recipe, toy_graph, tmp_path / "run")
    assert load_recipe(run.folder / "recipe.yaml") == recipe
    assert sorted(p.name for p in (run.folder / "checkpoints").iterdir()) == [
        "step-00000004",
        "step-00000005",
    ]
    assert sorted(p.name for p in (run.folder / "previews").iterdir()) == [
        f"step-{step:08d}.png" for step in (0, 3, 5)
    ]
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    steps = {
        kind: [line["step"] for line in lines if line["kind"] == kind] for kind in ("train", "validation")
    }
    assert steps == {"train": [2, 4, 5], "validation": [4, 5]}
    train, validation = (next(line for line in lines if line["kind"] == kind) for kind in steps)
    assert train["samples"] == 8
    assert train["trained_samples"] <= 8
    assert train["effective_batch"] == 4
    assert train["learning_rate"] == {"neighbors": 1e-3}
    assert train["gradient_norm"] == pytest.approx(train["gradient_norms"]["neighbors"])
    assert train["samples_per_second"] > 0
    gap = validation["loss"]["no_graph"] - validation["loss"]["graph"]
    assert validation["graph_gap"] == pytest.approx(gap)
    assert run.metrics["validation"] == [line for line in lines if line["kind"] == "validation"][-1]
    start, end = lines[0], lines[-1]
    counts = {
        name: sum(p.numel() for p in g.values()) for name, g in run.model.trainable_parameters().items()
    }
    assert (start["kind"], start["parameters"], start["targets"]) == ("start", counts, 11)
    assert start["frozen_parameters"] > sum(counts.values())
    assert (end["kind"], end["step"]) == ("end", 5)
    assert end["seconds"] == pytest.approx(dict(run.seconds))
    assert train["seconds_per_step"] == pytest.approx(4 / train["samples_per_second"])
    assert train["memory"]["of"] == "process"
    assert 1e8 < train["memory"]["bytes"] < 1e12
    card = (run.folder / "final" / "README.md").read_text()
    assert f"| trained parameters: neighbors | {counts['neighbors']:,} |" in card
    assert "| optimizer steps | 5 of 4 samples |" in card
    assert "| graph gap | " in card
    previews = sorted((run.folder / "previews").glob("step-*.png"))
    assert (run.folder / "final" / "preview.png").read_bytes() == previews[-1].read_bytes()
    assert {"latents", "training", "previews", "validation"} <= set(run.seconds)


def test_the_final_model_draws_pictures(toy: Toy, toy_graph: AttributedGraph, tmp_path: Path) -> None:
    run = run_toy(toy(ema=0.5), toy_graph, tmp_path / "run")
    pipe = GraphPipeline.from_pretrained(run.folder / "final")
    loaded = pipe.model.trainable_parameters()["neighbors"]
    assert all(torch.equal(p, run.model.trainable_parameters()["neighbors"][n]) for n, p in loaded.items())
    picture = Image.new("RGB", (64, 64), "red")
    assert pipe("a star", neighbors=[picture], num_inference_steps=1).images[0].size == (64, 64)


def test_equal_recipes_give_equal_weights_and_another_seed_others(
    toy: Toy, toy_graph: AttributedGraph, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    first = run_toy(toy(), toy_graph, tmp_path / "first")
    torch.manual_seed(2)
    expected = torch.rand(3)
    torch.manual_seed(2)
    second = run_toy(toy(), toy_graph, tmp_path / "second")
    assert torch.equal(torch.rand(3), expected), "the global generator is left alone"
    third = run_toy(toy(seed=1), toy_graph, tmp_path / "third")
    assert same(trained_weights(first), trained_weights(second))
    assert not same(trained_weights(first), trained_weights(third))


def test_only_the_given_targets_are_trained_on(
    toy: Toy, toy_graph: AttributedGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    trainer = trainer_module.Trainer.__init__

    def spy(self: object, recipe: object, prepared: object, *rest: object) -> None:
        seen.extend(prepared.train.targets.tolist())  # type: ignore[attr-defined]
        trainer(self, recipe, prepared, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer_module.Trainer, "__init__", spy)
    run_toy(toy(steps=1), toy_graph, tmp_path / "run", targets=np.array([2, 5, 7]))
    assert seen == [2, 5, 7]


def test_a_loss_that_is_no_number_names_step_and_last_checkpoint(
    toy: Toy, toy_graph: AttributedGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses, calls = step_module.denoising_loss, []

    def poisoned(*arguments: object, **options: object) -> torch.Tensor:
        calls.append(1)
        return losses(*arguments, **options) * (float("inf") if len(calls) == 4 else 1)  # type: ignore[arg-type]

    monkeypatch.setattr(step_module, "denoising_loss", poisoned)
    recipe = toy(steps=6, checkpoint_every=2, drop={"text": 0, "graph": 0, "both": 0})
    with pytest.raises(TrainingError) as error:
        run_toy(recipe, toy_graph, tmp_path / "run")
    good = tmp_path / "run" / "checkpoints" / "step-00000002"
    assert f"the loss is inf at step 4; the last good checkpoint is {good}" in str(error.value)
    assert list_checkpoints(tmp_path / "run" / "checkpoints") == [good]
    assert not (tmp_path / "run" / "final").exists()

    monkeypatch.setattr(step_module, "denoising_loss", losses)
    resumed = run_toy(recipe, toy_graph, resume=tmp_path / "run")
    whole = run_toy(recipe, toy_graph, tmp_path / "whole")
    assert same(trained_weights(resumed), trained_weights(whole))


@pytest.mark.parametrize("trouble", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_kill_or_a_full_disk_while_writing_leaves_the_previous_checkpoint(
    trouble: BaseException,
    toy: Toy,
    toy_graph: AttributedGraph,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save, calls = state_module.save_file, []

    def failing(tensors: object, file: Path) -> None:
        calls.append(1)
        if len(calls) == 2:
            file.write_bytes(b"half")
            raise trouble
        save(tensors, file)  # type: ignore[arg-type]

    recipe = toy(steps=3, checkpoint_every=1, keep_checkpoints=1, ema=0.5)
    monkeypatch.setattr(state_module, "save_file", failing)
    with pytest.raises((TrainingError, KeyboardInterrupt)) as error:
        run_toy(recipe, toy_graph, tmp_path / "run")
    monkeypatch.setattr(state_module, "save_file", save)
    if isinstance(trouble, OSError):
        assert "No space left on device" in str(error.value)
        assert "the checkpoint step-00000001 is still usable" in str(error.value)
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000001"]
    failed = read_run(tmp_path / "run")
    assert failed.state == ("failed" if isinstance(trouble, OSError) else "stopped")
    assert ("No space left" in (failed.failure or "")) == isinstance(trouble, OSError)

    resumed = run_toy(recipe, toy_graph, resume=tmp_path / "run")
    whole = run_toy(recipe, toy_graph, tmp_path / "whole")
    assert same(trained_weights(resumed), trained_weights(whole))
    assert read_run(tmp_path / "run").state == "finished"


@pytest.mark.parametrize(
    ("holder", "name", "place"),
    [
        (trainer_module, "append_record", "metrics.jsonl"),
        (Previews, "write", "step-00000002.png"),
        (GraphModel, "save_pretrained", "step-00000001"),
    ],
)
def test_a_full_disk_is_a_clear_message_wherever_it_is_met(
    holder: object,
    name: str,
    place: str,
    toy: Toy,
    toy_graph: AttributedGraph,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    function = getattr(holder, name)

    def full(*arguments: object) -> None:
        if "step-00000000" in str(arguments[-1]):
            return function(*arguments)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(holder, name, full)
    recipe = toy(steps=2, checkpoint_every=1, preview_every=2)
    with pytest.raises(TrainingError, match=rf"{place}: cannot be written .*No space left on device"):
        run_toy(recipe, toy_graph, tmp_path / "run")


def test_what_a_kill_left_behind_is_removed(toy: Toy, toy_graph: AttributedGraph, tmp_path: Path) -> None:
    run = run_toy(toy(steps=1), toy_graph, tmp_path / "run")
    with atomic_folder(tmp_path / "step-00000002") as new:
        left = run.folder / "checkpoints" / new.name
    left.mkdir()
    run_toy(toy(steps=2), toy_graph, resume=run.folder)
    assert not left.exists()


def test_an_existing_folder_is_not_overwritten(toy: Toy, toy_graph: AttributedGraph, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(InputError, match="exists already"):
        run_toy(toy(), toy_graph, tmp_path)


def test_without_held_out_nodes_it_validates_on_training_targets(toy: Toy, tmp_path: Path) -> None:
    from tests.training.toys import write_graph

    graph = write_graph(tmp_path / "graph", splits=False)
    recipe = toy(steps=1, validate_every=1)
    run = run_toy(recipe, graph, tmp_path / "run")
    assert "graph_gap" in run.metrics["validation"]


def test_dropout_of_a_lora_is_off_in_what_training_leaves_behind(
    toy: Toy, toy_graph: AttributedGraph, tmp_path: Path
) -> None:
    recipe = toy(steps=2, lora={"rank": 2, "dropout": 0.9})
    run = run_toy(recipe, toy_graph, tmp_path / "run")
    for model in (run.model, GraphPipeline.from_pretrained(run.folder / "final").model):
        pipe = GraphPipeline(model)
        first, second = (
            pipe("a star", num_inference_steps=2, generator=torch.Generator().manual_seed(0)).images[0]
            for _ in range(2)
        )
        assert np.array_equal(np.asarray(first), np.asarray(second))
