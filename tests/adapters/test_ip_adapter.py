"""What is particular to the IP-Adapter: where it acts, and how it starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graphcond.adapters import IPAdapterInjector, LoraInjector
from graphcond.errors import InputError
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
