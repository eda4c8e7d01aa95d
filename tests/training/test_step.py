from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from graphcond.attributed_graph import AttributedGraph
from graphcond.bases import StableDiffusionBase
from graphcond.bases.base import LatentMoments
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.errors import TrainingError
from graphcond.model import GraphModel
from graphcond.training import step as step_module
from graphcond.training.optimizer import build_optimizer
from graphcond.training.randomness import BatchPlan
from graphcond.training.step import Stepper
from tests.training.toys import Toy, prepare_toy, toy_condition


def stepper(recipe: Any, graph: AttributedGraph, **options: Any) -> tuple[Stepper, GraphModel]:
    prepared, accelerator = prepare_toy(recipe, graph)
    groups = prepared.model.trainable_parameters()
    config = recipe.training
    return Stepper(
        prepared.model,
        prepared.train,
        BatchPlan(config.batch_size, config.accumulate),
        groups=groups,
        optimizer=accelerator.prepare(build_optimizer(groups, config)),
        accelerator=accelerator,
        rate_factor=lambda step: 1.0,
        always=prepared.always,
        **options,
    ), prepared.model


def weights(model: GraphModel) -> Tensor:
    groups = model.trainable_parameters()
    return torch.cat([p.detach().flatten() for group in groups.values() for p in group.values()])


@pytest.fixture
def denoised(monkeypatch: pytest.MonkeyPatch) -> list[DenoiserInputs]:
    """Everything that reaches the denoiser; a test clears what was measured before its step."""
    calls: list[DenoiserInputs] = []
    denoise = StableDiffusionBase.denoise

    def counted(self: StableDiffusionBase, inputs: DenoiserInputs) -> Tensor:
        calls.append(inputs)
        return denoise(self, inputs)

    monkeypatch.setattr(StableDiffusionBase, "denoise", counted)
    return calls


def test_samples_without_graph_never_reach_the_denoiser(
    toy: Toy, toy_graph: AttributedGraph, denoised: list[DenoiserInputs]
) -> None:
    drop = {"text": 0.0, "graph": 0.4, "both": 0.2}
    run, _ = stepper(toy(batch_size=16, drop=drop), toy_graph)
    denoised.clear()
    figures = [run(step) for step in range(4)]
    assert sum(f.trained for f in figures) == sum(len(inputs.sample) for inputs in denoised)
    assert 0.2 < sum(f.trained for f in figures) / 64 < 0.6


def test_a_step_in_which_all_graphs_are_dropped_computes_nothing(
    toy: Toy, toy_graph: AttributedGraph, denoised: list[DenoiserInputs]
) -> None:
    drop = {"text": 0.0, "graph": 0.0, "both": 0.999999}
    run, model = stepper(toy(drop=drop), toy_graph)
    before = weights(model)
    denoised.clear()
    figures = run(0)
    assert not denoised
    assert figures.loss is None
    assert torch.equal(before, weights(model))


def test_with_lora_dropped_samples_are_trained_on_without_their_graph(
    toy: Toy, toy_graph: AttributedGraph, denoised: list[DenoiserInputs]
) -> None:
    drop = {"text": 0.0, "graph": 0.0, "both": 0.999999}
    recipe = toy(drop=drop, lora={"rank": 2})
    run, model = stepper(recipe, toy_graph)
    denoised.clear()
    figures = run(0)
    assert figures.trained == 4
    (inputs,) = denoised
    empty = model.base.encode_prompt([""] * 4).hidden
    torch.testing.assert_close(inputs.context, empty)
    assert figures.norms["neighbors"] == 0
    assert figures.norms["lora"] > 0


def test_dropped_texts_are_the_empty_prompt(
    toy: Toy, toy_graph: AttributedGraph, denoised: list[DenoiserInputs]
) -> None:
    drop = {"text": 0.999999, "graph": 0.0, "both": 0.0}
    run, model = stepper(toy(drop=drop), toy_graph)
    denoised.clear()
    run(0)
    (inputs,) = denoised
    empty = model.base.encode_prompt([""] * 4).hidden
    torch.testing.assert_close(inputs.context[:, : empty.shape[1]].detach(), empty)
    assert inputs.context.shape[1] > empty.shape[1]


@pytest.mark.parametrize("lora", [None, {"rank": 2}])
def test_accumulating_is_a_bigger_batch(lora: Any, toy: Toy, toy_graph: AttributedGraph) -> None:
    drop = {"text": 0.2, "graph": 0.2, "both": 0.1}
    found = []
    for batch, passes in ((12, 1), (4, 3), (3, 4)):
        recipe = toy(batch_size=batch, accumulate=passes, drop=drop, lora=lora)
        run, model = stepper(recipe, toy_graph)
        figures = run(0)
        gradients = [
            torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten()
            for group in model.trainable_parameters().values()
            for p in group.values()
        ]
        found.append((torch.cat(gradients), figures))
    whole, figures = found[0]
    for parts, other in found[1:]:
        torch.testing.assert_close(parts, whole, atol=1e-6, rtol=1e-4)
        assert other.loss == pytest.approx(figures.loss)
        assert other.trained == figures.trained


