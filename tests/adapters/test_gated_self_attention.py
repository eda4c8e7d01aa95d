"""What is particular to gated self-attention: formula, gates, strength, order, widths, half precision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from graphcond.adapters import GatedSelfAttentionConfig, GatedSelfAttentionInjector
from graphcond.adapters.gated_self_attention import GatedBlock
from graphcond.bases import StableDiffusionBase
from graphcond.denoiser_inputs import DenoiserInputs, Grounding
from graphcond.errors import InputError
from graphcond.signals import GraphTokens
from tests.builders import small_base
from tests.tiny_checkpoints import write_sd_folder


@pytest.fixture
def base(sd_folder: Path) -> StableDiffusionBase:
    return small_base(sd_folder)


def inputs(base) -> DenoiserInputs:
    shape = (2, base.facts.latent_channels, 8, 8)
    sample = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return DenoiserInputs(sample, torch.tensor([300, 700]), base.encode_prompt(["a star", "a tree"]).hidden)


def tokens(base, count: int = 4) -> GraphTokens:
    values = torch.randn(2, count, base.facts.token_width, generator=torch.Generator().manual_seed(1))
    there = torch.ones(2, count, dtype=torch.bool)
    return GraphTokens(values, there, torch.tensor([0.1, 0.2, 0.6, 0.9]).expand(2, count, 4), there)


def awake(base, seed: int = 2, **options) -> GatedSelfAttentionInjector:
    injector = GatedSelfAttentionInjector(**options)
    injector.inject(base)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in injector.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return injector


@torch.no_grad()
def test_the_layer_is_the_papers_formula() -> None:
    torch.manual_seed(0)
    layer = GatedBlock(width=8, token_width=5, heads=2, head_width=4)
    layer.alpha_attn.fill_(0.7)
    layer.alpha_dense.fill_(-0.4)
    v, h = torch.randn(1, 6, 8), torch.randn(1, 3, 5)
    grounding = Grounding(h, torch.ones(1, 3, dtype=torch.bool), torch.ones(1))
    both = layer.norm1(torch.cat([v, layer.linear(h)], 1))
    q, k, value = (getattr(layer.attn, f"to_{x}")(both).unflatten(-1, (2, 4)).transpose(1, 2) for x in "qkv")
    seen = (q @ k.transpose(-1, -2) / 2).softmax(-1) @ value
    seen = layer.attn.to_out[0](seen.transpose(1, 2).flatten(2))[:, :6]
    first = v + torch.tensor(0.7).tanh() * seen
    wanted = first + torch.tensor(-0.4).tanh() * layer.ff(layer.norm2(first))
    assert torch.allclose(v + layer(v, grounding), wanted, atol=1e-5)


@torch.no_grad()
def test_hidden_tokens_are_not_seen_and_nulls_are(base) -> None:
    given = tokens(base)
    fewer = GraphTokens(*(each[:, :2] for each in (given.tokens, given.present, given.boxes, given.boxed)))
    half = replace(given, present=given.present & torch.tensor([True, True, False, False]))
    masked = awake(base)
    short, hidden = (base.denoise(masked.apply(inputs(base), one)) for one in (fewer, half))
    assert torch.allclose(short, hidden, atol=1e-5)
    masked.eject()
    null = awake(base, absent="null", slots=4)
    short, hidden = (base.denoise(null.apply(inputs(base), one)) for one in (fewer, half))
    assert torch.allclose(short, hidden, atol=1e-5)
    null.slots = 3
    assert not torch.allclose(base.denoise(null.apply(inputs(base), fewer)), short, atol=1e-4)


@torch.no_grad()
def test_the_box_matters_where_there_is_one(base) -> None:
    injector, given = awake(base), tokens(base)
    there = base.denoise(injector.apply(inputs(base), given))
    elsewhere = base.denoise(injector.apply(inputs(base), replace(given, boxes=given.boxes / 2)))
    assert (there - elsewhere).abs().max() > 1e-4


@torch.no_grad()
def test_scale_multiplies_what_the_gates_let_through(base) -> None:
    injector, given = awake(base), tokens(base)
    for block in injector.blocks.values():
        block.alpha_dense.zero_()
    halved = base.denoise(injector.apply(inputs(base), given, 0.5))
    for block in injector.blocks.values():
        block.alpha_attn.copy_((block.alpha_attn.tanh() / 2).atanh())
    assert torch.allclose(base.denoise(injector.apply(inputs(base), given)), halved, atol=1e-5)


@torch.no_grad()
def test_several_add_in_the_order_of_injection(base) -> None:
    given = tokens(base)
    first, second = awake(base, 3), awake(base, 4)

    def both() -> torch.Tensor:
        return base.denoise(second.apply(first.apply(inputs(base), given), given))

    wanted = both()
    first.eject()
    alone = base.denoise(second.apply(inputs(base), given))
    assert not torch.allclose(alone, wanted, atol=1e-4)
    first.inject(base)
    swapped = both()
    assert not torch.equal(swapped, wanted)  # now the second adds first
    second.eject()
    second.inject(base)
    assert torch.equal(both(), wanted)


def test_injecting_twice_or_applying_before_is_our_fault(base) -> None:
    injector = GatedSelfAttentionConfig().build(signal_width=7)
    with pytest.raises(RuntimeError, match="not injected"):
        injector.apply(inputs(base), tokens(base))
    injector.inject(base)
    with pytest.raises(RuntimeError, match="eject it first"):
        injector.inject(base)


def test_trained_layers_move_to_a_base_of_their_widths_only(base, tmp_path: Path) -> None:
    injector = awake(base)
    weights = {name: tensor.clone() for name, tensor in injector.state_dict().items()}
    injector.eject()
    other = small_base(write_sd_folder(tmp_path / "other", seed=5))
    injector.inject(other)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in injector.state_dict().items())
    injector.eject()
    wider = small_base(write_sd_folder(tmp_path / "wider", cross_width=48))
    with pytest.raises(InputError, match="a base of other widths"):
        injector.inject(wider)
    assert not injector.injected


def test_figures_say_how_far_the_gates_are_open(base) -> None:
    injector = awake(base)
    with torch.no_grad():
        for block in injector.blocks.values():
            block.alpha_attn.fill_(0.5)
            block.alpha_dense.fill_(-0.25)
    figures = injector.figures()
    assert figures["gate_attention"] == pytest.approx(0.4621, abs=1e-4)
    assert figures["gate_feed_forward"] == pytest.approx(0.2449, abs=1e-4)
    assert "added_to_features" not in figures
    with torch.no_grad():
        base.denoise(injector.apply(inputs(base), tokens(base)))
    assert 0 < injector.figures()["added_to_features"] < 10


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_half_precision_base_trains_float32_layers(base, dtype: torch.dtype) -> None:
    given = tokens(base)
    wanted = awake(base)
    with torch.no_grad():
        exact = base.denoise(wanted.apply(inputs(base), given))
    wanted.eject()
    base.unet.to(dtype)
    half = awake(base)
    output = base.denoise(half.apply(inputs(base), given))
    assert output.dtype == dtype
    assert torch.allclose(output.float(), exact, atol=0.15)
    output.float().square().sum().backward()
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in half.trainable_parameters().values())


def test_under_autocast(base) -> None:
    injector = awake(base)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = base.denoise(injector.apply(inputs(base), tokens(base)))
        output.float().square().sum().backward()
    assert all(p.grad.isfinite().all() for p in injector.trainable_parameters().values())


@torch.no_grad()
def test_on_the_packaged_base() -> None:
    base = StableDiffusionBase.from_pretrained("tiny")
    plain = base.denoise(inputs(base))
    injector = GatedSelfAttentionInjector()
    injector.inject(base)
    assert len(injector.blocks) == len(base.sites("cross_attention"))
    assert torch.equal(base.denoise(injector.apply(inputs(base), tokens(base))), plain)
    injector.eject()
    injector = awake(base)
    assert not torch.allclose(base.denoise(injector.apply(inputs(base), tokens(base))), plain, atol=1e-4)
