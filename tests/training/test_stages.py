"""Stages before the main training: done once, kept, and part of what a resumed run starts from."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rich.console import Console

from graphcond.errors import InputError, Notice, TrainingError
from graphcond.recipe import Recipe
from graphcond.scene_graph import SceneSet
from graphcond.training import stages as stages_module
from graphcond.training import train
from graphcond.training.metrics import read_records
from graphcond.training.pretrain import steps_kept
from graphcond.training.stages import read_result
from tests.training.scenes import layout_stage, scene_condition, scene_recipe
from tests.training.toys import run_toy, same, trained_weights

pytestmark = pytest.mark.usefixtures("empty_cache")

PLANNED = {"encoder": {"kind": "triple_gcn", "predict_boxes": True}}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the stages that were really trained."""
    names: list[str] = []
    pretrain = stages_module.pretrain

    def spy(stage: Any, *rest: Any) -> Any:
        names.append(stage.name)
        return pretrain(stage, *rest)

    monkeypatch.setattr(stages_module, "pretrain", spy)
    return names


def staged(sd_folder: Path, clip_folder: Path, *stages: dict[str, Any], **changes: Any) -> Recipe:
    settings = {"steps": 2, "conditions": [scene_condition(**PLANNED)], "stages": list(stages)}
    return scene_recipe(sd_folder, clip_folder, **(settings | changes))


def encoder_of(run: Any) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in run.model.conditions["scene"].encoder.state_dict().items()}


def test_a_stage_is_done_once_for_all_recipes_that_share_it(
    sd_folder: Path, clip_folder: Path, scenes: SceneSet, tmp_path: Path, trained: list[str]
) -> None:
    recipe = staged(sd_folder, clip_folder, layout_stage())
    first = run_toy(recipe, scenes, tmp_path / "first")
    assert trained == ["layout"]
    assert (first.folder / "stages" / "layout" / "encoder.safetensors").is_file()
    lines = [line for line in read_records(first.folder / "metrics.jsonl") if line["kind"] == "stage"]
    assert [(line["stage_step"], line["scenes"]) for line in lines] == [
        (2, "training"),
        (4, "training"),
        (4, "held out"),
    ]
    assert all(line["stage"] == "layout" and line["step"] == 0 and "loss" in line for line in lines)

    other = staged(sd_folder, clip_folder, layout_stage(log_every=1), learning_rate=1e-4)
    second = run_toy(other, scenes, tmp_path / "second")
    assert trained == ["layout"], "read from the cache"
    assert (second.folder / "stages" / "layout" / "stage.json").is_file()
    facts = json.loads((second.folder / "stages" / "layout" / "stage.json").read_text())
    assert facts["figures"]["loss"] == lines[-1]["loss"]


@pytest.mark.parametrize("what", ["steps", "seed", "scenes", "encoder"])
def test_what_a_stage_follows_from_does_it_again(
    what: str, sd_folder: Path, clip_folder: Path, scenes: SceneSet, tmp_path: Path, trained: list[str]
) -> None:
    run_toy(staged(sd_folder, clip_folder, layout_stage()), scenes, tmp_path / "first")
    changes: dict[str, Any] = {}
    if what == "steps":
        changes["stages"] = [layout_stage(steps=5)]
    if what == "seed":
        changes["stages"] = [layout_stage(seed=1)]
    if what == "encoder":
        changes["conditions"] = [scene_condition(encoder=PLANNED["encoder"] | {"layers": 2})]
    if what == "scenes":
        scenes = replace(scenes, graphs=[*scenes.graphs[1:], scenes.graphs[0]])
    run_toy(
        staged(sd_folder, clip_folder, **({"stages": [layout_stage()]} | changes)),
        scenes,
        tmp_path / "second",
    )
    assert trained == ["layout", "layout"]


@pytest.mark.parametrize("then", ["train", "freeze"])
def test_what_comes_after(
    then: str, sd_folder: Path, clip_folder: Path, scenes: SceneSet, tmp_path: Path
) -> None:
    gated = scene_condition(**PLANNED, injector={"kind": "gated_self_attention"})
    recipe = staged(sd_folder, clip_folder, layout_stage(then=then), conditions=[gated], learning_rate=0.1)
    run = run_toy(recipe, scenes, tmp_path / "run")
    left = read_result(run.folder / "stages" / "layout")
    assert left is not None
    assert left.facts.trained
    after = encoder_of(run)
    kept = {name: bool(torch.equal(after[name], left.weights[name])) for name in left.facts.trained}
    assert all(kept.values()) is (then == "freeze")
    learning = {name.removeprefix("scene/encoder.") for name in trained_weights(run) if "encoder." in name}
    assert learning == set(dict(run.model.conditions["scene"].encoder.named_parameters())) - (
        set(left.facts.trained) if then == "freeze" else set()
    )
    assert any("injector." in name for name in trained_weights(run))


