"""Slots hold their grounding while the denoiser runs, and nothing before or after."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from graphcond.denoiser_inputs import DenoiserInputs, Grounding, GroundingSlot
from tests.builders import small_base


@pytest.fixture
def base(sd_folder: Path):
    return small_base(sd_folder)


@pytest.fixture
def slot() -> GroundingSlot:
    return GroundingSlot()


@pytest.fixture
def inputs(base, slot: GroundingSlot) -> DenoiserInputs:
    shown = Grounding(torch.ones(1, 2, 3), torch.ones(1, 2, dtype=torch.bool), torch.ones(1))
    context = torch.randn(1, 5, base.facts.token_width)
    return DenoiserInputs(torch.randn(1, 4, 8, 8), torch.tensor([5]), context, grounding={slot: shown})


@torch.no_grad()
def test_filled_everywhere_in_the_denoiser_and_emptied(base, slot, inputs) -> None:
    seen = []
    sites = [base.unet.conv_in, *(site.module.attn1 for site in base.sites("block").values())]
    for site in sites:
        site.register_forward_hook(lambda *_: seen.append(slot.value))
    base.denoise(inputs)
    assert len(seen) == len(sites)
    assert all(value is inputs.grounding[slot] for value in seen)
    assert slot.value is None


def test_filled_again_where_a_block_is_recomputed(base, slot, inputs) -> None:
    base.enable_gradient_checkpointing()
    sample = inputs.sample.requires_grad_(True)
    output = base.denoise(replace(inputs, sample=sample))
    seen = []
    blocks = [site.module for site in base.sites("block").values()]
    for block in blocks:
        block.attn1.register_forward_hook(lambda *_: seen.append(slot.value))
    output.sum().backward()
    assert len(seen) == len(blocks)
    assert all(value is inputs.grounding[slot] for value in seen)
    assert slot.value is None


@torch.no_grad()
def test_emptied_when_the_denoiser_fails(base, slot, inputs) -> None:
    def fail(*_: object) -> None:
        raise ArithmeticError

    next(iter(base.sites("block").values())).module.attn2.register_forward_hook(fail)
    with pytest.raises(ArithmeticError):
        base.denoise(inputs)
    assert slot.value is None


@torch.no_grad()
def test_a_grounding_that_nobody_reads_changes_nothing(base, inputs) -> None:
    assert torch.equal(base.denoise(inputs), base.denoise(replace(inputs, grounding={})))
