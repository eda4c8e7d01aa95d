"""What is particular to the IP-Adapter: where it acts, and how it starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from graphcond.adapters import IPAdapterInjector, LoraInjector, PromptTokenInjector
from graphcond.condition import Condition
from graphcond.encoders import NeighborMean
from graphcond.errors import InputError
from graphcond.guidance import stacked
from tests.builders import small_base
from tests.conformance.parts import fresh, inputs, run, signal, wake


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
    with pytest.raises(
        InputError, match=r"no cross-attention has a name that starts with 'upblocks'.*up_blocks"
    ):
        IPAdapterInjector(site_scales={"upblocks": 1.0}).inject(base)


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