@pytest.mark.parametrize("then", ["train", "freeze"])
def test_what_a_stage_freezes_stays_in_the_next(
    then: str, sd_folder: Path, clip_folder: Path, scenes: SceneSet, tmp_path: Path
) -> None:
    stages = layout_stage(then=then), layout_stage(name="again", learning_rate=0.1)
    recipe = staged(sd_folder, clip_folder, *stages)
    if then == "freeze":
        with pytest.raises(InputError, match=r"stages\.again: nothing is left to train"):
            run_toy(recipe, scenes, tmp_path / "run")
        return
    run = run_toy(recipe, scenes, tmp_path / "run")
    first, second = (read_result(run.folder / "stages" / name) for name in ("layout", "again"))
    reached = first.facts.trained
    assert not same({k: first.weights[k] for k in reached}, {k: second.weights[k] for k in reached})


def test_a_checkpoint_without_its_frozen_stage_is_refused(
    sd_folder: Path, clip_folder: Path, scenes: SceneSet, tmp_path: Path
) -> None:
    recipe = staged(sd_folder, clip_folder, layout_stage(then="freeze"))
    run = run_toy(recipe, scenes, tmp_path / "run")
    (run.folder / "stages" / "layout" / "stage.json").unlink()
    with pytest.raises(InputError, match="layout: the stage is missing or damaged"):
        run_toy(recipe, scenes, resume=run.folder)


@pytest.mark.parametrize("then", ["train", "freeze"])
def test_a_resumed_run_is_bit_for_bit_the_unbroken_one(
    then: str, sd_folder: Path, clip_folder: Path, scenes: SceneSet, tmp_path: Path, trained: list[str]
) -> None:
    gated = scene_condition(**PLANNED, injector={"kind": "gated_self_attention"})

    def recipe(steps: int) -> Recipe:
        return staged(
            *(sd_folder, clip_folder), layout_stage(then=then), conditions=[gated], steps=steps, ema=0.5
        )

    whole = run_toy(recipe(4), scenes, tmp_path / "whole")
    run_toy(recipe(2), scenes, tmp_path / "parts")
    resumed = run_toy(recipe(4), scenes, resume=tmp_path / "parts")
    assert trained == ["layout"]
    assert same(trained_weights(resumed), trained_weights(whole))
    assert same(encoder_of(resumed), encoder_of(whole))
    lines = (resumed.folder / "metrics.jsonl").read_text()
    assert '"kind": "stage"' not in lines, "the stage was read, not done, in this run"


@pytest.mark.parametrize(("objective", "every"), [("layout", None), ("clip_gan", 2)])
def test_a_run_stopped_in_its_stage_goes_on(
    sd_folder: Path,
    clip_folder: Path,
    scenes: SceneSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    objective: str,
    every: int | None,
) -> None:
    """From its last checkpoint, with the discriminator's state where there is one, or from the start."""
    encoder = PLANNED["encoder"] if objective == "layout" else {"kind": "clip_graph", "layers": 1}
    recipe = staged(
        *(sd_folder, clip_folder),
        layout_stage(log_every=1, checkpoint_every=every, objective={"kind": objective}),
        conditions=[scene_condition(encoder=encoder)],
    )
    pretrain = stages_module.pretrain

    def stopped(stage: Any, encoder: Any, train: Any, held: Any, log: Any, progress: Any, half: Any) -> Any:
        def until(done: int, total: int) -> None:
            if done == 3:
                raise KeyboardInterrupt

        return pretrain(stage, encoder, train, held, log, until, half)

    monkeypatch.setattr(stages_module, "pretrain", stopped)
    with pytest.raises(KeyboardInterrupt):
        run_toy(recipe, scenes, tmp_path / "run")
    kept = list((tmp_path / "run" / "stages").glob(".layout-*"))
    assert [steps_kept(file) for file in kept] == ([] if every is None else [2])
    monkeypatch.setattr(stages_module, "pretrain", pretrain)
    resumed = run_toy(recipe, scenes, resume=tmp_path / "run")
    assert not [file for file in kept if file.exists()]
    lines = [line for line in read_records(resumed.folder / "metrics.jsonl") if line["kind"] == "stage"]
    assert [line["stage_step"] for line in lines if line["scenes"] == "training"] == [1, 2, 3, 4]
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path / "other"))
    assert same(trained_weights(resumed), trained_weights(run_toy(recipe, scenes, tmp_path / "whole")))


