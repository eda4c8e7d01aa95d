"""A token of weight w counts w times in the softmax of cross-attention."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graphcond.bases.token_weights import MASKED, bias_of_weight
from graphcond.denoiser_inputs import DenoiserInputs
from tests.builders import small_base


@pytest.fixture(scope="module")
def base(sd_folder: Path):
    return small_base(sd_folder)


def inputs(context: torch.Tensor, weight: torch.Tensor | None = None) -> DenoiserInputs:
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(1, 4, 8, 8, generator=generator)
    return DenoiserInputs(sample, torch.tensor([500]), context, weight)


@torch.no_grad()
def test_weight_two_is_the_token_twice(base) -> None:
    tokens = torch.randn(1, 5, base.facts.token_width)
    twice = torch.cat([tokens, tokens[:, 3:]], 1)
    weight = torch.tensor([[1.0, 1, 1, 2, 2]])
    assert torch.allclose(base.denoise(inputs(tokens, weight)), base.denoise(inputs(twice)), atol=1e-5)


@torch.no_grad()
def test_weight_zero_is_no_token(base) -> None:
    tokens = torch.randn(1, 6, base.facts.token_width)
    weight = torch.tensor([[1.0, 1, 1, 1, 0, 0]])
    assert torch.allclose(
        base.denoise(inputs(tokens, weight)), base.denoise(inputs(tokens[:, :4])), atol=1e-5
    )


@torch.no_grad()
def test_equal_weights_change_nothing_and_a_half_lies_between(base) -> None:
    tokens = torch.randn(1, 6, base.facts.token_width)
    full = base.denoise(inputs(tokens))
    assert torch.allclose(base.denoise(inputs(tokens, torch.ones(1, 6))), full, atol=1e-6)
    half = base.denoise(inputs(tokens, torch.tensor([[1.0, 1, 1, 1, 0.5, 0.5]])))
    none = base.denoise(inputs(tokens[:, :4]))
    assert (half - full).abs().max() > 1e-5
    assert (half - none).abs().max() > 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_bias_survives_half_precision(dtype: torch.dtype) -> None:
    weights = torch.tensor([0.0, 0.25, 0.5, 1.0, 1.5])
    bias = ((1 - weights.to(dtype)) * MASKED)[None, None]
    expected = torch.tensor([MASKED, *weights[1:].log().tolist()])
    assert torch.allclose(bias_of_weight(bias)[0, 0].float(), expected, atol=2e-2, rtol=1e-2)


def test_gradient_checkpointing_keeps_weights(base) -> None:
    tokens = torch.randn(1, 5, base.facts.token_width, requires_grad=True)
    weight = torch.tensor([[1.0, 1, 1, 0.5, 0.0]])
    gradients = []
    for enable in (False, True):
        base.unet.train()
        (base.unet.enable_gradient_checkpointing if enable else base.unet.disable_gradient_checkpointing)()
        base.denoise(inputs(tokens, weight)).square().sum().backward()
        gradients.append(tokens.grad.clone())
        tokens.grad = None
    base.unet.disable_gradient_checkpointing()
    base.unet.eval()
    assert torch.allclose(*gradients, atol=1e-5)
    assert gradients[0][0, 4].abs().max() == 0
