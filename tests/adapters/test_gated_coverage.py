"""Gated self-attention that places: by coverage, over tokens alone, from the base's own cross-attention."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from graphcond.adapters import GatedSelfAttentionConfig, GatedSelfAttentionInjector
from graphcond.adapters.gated_layers import GatedBlock, token_bias
from graphcond.bases import StableDiffusionBase
from graphcond.coverage import coverage
from graphcond.denoiser_inputs import DenoiserInputs, Grounding
from graphcond.errors import InputError, Notice
from graphcond.signals import GraphTokens
from tests.builders import small_base

PLACING = {"place": "coverage", "keys": "tokens", "start": "cross_attention"}


@pytest.fixture
def base(sd_folder: Path) -> StableDiffusionBase:
    return small_base(sd_folder)


def inputs(base) -> DenoiserInputs:
    sample = torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(0))
    return DenoiserInputs(sample, torch.tensor([300, 700]), base.encode_prompt(["a star", "a tree"]).hidden)


def tokens(base, *boxes: list[float]) -> GraphTokens:
    shape = 2, len(boxes), base.facts.token_width
    values = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    there = torch.ones(shape[:2], dtype=torch.bool)
    return GraphTokens(values, there, torch.tensor(boxes).expand(2, -1, 4), there)


LEFT, RIGHT = [0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0]


def injected(base, **options) -> GatedSelfAttentionInjector:
    injector = GatedSelfAttentionInjector(**(PLACING | options))
    injector.inject(base)
    return injector


@torch.no_grad()
def test_the_layer_starts_as_the_blocks_own_attention_weighed_by_coverage(base) -> None:
    name, site = next(iter(base.sites("block").items()))
    own, norm = base.unet.get_submodule(name).attn2, base.unet.get_submodule(name).norm2
    layer = GatedBlock(
        width=site.width,
        token_width=base.facts.token_width,
        heads=site.heads,
        head_width=site.width // site.heads,
        keys="tokens",
        start="cross_attention",
        reader=site.reader(),
    )
    given = tokens(base, LEFT, [0.25, 0.0, 0.75, 0.5])
    shares = coverage(given.boxes, given.boxed, 4, 4)
    visual, grounding = torch.randn(2, 16, site.width), Grounding(given.tokens, given.present, torch.ones(2))
    q, k, v = own.to_q(norm(visual)), own.to_k(given.tokens), own.to_v(given.tokens)
    q, k, v = (x.unflatten(-1, (own.heads, -1)).transpose(1, 2) for x in (q, k, v))
    weight = (q @ k.transpose(-1, -2) * own.scale).exp() * (shares / torch.tensor([0.5, 0.25]))[:, None]
    read = weight / weight.sum(-1, keepdim=True).clamp(min=1e-9) @ v
    wanted = own.to_out[0](read.transpose(1, 2).flatten(2)) * shares.sum(-1, keepdim=True).clamp(max=1)
    assert torch.allclose(layer(visual, grounding, shares), wanted, atol=1e-5)
    assert (shares.sum(-1) == 0).any(), "a cell that no box covers reads nothing"


@torch.no_grad()
def test_small_boxes_win_over_large_ones_and_those_over_tokens_without_a_box() -> None:
    boxes = torch.tensor([[[0.0, 0.0, 1.0, 0.5], [0.0, 0.0, 0.25, 0.25], [0.0, 0.0, 1.0, 1.0]]])
    shares = coverage(boxes, torch.tensor([[True, True, False]]), 4, 4)
    corner, beside = token_bias(shares)[0, 0].softmax(0), token_bias(shares)[0, 1].softmax(0)
    assert torch.allclose(corner, torch.tensor([2.0, 16.0, 1.0]) / 19)
    assert torch.allclose(beside, torch.tensor([2.0, 0.0, 1.0]) / 3)


@torch.no_grad()
@pytest.mark.parametrize(
    "options", [{}, {"start": "zero"}, {"start": "zero", "keys": "both"}, {"start": "gates"}]
)
def test_a_token_acts_where_its_box_is(base, options: dict[str, str]) -> None:
    injector, given, seen = injected(base, **options), tokens(base, LEFT, RIGHT), []
    for number, block in enumerate(injector.blocks.values()):
        torch.manual_seed(number)
        for name, parameter in block.named_parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3 if "ff" not in name else 0)
        block.alpha_attn.fill_(1)
        block.register_forward_hook(lambda _, args, output: seen.append(output))
    base.denoise(injector.apply(inputs(base), given))
    first = seen[0]
    seen.clear()
    other = replace(given, tokens=torch.cat([given.tokens[:, :1], given.tokens[:, 1:] + 1], 1))
    base.denoise(injector.apply(inputs(base), other))
    stride = next(iter(base.sites("block").values())).stride
    change = (seen[0] - first).abs().amax(-1).unflatten(1, (8 // stride, 12 // stride))
    middle = change.shape[2] // 2
    assert change[:, :, :middle].max() < 1e-5
    assert change[:, :, middle:].min() > 1e-4


@torch.no_grad()
@pytest.mark.parametrize("start", ["zero", "cross_attention"])
def test_tokens_start_as_the_encoders(base, start: str) -> None:
    injector, given = injected(base, start=start), tokens(base, LEFT, RIGHT)
    (shown,) = injector.apply(inputs(base), given).grounding.values()
    assert torch.equal(shown.tokens[:, :2], given.tokens)
    assert shown.tokens.shape[1] == 8
    assert injector.figures() == {"gate_attention": 1.0, "gate_feed_forward": 1.0}
    plain = base.denoise(inputs(base))
    changed = base.denoise(injector.apply(inputs(base), given))
    assert torch.equal(changed, plain) == (start == "zero")


@torch.no_grad()
def test_without_boxes_every_token_is_everywhere_which_is_said_once(base) -> None:
    injector, given = injected(base), tokens(base, LEFT, RIGHT)
    unplaced = GraphTokens(given.tokens, given.present)
    with pytest.warns(Notice, match="no boxes, so every token is everywhere; give the data boxes"):
        (shown,) = injector.apply(inputs(base), unplaced).grounding.values()
    assert all((shares[..., :2] == 1).all() for shares in shown.coverage.values())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        injector.apply(inputs(base), unplaced)


@torch.no_grad()
def test_a_box_without_area_is_nowhere(base) -> None:
    injector = injected(base)
    given = tokens(base, LEFT, [0.3, 0.3, 0.3, 0.9])
    parts = given.tokens, given.present, given.boxes, given.boxed
    alone, beside = (
        base.denoise(injector.apply(inputs(base), GraphTokens(*(part[:, :n] for part in parts))))
        for n in (1, 2)
    )
    assert torch.allclose(beside, alone, atol=1e-5)
    only = base.denoise(injector.apply(inputs(base), tokens(base, [0.5, 0.5, 0.5, 0.5])))
    assert torch.allclose(only, base.denoise(inputs(base)), atol=1e-6)


@torch.no_grad()
def test_300_objects_one_upon_another(base) -> None:
    injector = injected(base)
    output = base.denoise(injector.apply(inputs(base), tokens(base, *[LEFT] * 150, *[RIGHT] * 150)))
    assert output.isfinite().all()
    assert (output - base.denoise(inputs(base))).abs().max() > 1e-4


def test_a_half_precision_base_trains_float32_copies(base) -> None:
    base.unet.to(torch.bfloat16)
    injector, given = injected(base), tokens(base, LEFT, RIGHT)
    output = base.denoise(injector.apply(inputs(base), given))
    assert output.dtype == torch.bfloat16
    output.float().square().sum().backward()
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in injector.trainable_parameters().values())


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"start": "cross_attention"}, "reads tokens alone, and keys is 'both'"),
        ({"place": "coverage", "absent": "null"}, "would be seen everywhere"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, str], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        GatedSelfAttentionInjector(**settings)
    with pytest.raises(ValidationError, match=problem):
        GatedSelfAttentionConfig(**settings)


def test_a_block_without_cross_attention_cannot_be_copied(base, monkeypatch: pytest.MonkeyPatch) -> None:
    sites = {name: replace(site, reader=None) for name, site in base.sites("block").items()}
    monkeypatch.setattr(base, "sites", lambda kind: sites)
    with pytest.raises(InputError, match="has no cross-attention that can be copied"):
        injected(base)


def test_gligens_weights_start_a_training_by_coverage_and_no_other_start(base) -> None:
    unet = type(base.unet).from_config({**base.unet.config, "attention_type": "gated"})
    placing = injected(base, start="gates")
    with pytest.warns(Notice, match="trained with place 'fourier' and keys 'both', not with 'coverage'"):
        placing.load_gligen(unet.state_dict())
    with pytest.raises(InputError, match="those of the start 'gates', not of 'cross_attention'"):
        injected(base).load_gligen(unet.state_dict())