def test_the_base_is_never_touched_and_all_groups_learn(toy: Toy, toy_graph: AttributedGraph) -> None:
    recipe = toy(
        lora={"rank": 2},
        conditions=[toy_condition("first"), toy_condition("second", "zeros")],
        learning_rates={"lora": 1e-2},
    )
    run, model = stepper(recipe, toy_graph)
    groups = model.trainable_parameters()
    assert list(groups) == ["first", "second", "lora"]
    ours = {id(p) for group in groups.values() for p in group.values()}
    parts = (model.base.unet, model.base.vae, model.base.text_encoder)
    frozen = [p for part in parts for p in part.parameters() if id(p) not in ours]
    before, trained = [p.clone() for p in frozen], weights(model)
    for step in range(2):
        figures = run(step)
        assert all(norm > 0 for norm in figures.norms.values())
        assert figures.rates == {"first": 1e-3, "second": 1e-3, "lora": 1e-2}
    assert all(torch.equal(p, was) for p, was in zip(frozen, before, strict=True))
    assert all(p.grad is None for p in frozen)
    assert not torch.equal(trained, weights(model))


def test_gradients_are_clipped_over_all_groups(toy: Toy, toy_graph: AttributedGraph) -> None:
    recipe = toy(lora={"rank": 2}, max_gradient_norm=1e-4)
    run, model = stepper(recipe, toy_graph)
    figures = run(0)
    assert figures.norm is not None
    assert figures.norm > 1e-3
    gradients = [
        p.grad
        for group in model.trainable_parameters().values()
        for p in group.values()
        if p.grad is not None
    ]
    assert torch.cat([g.flatten() for g in gradients]).norm().item() == pytest.approx(1e-4, rel=0.05)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_before_the_weights_change(
    bad: float, toy: Toy, toy_graph: AttributedGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, model = stepper(toy(), toy_graph)
    before, losses = weights(model), step_module.denoising_loss
    monkeypatch.setattr(step_module, "denoising_loss", lambda *a, **k: losses(*a, **k) * bad)
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) at step 8"):
        run(7)
    assert torch.equal(before, weights(model))


def test_min_snr_weighs_the_loss(toy: Toy, toy_graph: AttributedGraph) -> None:
    plain, _ = stepper(toy(), toy_graph)
    weighted, _ = stepper(toy(min_snr_gamma=0.5), toy_graph)
    one, other = plain(0).loss, weighted(0).loss
    assert one is not None
    assert other is not None
    assert 0 < other < one


class Fetched(TorchDispatchMode):
    """The files of graphcond that ask for the value of a scalar, for which a GPU makes the host wait."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            frames = [Path(frame.filename) for frame in traceback.extract_stack()]
            self.places.append(next(file.name for file in reversed(frames) if "graphcond" in file.parts))
        return func(*args, **(kwargs or {}))


def test_figures_are_fetched_once_a_step_whatever_the_number_of_passes(
    toy: Toy, toy_graph: AttributedGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop = {"text": 0.0, "graph": 0.0, "both": 0.0}
    run, _ = stepper(toy(batch_size=2, accumulate=3, drop=drop), toy_graph)
    lists, tolist = list[int](), Tensor.tolist

    def counted(self: Tensor) -> Any:
        if Path(sys._getframe(1).f_code.co_filename).parent.name == "training":
            lists.append(self.numel())
        return tolist(self)

    monkeypatch.setattr(Tensor, "tolist", counted)
    with Fetched() as fetched:
        plain = run(0, detailed=False)
    assert lists == [3]  # the sum of the losses, the number of samples, the norm
    assert set(fetched.places) <= {"prompt_tokens.py"}  # once a pass, whether there is any graph
    assert plain.loss is not None
    assert plain.norm is not None
    assert plain.norms == plain.modules == {}


def with_room_for(monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Let passes of more than ``most`` samples run out of memory; gives the sizes that were tried."""
    tried: list[int] = []
    loss = step_module.denoising_loss

    def limited(model: GraphModel, latents: LatentMoments, *rest: Any, **options: Any) -> Tensor:
        tried.append(len(latents.mean))
        if tried[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return loss(model, latents, *rest, **options)

    monkeypatch.setattr(step_module, "denoising_loss", limited)
    return tried


def test_a_batch_that_does_not_fit_is_halved_and_said(
    toy: Toy, toy_graph: AttributedGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = toy(batch_size=6, accumulate=2, drop={"text": 0.2, "graph": 0.0, "both": 0.0})
    whole, roomy = stepper(recipe, toy_graph)
    wanted = [whole(step) for step in range(2)]
    said: list[str] = []
    run, model = stepper(recipe, toy_graph, say=said.append)
    tried = with_room_for(monkeypatch, 2)
    found = [run(step) for step in range(2)]
    assert tried == [6, 3, *[1] * 24]
    note = "samples at once do not fit into memory; going on with"
    assert said == [
        f"note: 6 {note} 3, as with training.batch_size: 3 and training.accumulate: 4",
        f"note: 3 {note} 1, as with training.batch_size: 1 and training.accumulate: 12",
    ]
    assert run.at_once == 1
    torch.testing.assert_close(weights(model), weights(roomy), atol=1e-5, rtol=1e-3)
    assert [one.loss for one in found] == pytest.approx([one.loss for one in wanted], rel=1e-5)


def test_a_sample_that_does_not_fit_is_an_error_with_a_remedy(
    toy: Toy, toy_graph: AttributedGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, model = stepper(toy(batch_size=2), toy_graph, say=lambda text: None)
    before = weights(model)
    with_room_for(monkeypatch, 0)
    with pytest.raises(TrainingError, match=r"one sample does not fit .*gradient_checkpointing"):
        run(0)
    assert torch.equal(weights(model), before)
