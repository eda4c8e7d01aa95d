"""A token of weight w counts w times in the softmax of cross-attention."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import partial
from pathlib import Path

import pytest
import torch

from graphcond.bases.token_weights import MASKED, bias_of_weight
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.errors import InputError
from tests.builders import small_base
from tests.typecheck import unchecked


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


def gradients_of(base, tokens: torch.Tensor, weight: torch.Tensor, checkpoint: Callable[[], None]) -> list:
    """The gradients of tokens without and with gradient checkpointing."""
    gradients = []
    for enable in (False, True):
        base.unet.train()
        (checkpoint if enable else base.unet.disable_gradient_checkpointing)()
        base.denoise(inputs(tokens, weight)).square().sum().backward()
        gradients.append(tokens.grad.clone())
        tokens.grad = None
    base.unet.disable_gradient_checkpointing()
    base.unet.eval()
    return gradients


def test_gradient_checkpointing_keeps_weights(base) -> None:
    tokens = torch.randn(1, 5, base.facts.token_width, requires_grad=True)
    weight = torch.tensor([[1.0, 1, 1, 0.5, 0.0]])
    gradients = gradients_of(base, tokens, weight, base.unet.enable_gradient_checkpointing)
    assert torch.allclose(*gradients, atol=1e-5)
    assert gradients[0][0, 4].abs().max() == 0


# Weights for each place


def of_places(*columns: list[float]) -> torch.Tensor:
    """Weights (1, l, 8, 8) that are the same in every row of the picture, one list of 8 for each token."""
    return torch.tensor(columns).float()[None, :, None].expand(-1, -1, 8, -1)


@torch.no_grad()
def test_equal_weights_of_all_places_are_those_of_tokens(base) -> None:
    tokens, weight = torch.randn(1, 4, base.facts.token_width), torch.tensor([[1.0, 0.5, 2.0, 0.0]])
    places = weight[..., None, None].expand(1, 4, 8, 8)
    torch.testing.assert_close(base.denoise(inputs(tokens, places)), base.denoise(inputs(tokens, weight)))


@torch.no_grad()
def test_weights_are_averaged_over_the_cells_of_a_site(base) -> None:
    tokens, seen = torch.randn(1, 2, base.facts.token_width), {}

    def note(stride, module, args, kwargs):
        seen[stride] = kwargs["attention_mask"].exp()

    handles = [
        site.module.register_forward_pre_hook(partial(note, site.stride), with_kwargs=True)
        for site in base.sites("cross_attention").values()
    ]
    base.denoise(inputs(tokens, of_places([1] * 8, [0, 0, 0, 0.5, 1, 1, 1, 1])))
    for handle in handles:
        handle.remove()
    assert seen
    for stride, weights in seen.items():
        row = torch.tensor([0, 0, 0, 0.5, 1, 1, 1, 1]).view(-1, stride).mean(1)
        torch.testing.assert_close(weights[0, :, 1].view(8 // stride, -1), row.expand(8 // stride, -1))
        assert weights[0, :, 0].unique().tolist() == [1]


def test_a_token_that_is_hidden_everywhere_is_not_there_and_gets_no_gradient(base) -> None:
    tokens = torch.randn(1, 4, base.facts.token_width, requires_grad=True)
    weight = of_places([1] * 8, [1] * 8, [0] * 8, [0.0] * 8).requires_grad_(True)
    hidden = base.denoise(inputs(tokens, weight))
    torch.testing.assert_close(hidden, base.denoise(inputs(tokens[:, :2])))
    hidden.square().sum().backward()
    assert tokens.grad[:, 2:].abs().max() == 0
    assert tokens.grad[:, :2].abs().min() > 0
    assert weight.grad.isfinite().all()


@torch.no_grad()
def test_where_every_token_is_hidden_cross_attention_adds_nothing(base) -> None:
    seen = []
    site = next(iter(base.sites("cross_attention").values()))
    handle = site.module.register_forward_hook(lambda module, args, output: seen.append(output))
    some, other = torch.randn(2, 1, 3, base.facts.token_width)
    half = of_places(*[[0] * 4 + [1] * 4] * 3)
    both = [base.denoise(inputs(tokens, half)) for tokens in (some, other)]
    handle.remove()
    rows, columns = site.grid(8, 8)
    for output in seen:
        cells = output.view(rows, columns, -1)
        assert cells[:, : columns // 2].abs().max() == 0
        assert cells[:, columns // 2 :].abs().min(-1).values.min() > 0
    assert (both[0] - both[1]).abs().max() > 1e-5
    nothing = of_places(*[[0.0] * 8] * 3)
    assert torch.equal(*(base.denoise(inputs(tokens, nothing)) for tokens in (some, other)))


def test_gradient_checkpointing_keeps_weights_of_places(base) -> None:
    tokens = torch.randn(1, 3, base.facts.token_width, requires_grad=True)
    weight = of_places([1] * 8, [0] * 4 + [1] * 4, [0.25] * 8)
    gradients = gradients_of(base, tokens, weight, base.enable_gradient_checkpointing)
    assert torch.allclose(*gradients, atol=1e-5)


@torch.no_grad()
def test_keys_are_padded_where_xformers_wants_it(base) -> None:
    tokens = torch.randn(1, 3, base.facts.token_width)
    weight = of_places([1] * 8, [0] * 4 + [1] * 4, [0.5] * 8)
    wanted, seen = base.denoise(inputs(tokens, weight)), set()
    padded = copy(base)
    padded.attention = "xformers"
    handles = [
        site.module.register_forward_pre_hook(
            lambda module, args, kwargs: seen.add(kwargs["attention_mask"].shape[-1]), with_kwargs=True
        )
        for site in base.sites("cross_attention").values()
    ]
    torch.testing.assert_close(padded.denoise(inputs(tokens, weight)), wanted)
    for handle in handles:
        handle.remove()
    assert seen == {8}


def test_weights_of_another_size_are_refused(base) -> None:
    tokens = torch.randn(1, 2, base.facts.token_width)
    with unchecked(), pytest.raises(InputError, match=r"context_weight: expected .* 8 x 8 .*, got 8 x 4"):
        base.denoise(inputs(tokens, torch.ones(1, 2, 8, 4)))
