"""A condition's own loss beside the denoising loss: its share, its figures, what it refuses."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from graphcond.errors import InputError, TrainingError
from graphcond.objectives import OBJECTIVES, ClipAlignment
from graphcond.recipe import Recipe
from graphcond.scene_graph import SceneSet
from graphcond.training.metrics import read_records
from tests.training.scenes import layout_stage, scene_condition, scene_recipe
from tests.training.toys import prepare_toy, run_toy, same, trained_weights

pytestmark = pytest.mark.usefixtures("empty_cache")

ENCODER = {"kind": "clip_graph", "node_width": 16, "layers": 2}


def recipe_of(sd_folder: Path, clip_folder: Path, share: float | None, **changes: Any) -> Recipe:
    own = {} if share is None else {"own_loss": {"objective": {"kind": "clip_alignment"}, "share": share}}
    condition = scene_condition(encoder=ENCODER, **own)
    settings = {"conditions": [condition], "steps": 2, "drop": {"text": 0, "graph": 0, "both": 0}}
    return scene_recipe(sd_folder, clip_folder, **(settings | changes))


def test_the_loss_of_a_step_has_both_shares(
    sd_folder: Path, clip_folder: Path, scenes: SceneSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradients are (1 - share) times those of the denoising loss plus share times those of the own loss."""
    from graphcond.training import step as step_module
    from tests.training.test_step import stepper

    monkeypatch.setattr(step_module, "clip_gradients", lambda groups, most: torch.ones(()))

    def gradients(share: float | None) -> dict[str, torch.Tensor]:
        take, model = stepper(recipe_of(sd_folder, clip_folder, share, betas=[0.0, 0.0]), scenes)
        take(0)
        parameters = model.conditions["scene"].encoder.named_parameters()
        return {name: torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in parameters}

    alone, both, own = gradients(None), gradients(0.25), gradients(1.0)
    assert any(bool(value.any()) for value in own.values())
    for name, value in both.items():
        assert torch.allclose(value, 0.75 * alone[name] + 0.25 * own[name], atol=1e-6), name


def test_its_figures_are_logged_and_a_resumed_run_ends_alike(
    sd_folder: Path, clip_folder: Path, scenes: SceneSet, tmp_path: Path
) -> None:
    recipe = recipe_of(sd_folder, clip_folder, 0.3, drop={"text": 0.1, "graph": 0.3, "both": 0.1}, steps=4)
    whole = run_toy(recipe, scenes, tmp_path / "whole")
    lines = [one for one in read_records(whole.folder / "metrics.jsonl") if one["kind"] == "train"]
    assert {"loss", "clip", "mmd", "own_of_batch", "spread"} <= lines[-1]["own_losses"]["scene"].keys()
    assert all(math.isfinite(one["own_losses"]["scene"]["loss"]) for one in lines)

    half = recipe.model_copy(update={"training": recipe.training.model_copy(update={"steps": 2})})
    folder = run_toy(half, scenes, tmp_path / "parts").folder
    rest = run_toy(recipe, scenes, resume=folder)
    assert same(trained_weights(whole), trained_weights(rest))


def test_dropped_graphs_have_no_own_loss(sd_folder: Path, clip_folder: Path, scenes: SceneSet) -> None:
    prepared, _ = prepare_toy(recipe_of(sd_folder, clip_folder, 0.3), scenes)
    (own,) = prepared.own_losses
    rows, nothing = np.arange(4), np.zeros(4, np.bool_)
    assert own(prepared.model, rows, nothing) is None
    both, (some, figures) = own(prepared.model, rows, ~nothing), own(prepared.model, rows, rows < 2)
    assert both is not None
    assert both[0].item() != some.item()
    assert some.item() == pytest.approx(2 * figures["loss"])


def test_an_own_loss_that_is_no_number_is_named(
    sd_folder: Path, clip_folder: Path, scenes: SceneSet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    forward = ClipAlignment.forward

    def broken(self: ClipAlignment, encoder: Any, batch: Any) -> Any:
        found = forward(self, encoder, batch)
        return type(found)(found.loss * float("nan"), dict(found.figures) | {"mmd": float("nan")})

    monkeypatch.setattr(ClipAlignment, "forward", broken)
    with pytest.raises(TrainingError, match=r"own loss of the condition 'scene' is nan \(not finite: mmd\)"):
        run_toy(recipe_of(sd_folder, clip_folder, 0.3), scenes, tmp_path / "run")


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"objective": {"kind": "clip_alignment"}, "share": 1.5}, "conditions.0.own_loss.share"),
        ({"objective": {"kind": "clip_alignment"}, "share": -0.1}, "conditions.0.own_loss.share"),
        ({"objective": {"kind": "clip_alignment", "beta": 2}, "share": 0.1}, "objective.*beta"),
        ({"objective": {"kind": "clip_gan"}, "share": 0.1}, "'clip_gan' has weights of its own"),
        ({"objective": {"kind": "layout"}, "share": 0.1}, r"no predicted_boxes\(\)"),
    ],
)
def test_bad_settings_are_refused(sd_folder: Path, clip_folder: Path, own: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        scene_recipe(sd_folder, clip_folder, conditions=[scene_condition(encoder=ENCODER, own_loss=own)])


def test_shares_leave_something(sd_folder: Path, clip_folder: Path) -> None:
    own = {"objective": {"kind": "clip_alignment"}, "share": 0.6}
    conditions = [scene_condition(name, encoder=ENCODER, own_loss=own) for name in ("one", "two")]
    with pytest.raises(InputError, match=r"add up to 1\.2"):
        scene_recipe(sd_folder, clip_folder, conditions=conditions)


def test_configs_say_which_objectives_have_weights() -> None:
    class Embeds(nn.Module):
        embedding_width = 8
        predicted_boxes = embed_scenes = object_tokens = lambda self, context: None

    for kind, config in OBJECTIVES.items():
        built = config().build(encoder=Embeds(), picture_width=8)
        assert config.has_weights == bool(list(built.parameters())), kind


@pytest.mark.parametrize("kind", ["clip_gan", "clip_alignment"])
def test_both_start_a_run_as_a_stage(
    sd_folder: Path, clip_folder: Path, scenes: SceneSet, tmp_path: Path, kind: str
) -> None:
    stage = layout_stage(name="align", objective={"kind": kind})
    recipe = recipe_of(sd_folder, clip_folder, 0.1, stages=[stage], steps=1)
    run = run_toy(recipe, scenes, tmp_path / "run")
    lines = [one for one in read_records(run.folder / "metrics.jsonl") if one["kind"] == "stage"]
    assert {"clip", "mmd", "own_of_batch"} <= lines[-1].keys()


def test_a_stage_that_collapses_stops_and_names_its_loss(
    sd_folder: Path, clip_folder: Path, scenes: SceneSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graphcond.encoders import ClipGraph

    one = ClipGraph.embed_scenes
    monkeypatch.setattr(ClipGraph, "embed_scenes", lambda self, context: one(self, context) * 0 + 1)
    recipe = recipe_of(
        sd_folder, clip_folder, None, stages=[layout_stage(name="align", objective={"kind": "clip_gan"})]
    )
    with pytest.raises(TrainingError, match=r"stages\.align.*'clip_gan'.*step 4.*nearly one embedding"):
        run_toy(recipe, scenes, tmp_path / "run")
