"""Training the whole denoiser beside the conditions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from PIL import Image

from graphcond.attributed_graph import AttributedGraph
from graphcond.errors import InputError
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from graphcond.report import read_run
from graphcond.training import TrainedRun
from graphcond.training.prepare import Loaded
from tests.training.toys import Toy, prepare_toy, run_toy, same, toy_condition

SETTINGS: dict[str, Any] = {"steps": 2, "train_base": True, "learning_rates": {"base": 1e-4}}


@pytest.fixture(scope="module")
def run(toy: Toy, toy_graph: AttributedGraph, tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    recipe = toy(**SETTINGS, conditions=[toy_condition(without_graph="zeros")])
    return run_toy(recipe, toy_graph, tmp_path_factory.mktemp("train_base") / "run")


def drawn(model: GraphModel) -> np.ndarray:
    pipe = GraphPipeline(model)
    options: dict[str, Any] = {"num_inference_steps": 2, "generator": torch.Generator().manual_seed(0)}
    return np.asarray(pipe("a star", neighbors=[Image.new("RGB", (64, 64), "red")], **options).images[0])


def denoiser_of(model: GraphModel) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.base.denoiser.state_dict().items()}


def test_the_denoiser_is_trained_at_its_own_rate_and_saved_with_the_model(run: TrainedRun) -> None:
    untrained = run.model.recipe.base.build(device=torch.device("cpu")).denoiser.state_dict()
    trained = denoiser_of(run.model)
    assert not same(trained, untrained)
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    rates = [line["learning_rate"] for line in lines if line["kind"] == "train"]
    assert rates[-1] == {"neighbors": 1e-3, "base": 1e-4}
    assert read_run(run.folder).parameters["base"] == sum(p.numel() for p in untrained.values())
    assert not any(parameter.requires_grad for parameter in run.model.base.denoiser.parameters())

    loaded = GraphModel.from_pretrained(run.folder / "final")
    assert same(denoiser_of(loaded), trained)
    assert np.array_equal(drawn(loaded), drawn(run.model))
    by_diffusers = UNet2DConditionModel.from_pretrained(run.folder / "final", subfolder="unet")
    assert same(dict(by_diffusers.state_dict()), trained)
    assert "whose denoiser was trained with it and is in `unet/`" in (
        run.folder / "final" / "README.md"
    ).read_text(encoding="utf-8")


def test_samples_without_a_graph_are_trained_on(run: TrainedRun, toy_graph: AttributedGraph) -> None:
    for train_base in (True, False):
        recipe = run.model.recipe
        training = recipe.training.model_copy(update={"train_base": train_base, "learning_rates": {}})
        (condition,) = recipe.conditions
        absent = condition.model_copy(update={"without_graph": "absent"})
        changed = recipe.model_copy(update={"training": training, "conditions": (absent,)})
        assert prepare_toy(changed, toy_graph)[0].always == train_base


def test_a_base_that_others_use_is_not_trained(
    run: TrainedRun, toy_graph: AttributedGraph, tmp_path: Path
) -> None:
    shared = run.model.recipe.base.build(device=torch.device("cpu"))
    before = {name: tensor.clone() for name, tensor in shared.denoiser.state_dict().items()}
    run_toy(run.model.recipe, toy_graph, tmp_path / "run", loaded=Loaded(shared))
    assert same(dict(shared.denoiser.state_dict()), before)
    with pytest.raises(InputError, match=r"a denoiser of its own.*Load it without `base`"):
        GraphModel.from_pretrained(run.folder / "final", base=shared)


def test_another_run_starts_from_a_trained_denoiser(
    run: TrainedRun, toy_graph: AttributedGraph, tmp_path: Path
) -> None:
    start = {"start_from": str(run.folder / "final")}
    training = run.model.recipe.training.model_copy(update={"steps": 1})
    both = run.model.recipe.model_copy(update=start | {"training": training})
    prepared, _ = prepare_toy(both, toy_graph)
    assert same(denoiser_of(prepared.model), denoiser_of(run.model))


def test_the_release_has_the_trained_denoiser(run: TrainedRun, tmp_path: Path) -> None:
    run.model.to_release(tmp_path / "release")
    back = GraphModel.from_pretrained(tmp_path / "release")
    assert same(denoiser_of(back), denoiser_of(run.model))
    assert np.abs(drawn(back).astype(int) - drawn(run.model)).max() <= 1


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"train_base": True, "lora": {"rank": 2}}, r"lora: training\.train_base trains the whole denoiser"),
        (
            {"train_base": True, "conditions": [toy_condition("base")]},
            "'base' is the name of the base's own group",
        ),
        ({"learning_rates": {"base": 1e-4}}, r"training\.learning_rates.*base"),
    ],
)
def test_what_does_not_go_together(changes: dict[str, Any], problem: str, toy: Toy) -> None:
    with pytest.raises(InputError, match=problem):
        toy(**changes)
