"""What is particular to the IP-Adapter: where it acts, and how it starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphcond.adapters import IPAdapterInjector, LoraInjector, PromptTokenInjector
from graphcond.condition import Condition
from graphcond.context import NeighborFeatures
from graphcond.encoders import NeighborMean
from graphcond.errors import InputError
from graphcond.guidance import stacked
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from tests.builders import FEATURE_WIDTH, small_base, small_model
from tests.conformance.parts import fresh, inputs, run, signal, wake
from tests.typecheck import unchecked


@torch.no_grad()
def test_a_scale_for_sites_multiplies_the_scale_there(sd_folder: Path) -> None:
    base = small_base(sd_folder)
    outputs = []
    for scales in ({}, {"down": 0.0, "mid": 0.0, "up": 0.0}, {"up_blocks": 0.5, "": 0.0}, {"up_blocks": 0.5}):
        injector = IPAdapterInjector(site_scales=scales)
        injector.inject(base)
        outputs.append(run(base, injector))
        injector.eject()
    plain = base.denoise(inputs(base))
    assert torch.equal(outputs[1], plain)
    assert not torch.allclose(outputs[2], plain, atol=1e-4)
    assert not torch.allclose(outputs[2], outputs[3], atol=1e-4)
    numbered = IPAdapterInjector(site_scales={"blocks.1": 0.0, "blocks.1.attn": 0.5})
    scales = [numbered._scale_of(f"blocks.{name}") for name in ("1", "1.norm", "1.attn2", "10", "10.attn2")]
    assert scales == [0.0, 0.0, 0.5, 1.0, 1.0]
    with pytest.raises(InputError, match=r"no attention has a name that starts with 'upblocks'.*up_blocks"):
        IPAdapterInjector(site_scales={"upblocks": 1.0}).inject(base)


def test_sites_that_are_left_out_are_not_trained(sd_folder: Path) -> None:
    base, injector = (
        small_base(sd_folder),
        IPAdapterInjector(site_scales={"down_blocks": 0.0, "mid_block": 0.0}),
    )
    injector.inject(base)
    trained = injector.trainable_parameters()
    assert {name.split("/")[0] for name in trained} == {"layers.up_blocks"}
    base.denoise(injector.apply(inputs(base), signal(injector, base))).square().sum().backward()
    assert {name for name, p in injector.named_parameters() if p.grad is not None} == set(trained)


def test_keys_and_values_start_as_those_of_the_prompt(request: pytest.FixtureRequest) -> None:
    """Also where layers of peft lie over them; a base that changes tokens first starts with values of 0."""
    for row in ("stable_diffusion", "sdxl"):
        base, injector = fresh(request, row), IPAdapterInjector()
        own = [base.denoiser.get_submodule(site).to_v.weight for site in base.sites("cross_attention")]
        injector.inject(base)
        found = injector.trainable_parameters()
        values = [p for name, p in found.items() if "to_v_ip" in name]
        assert all(torch.equal(one, other) for one, other in zip(own, values, strict=True))
    base, injector = fresh(request, "sana"), IPAdapterInjector()
    injector.inject(base)
    assert all(not p.any() for name, p in injector.named_parameters() if "to_v_ip" in name)
    assert torch.equal(run(base, injector), base.denoise(inputs(base)))


@torch.no_grad()
def test_its_queries_are_those_of_a_lora_that_came_later(sd_folder: Path) -> None:
    base, injector, lora = small_base(sd_folder), IPAdapterInjector(), LoraInjector(targets=("attn2.to_q",))
    injector.inject(base)
    lora.inject(base)
    wake(lora)
    given = lora.apply(inputs(base), None)
    both = base.denoise(injector.apply(given, signal(injector, base)))
    injector.eject()
    injector.inject(base)
    assert torch.equal(base.denoise(injector.apply(given, signal(injector, base))), both)


def test_a_call_before_injection_and_a_second_injection(sd_folder: Path) -> None:
    base, injector = small_base(sd_folder), IPAdapterInjector()
    with pytest.raises(RuntimeError, match="not injected"):
        injector.apply(inputs(base), signal(injector, base))
    injector.inject(base)
    with pytest.raises(RuntimeError, match="injected already"):
        injector.inject(base)


@torch.no_grad()
def test_a_mask_keeps_the_graph_to_a_part_of_the_picture(sd_folder: Path) -> None:
    """Each site adds nothing where the mask is 0; without a mask, and with one of ones, it adds the same."""
    base, injector = small_base(sd_folder), IPAdapterInjector()
    injector.inject(base)
    wake(injector)
    given, tokens = inputs(base), signal(injector, base)
    plain, full = base.denoise(given), base.denoise(injector.apply(given, tokens))
    for value, wanted in ((0.0, plain), (1.0, full)):
        mask = torch.full((2, *given.sample.shape[2:]), value)
        assert torch.equal(base.denoise(injector.apply(given, replace(tokens, mask=mask))), wanted)
    mask[:, :, : mask.shape[2] // 2] = 0
    masked = injector.apply(given, replace(tokens, mask=mask))
    both = stacked([given, injector.apply(given, tokens), masked])
    assert torch.allclose(base.denoise(both), torch.cat([plain, full, base.denoise(masked)]), atol=1e-5)


@torch.no_grad()
def test_masks_that_do_not_fit(sd_folder: Path) -> None:
    base, injector = small_base(sd_folder), IPAdapterInjector()
    injector.inject(base)
    given, tokens = inputs(base), signal(injector, base)
    height, width = given.sample.shape[2:]
    with pytest.raises(InputError, match="another aspect ratio than the latents"):
        injector.apply(given, replace(tokens, mask=torch.ones(2, height + 1, width)))
    with pytest.raises(InputError, match=r"outside of 0\.\.1"):
        injector.apply(given, replace(tokens, mask=torch.full((2, height, width), float("nan"))))
    other = Condition(
        "graph", NeighborMean(feature_width=8, token_width=base.facts.token_width), PromptTokenInjector()
    )
    with pytest.raises(InputError, match="PromptTokenInjector reads no masks"):
        other.apply(given, replace(tokens, mask=torch.ones(2, height, width)))


def model_with(sd_folder: Path, encoder: str, injector: str) -> GraphModel:
    parts = {"name": "pictures", "sampler": {"kind": "ppr"}, "encoder": {"kind": encoder}}
    return small_model(sd_folder, conditions=[parts | {"injector": {"kind": injector}}])


@torch.no_grad()
def test_each_graph_of_a_picture_keeps_to_its_mask(sd_folder: Path) -> None:
    model = model_with(sd_folder, "image_prompts", "ip_adapter")
    pipe = GraphPipeline(model)

    def draw(*masks: float | None, **options: Any) -> np.ndarray:
        graphs = []
        for number, value in enumerate(masks):
            mask = None if value is None else torch.full((1, 32, 32), value)
            embeddings = torch.randn(1, 2, FEATURE_WIDTH, generator=torch.Generator().manual_seed(number))
            graphs.append(NeighborFeatures(embeddings, torch.ones(1, 2, dtype=torch.bool), mask=mask))
        generator = torch.Generator().manual_seed(0)
        settings = {"num_inference_steps": 2, "output_type": "np", "height": 64, "width": 64, **options}
        return pipe("a star", graphs, generator=generator, graph_guidance_scale=3.0, **settings).images

    alone, both = draw(None), draw(None, None)
    assert np.allclose(draw(1.0), alone, atol=1e-5)
    assert not np.allclose(draw(0.0), alone, atol=1e-3)
    assert np.allclose(draw(1.0, 0.0), alone, atol=1e-5)
    assert not np.allclose(both, alone, atol=1e-3)
    joint = {"guidance_mode": "joint"}
    assert np.allclose(draw(1.0, **joint), draw(None, **joint), atol=1e-5)
    assert not np.allclose(draw(0.0, **joint), draw(None, **joint), atol=1e-3)


def test_masks_where_nothing_reads_them(sd_folder: Path) -> None:
    pipe = GraphPipeline(model_with(sd_folder, "neighbor_mean", "prompt_tokens"))
    shown = NeighborFeatures(torch.randn(1, 2, FEATURE_WIDTH), torch.ones(1, 2, dtype=torch.bool))
    with pytest.raises(InputError, match="PromptTokenInjector reads no masks"):
        pipe("a star", replace(shown, mask=torch.ones(1, 8, 8)), num_inference_steps=1)
    with unchecked(), pytest.raises(InputError, match=r"the masks are \(2, 8, 8\), not 1 of a height"):
        pipe("a star", replace(shown, mask=torch.ones(2, 8, 8)), num_inference_steps=1)
