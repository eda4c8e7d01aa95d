"""Our sum as a guider of diffusers, and guiders of diffusers for the text within our sum."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.guiders import (
    AdaptiveProjectedGuidance,
    AdaptiveProjectedMixGuidance,
    AutoGuidance,
    BaseGuidance,
    ClassifierFreeGuidance,
    ClassifierFreeZeroStarGuidance,
    PerturbedAttentionGuidance,
    SkipLayerGuidance,
    TangentialClassifierFreeGuidance,
)
from torch import Tensor

from graphcond.errors import InputError
from graphcond.guidance import Branch, BranchCaller, GraphGuidance, GuidedGraph
from graphcond.pipeline import GraphPipeline
from graphcond.pipeline.guided import Guided
from graphcond.pipeline.guiders import GraphGuider
from tests.builders import small_model, some_features
from tests.docs.blocks import ROOT, blocks
from tests.docs.conftest import demo as demo
from tests.docs.conftest import reader as reader
from tests.typecheck import unchecked

GRAPHS = [some_features(seed=1), some_features(neighbors=2, seed=2)]
SCALES = (1.5, 0.7)
STEPS = 3
SHAPE = (2, 4, 8, 8)


@pytest.fixture
def pipe(sd_folder: Path) -> GraphPipeline:
    return GraphPipeline(small_model(sd_folder))


def drawn(pipe: GraphPipeline, **options: Any) -> Tensor:
    options = {"neighbors": GRAPHS, "graph_guidance_scale": SCALES, "num_inference_steps": STEPS} | options
    generator = torch.Generator().manual_seed(7)
    return pipe("a star", generator=generator, output_type="latent", **options).images


def answers(branches: tuple[Branch, ...] | list[Branch]) -> list[Tensor]:
    """Fixed random predictions, the same for the same branch."""
    seeds = [1000 * one.text + sum(10**number for number in one.graphs) for one in branches]
    return [torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed)) for seed in seeds]


def branch(*graphs: int | None, text: bool = True) -> Branch:
    first, *others = graphs or (None,)
    return Branch(text, first, 0.0, tuple(number for number in others if number is not None))


TEXT, EMPTY = answers([branch(), branch(text=False)])


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize(
    ("guider", "scale"),
    [
        (ClassifierFreeGuidance(3.0), 3.0),
        (ClassifierFreeGuidance(2.0, use_original_formulation=True), 3.0),
        (ClassifierFreeGuidance(3.0, enabled=False), 1.0),
        (AdaptiveProjectedGuidance(3.0, adaptive_projected_guidance_rescale=0.0), 3.0),
    ],
)
def test_plain_guiders_draw_the_pictures_of_plain_scales(
    pipe: GraphPipeline, guider: BaseGuidance, scale: float, batched: bool
) -> None:
    plain = drawn(pipe, guidance_scale=scale, batched=batched)
    assert torch.allclose(drawn(pipe, guider=guider, batched=batched), plain, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("mode", ["separate", "joint"])
def test_rescaling_and_both_modes_are_kept(pipe: GraphPipeline, mode: Any) -> None:
    options: dict[str, Any] = {"neighbors": GRAPHS[0], "graph_guidance_scale": 1.5, "guidance_mode": mode}
    options |= {"guidance_rescale": 0.6, "guidance_end": 0.5}
    plain = drawn(pipe, guidance_scale=3.0, **options)
    assert torch.allclose(drawn(pipe, guider=ClassifierFreeGuidance(3.0), **options), plain, atol=1e-6)


def test_adaptive_projected_guidance_by_hand() -> None:
    """Arithmetic of arXiv 2410.02416: momentum, a largest norm, and eta for the part along the prediction."""
    momentum, largest, eta, scale = -0.5, 20.0, 0.3, 4.0
    guider = AdaptiveProjectedGuidance(scale, momentum, largest, eta=eta)
    guided = Guided(GraphGuidance(graphs=SCALES), guider)
    first, second = answers([branch(0), branch(1)])
    graphs = SCALES[0] * (first - TEXT) + SCALES[1] * (second - TEXT)
    average = torch.zeros(SHAPE)
    for step in range(STEPS):
        average = TEXT - EMPTY + momentum * average
        norm = average.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        change = average * torch.minimum(torch.ones_like(norm), largest / norm)
        unit = TEXT / TEXT.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        along = (change * unit).sum((1, 2, 3), keepdim=True) * unit
        expected = EMPTY + scale * (change - along + eta * along) + graphs
        got = guided.predict(step, STEPS, torch.tensor(0), answers)
        assert torch.allclose(got, expected, atol=1e-5)


def test_cfg_zero_star_by_hand() -> None:
    """Arithmetic of arXiv 2503.18886: no text pair in step 0, then a multiple of the empty one."""
    guided = Guided(GraphGuidance(graphs=SCALES[:1]), ClassifierFreeZeroStarGuidance(5.0, zero_init_steps=1))
    graph = SCALES[0] * (answers([branch(0)])[0] - TEXT)
    first, second = (guided.predict(step, STEPS, torch.tensor(0), answers) for step in (0, 1))
    assert torch.allclose(first, graph, atol=1e-6)
    best = (TEXT * EMPTY).sum((1, 2, 3), keepdim=True) / (EMPTY**2).sum((1, 2, 3), keepdim=True)
    assert torch.allclose(second, best * EMPTY + 5 * (TEXT - best * EMPTY) + graph, atol=1e-5)


@pytest.mark.parametrize(
    "guider",
    [
        AdaptiveProjectedMixGuidance(3.0, adaptive_projected_guidance_start_step=0),
        AdaptiveProjectedGuidance(3.0, -0.5),
        ClassifierFreeZeroStarGuidance(3.0),
        TangentialClassifierFreeGuidance(3.0),
    ],
)
def test_every_guider_of_a_pair_draws_and_keeps_no_state(pipe: GraphPipeline, guider: BaseGuidance) -> None:
    first = drawn(pipe, guider=guider)
    assert torch.equal(drawn(pipe, guider=guider), first)
    assert (first - drawn(pipe, guidance_scale=3.0)).abs().max() > 1e-3


@pytest.mark.parametrize(
    "guider",
    [
        AutoGuidance(auto_guidance_layers=0, dropout=0.5),
        PerturbedAttentionGuidance(perturbed_guidance_layers=[0]),
        SkipLayerGuidance(skip_layer_guidance_layers=[0]),
    ],
)
def test_guiders_that_change_layers_are_refused_by_name(pipe: GraphPipeline, guider: BaseGuidance) -> None:
    with pytest.raises(InputError, match=f"guider: {type(guider).__name__} needs .* layers it changes"):
        drawn(pipe, guider=guider)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"guider": "apg"}, "guider: expected a guider of diffusers, got a str"),
        ({"guider": ClassifierFreeGuidance(2.0), "guidance_scale": 3.0}, "guidance_scale: it is a setting"),
        ({"guider": GraphGuider(2.0, SCALES)}, "graph_guidance_scale: it is a setting of the GraphGuider"),
        ({"guider": GraphGuider(2.0, [1.0]), "graph_guidance_scale": None}, "expected 2 scales"),
    ],
)
@unchecked()
def test_wrong_guiders_are_sentences(pipe: GraphPipeline, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        drawn(pipe, **options)


def test_a_distilled_base_has_no_pair_for_a_guider(pipe: GraphPipeline) -> None:
    pipe.model.base.facts = replace(pipe.model.base.facts, distilled=True)
    with pytest.raises(InputError, match="guider: the scale 2 needs a prediction without text"):
        drawn(pipe, guider=ClassifierFreeGuidance(2.0))
    plain = drawn(pipe, guidance_scale=1.0)
    assert torch.allclose(drawn(pipe, guider=ClassifierFreeGuidance(1.0)), plain, atol=1e-6)


def test_a_guider_that_fails_is_named(pipe: GraphPipeline) -> None:
    guider = AdaptiveProjectedGuidance(2.0, adaptive_projected_guidance_norm_dim=9)
    with pytest.raises(InputError, match="guider: AdaptiveProjectedGuidance cannot combine the predictions"):
        drawn(pipe, guider=guider)


RULES = {
    "one condition": {"graph_guidance_scale": list(SCALES), "guidance_scale": 3.0},
    "two conditions": {"graph_guidance_scale": [2.0, 0.5], "conditions": ["neighbors", "scene"]},
    "a scale of zero": {"graph_guidance_scale": [0.0, 1.5], "guidance_rescale": 0.7},
    "half of the steps": {"graph_guidance_scale": list(SCALES), "start": 0.3, "stop": 0.7},
    "off": {"graph_guidance_scale": [2.0], "enabled": False},
}


@pytest.mark.parametrize("settings", RULES.values(), ids=RULES)
def test_the_guider_is_our_rule_also_after_loading(settings: dict[str, Any], tmp_path: Path) -> None:
    GraphGuider(**settings).save_pretrained(tmp_path)
    guider = GraphGuider.from_pretrained(tmp_path)
    shown = {"pred_uncond": EMPTY}
    for name in guider.predictions:
        if name != "pred_uncond":
            graphs = [int(number) for number in name.removeprefix("pred_cond").split("_") if number]
            shown[name] = answers([branch(*graphs)])[0]
    for step in range(STEPS):
        guider.set_state(step, STEPS, torch.tensor(0))
        blocks = guider.prepare_inputs(
            {"picture": torch.zeros(1), "answer": tuple(shown[name] for name in guider.predictions)}
        )
        assert len(blocks) == guider.num_conditions
        for one in blocks:
            guider.prepare_models(torch.nn.Identity())
            assert guider.is_conditional == (one.answer is not EMPTY)
            one.noise_pred = one.answer
        ours = guider.guidance.predict(step / STEPS, answers)
        assert torch.allclose(guider(blocks).pred, ours, atol=1e-6)


def test_a_guider_of_k_graphs_has_k_and_two_branches() -> None:
    guider = GraphGuider(3.0, SCALES)
    assert guider.predictions == ["pred_cond", "pred_uncond", "pred_cond_0", "pred_cond_1"]
    assert guider.num_conditions == 4
    with pytest.raises(InputError, match=r"expected 4 values \(pred_cond, .*\), got 2"):
        guider.prepare_inputs({"prompt_embeds": (TEXT, EMPTY)})


@torch.no_grad()
def test_a_loop_of_diffusers_with_the_guider_steps_as_the_pipeline(pipe: GraphPipeline) -> None:
    """One step by the protocol of guiders, over the denoiser's inputs as block states."""
    base, model = pipe.model.base, pipe.model
    text, empty = base.encode_prompt(["a star"]), base.encode_prompt([""])
    graphs = [
        GuidedGraph(model.conditions["neighbors"], model.conditions["neighbors"].signal(one, text))
        for one in GRAPHS
    ]
    caller = BranchCaller(base, model.conditions, text, empty, graphs)
    sample = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    time = torch.tensor(500)
    guider = GraphGuider(3.0, SCALES)
    guider.set_state(0, STEPS, time)
    every = (branch(), branch(text=False), branch(0), branch(1))
    given = {"inputs": tuple(caller.inputs(sample, time, one) for one in every)}
    blocks = guider.prepare_inputs(given)
    for one in blocks:
        one.noise_pred = base.denoise(one.inputs)
    ours = GraphGuidance(3.0, SCALES).predict(0, lambda branches: caller(sample, time, branches))
    assert torch.allclose(guider(blocks)[0], ours, atol=1e-5)
    plain = drawn(pipe, guidance_scale=3.0)
    assert torch.equal(drawn(pipe, guider=guider, graph_guidance_scale=None), plain)


def test_the_python_of_the_page_runs(reader: Path) -> None:
    names: dict[str, Any] = {}
    for block in blocks(ROOT / "docs/guidance.md", "python"):
        exec(block.compiled(), names)
    assert names["picture"].size == (64, 64)
    assert (reader / "outputs/guider/guider_config.json").is_file()