def test_a_damaged_result_is_done_again(
    sd_folder: Path, clip_folder: Path, scenes: SceneSet, tmp_path: Path, trained: list[str]
) -> None:
    recipe = staged(sd_folder, clip_folder, layout_stage())
    whole = run_toy(recipe, scenes, tmp_path / "one")
    for file in (tmp_path / "cache" / "training").glob("stage-*/encoder.safetensors"):
        file.write_bytes(file.read_bytes()[:40])
    with pytest.warns(Notice, match="damaged"):
        again = run_toy(recipe, scenes, tmp_path / "two")
    assert trained == ["layout", "layout"]
    assert same(trained_weights(again), trained_weights(whole))


def test_contrast_of_triples_with_swapped_scenes(
    sd_folder: Path, clip_folder: Path, scenes: SceneSet, tmp_path: Path
) -> None:
    condition = scene_condition(encoder={"kind": "triple_transformer", "layers": 1})
    stage = layout_stage(objective={"kind": "triple_contrast"})
    run = run_toy(staged(sd_folder, clip_folder, stage, conditions=[condition]), scenes, tmp_path / "run")
    (held_out,) = [
        line for line in read_records(run.folder / "metrics.jsonl") if line.get("scenes") == "held out"
    ]
    assert 0 <= held_out["own_over_swapped"] <= 1


def test_a_stage_with_data_of_its_own(
    sd_folder: Path, clip_folder: Path, scenes: SceneSet, tmp_path: Path, trained: list[str]
) -> None:
    own = {"kind": "world", "world": "scenes", "scenes": 12}
    recipe = staged(sd_folder, clip_folder, layout_stage(data=own))
    without = replace(scenes, graphs=[replace(graph, boxes=(), masks=None) for graph in scenes.graphs])
    run_toy(recipe, without, tmp_path / "run")
    assert trained == ["layout"]
    with pytest.raises(
        InputError, match=r"layout\.objective: the objective needs boxes, and no scene has any"
    ):
        run_toy(staged(sd_folder, clip_folder, layout_stage()), without, tmp_path / "other")


def test_a_loss_that_is_no_number_names_the_stage(
    sd_folder: Path, clip_folder: Path, scenes: SceneSet, tmp_path: Path
) -> None:
    recipe = staged(sd_folder, clip_folder, layout_stage(learning_rate=1e30, max_gradient_norm=1e30))
    with pytest.raises(
        TrainingError, match=r"stages\.layout: the loss of 'layout' is .* at step \d+\. Lower"
    ):
        run_toy(recipe, scenes, tmp_path / "run")


def test_text_features_have_no_clip_for_a_contrast(
    sd_folder: Path, clip_folder: Path, scenes: SceneSet, tmp_path: Path
) -> None:
    condition = scene_condition(encoder={"kind": "triple_transformer", "layers": 1})
    stage = layout_stage(objective={"kind": "triple_contrast"})
    recipe = staged(*(sd_folder, clip_folder), stage, conditions=[condition], features={"kind": "tiny_bert"})
    with pytest.raises(InputError, match=r"stages\.layout\.objective: the objective needs a CLIP"):
        run_toy(recipe, scenes, tmp_path / "run")


def test_phrases_are_those_of_the_base_and_too_long_ones_are_skipped_and_counted(
    sd_folder: Path,
    clip_folder: Path,
    scenes: SceneSet,
    tmp_path: Path,
) -> None:
    first = scenes.graphs[0]
    long = replace(first, objects=("star " * 100, *first.objects[1:]))
    with_long = replace(scenes, graphs=[long, *scenes.graphs[1:]])
    phrases = layout_stage(name="phrases", objective={"kind": "phrases"})
    written = StringIO()
    run = train(
        staged(sd_folder, clip_folder, phrases),
        graph=with_long,
        out=tmp_path / "run",
        device="cpu",
        console=Console(file=written, width=400),
    )
    lines = [line for line in read_records(run.folder / "metrics.jsonl") if line["kind"] == "stage"]
    assert lines[-1]["scenes"] == "held out"
    assert "explained_variance" in lines[-1]
    assert "stages.phrases.objective: 1 of " in written.getvalue()
    tokens = run.model.conditions["scene"].encoder.out[0].weight
    assert tokens.requires_grad, "the main training goes on with them"


@pytest.mark.parametrize(("stages", "said"), [((), True), ((layout_stage(),), False)])
def test_boxes_that_nothing_teaches_are_said(
    sd_folder: Path, clip_folder: Path, stages: tuple[dict[str, Any], ...], said: bool
) -> None:
    recipe = staged(sd_folder, clip_folder, *stages)
    encoder = SimpleNamespace(encoder=SimpleNamespace(predicts_boxes=True))
    note = stages_module.note_on_boxes(recipe, SimpleNamespace(conditions={"scene": encoder}))
    assert (note is not None) == said
    assert note is None or note.startswith("no stage teaches scene where objects are")
