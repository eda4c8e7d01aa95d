"""Branches in one call answer what each answers alone, whatever the others carry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from graphcond.adapters import ControlNetInjector, GatedSelfAttentionInjector, PromptTokenInjector
from graphcond.denoiser_inputs import DenoiserInputs, Grounding, GroundingSlot
from graphcond.guidance import stacked
from graphcond.signals import GraphTokens, LayoutMap
from tests.builders import small_base


@pytest.fixture
def base(sd_folder: Path):
    return small_base(sd_folder)


def inputs(base) -> DenoiserInputs:
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(2, 4, 8, 8, generator=generator)
    return DenoiserInputs(sample, torch.tensor([300, 700]), base.encode_prompt(["a star", "a tree"]).hidden)


def tokens(base, count: int) -> GraphTokens:
    generator = torch.Generator().manual_seed(count)
    there = torch.ones(2, count, dtype=torch.bool)
    return GraphTokens(torch.randn(2, count, base.facts.token_width, generator=generator), there)


def placed(base, count: int) -> GraphTokens:
    given = tokens(base, count)
    boxes = torch.rand(2, count, 4, generator=torch.Generator().manual_seed(count)).sort(-1).values
    return replace(given, boxes=boxes, boxed=given.present)


def grounding(count: int, strength: float = 1.0) -> Grounding:
    return Grounding(
        torch.ones(2, count, 3), torch.ones(2, count, dtype=torch.bool), torch.full((2,), strength)
    )


@torch.no_grad()
def test_every_branch_answers_as_alone(base) -> None:
    covering = GatedSelfAttentionInjector(place="coverage", keys="tokens", start="cross_attention")
    injectors = [
        GatedSelfAttentionInjector(),
        ControlNetInjector(layout_width=3),
        PromptTokenInjector(),
        covering,
    ]
    torch.manual_seed(1)
    for injector in injectors:
        injector.inject(base)
        for parameter in injector.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.2)
    gated, controlnet, prompt, covering = injectors
    plain = inputs(base)
    layout = LayoutMap(torch.randn(2, 3, 8, 8), torch.tensor([True, False]))
    branches = [
        plain,
        gated.apply(plain, tokens(base, 3)),
        controlnet.apply(gated.apply(plain, tokens(base, 5)), layout),
        prompt.apply(plain, tokens(base, 2)),
        covering.apply(plain, placed(base, 3)),
        covering.apply(gated.apply(plain, tokens(base, 2)), placed(base, 9)),
    ]
    together = base.denoise(stacked(branches)).chunk(len(branches))
    alone = [base.denoise(branch) for branch in branches]
    for one, other in zip(together, alone, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    assert all(not torch.allclose(alone[0], other, atol=1e-4) for other in alone[1:])


@torch.no_grad()
def test_weights_of_places_stand_beside_those_of_tokens(base) -> None:
    plain = inputs(base)
    some = PromptTokenInjector().apply(plain, tokens(base, 3), 0.5)
    places = some.weights(places=True).clone()
    places[:, -2:, :, 4:] = 0
    branches = [plain, some, replace(some, context_weight=places)]
    together = base.denoise(stacked(branches)).chunk(len(branches))
    for one, branch in zip(together, branches, strict=True):
        assert torch.allclose(one, base.denoise(branch), atol=1e-5)
    assert not torch.allclose(together[1], together[2], atol=1e-4)


def test_groundings_are_padded_with_tokens_that_are_not_there(base) -> None:
    one, two = GroundingSlot(), GroundingSlot()
    plain = inputs(base)
    merged = stacked(
        [
            plain,
            replace(plain, grounding={one: grounding(4)}),
            replace(plain, grounding={one: grounding(2, 0.5), two: grounding(1)}),
        ]
    ).grounding
    assert merged[one].present.sum(1).tolist() == [0, 0, 4, 4, 2, 2]
    assert merged[one].strength.tolist() == [0, 0, 1, 1, 0.5, 0.5]
    assert merged[one].tokens.shape == (6, 4, 3)
    assert merged[two].strength.tolist() == [0, 0, 0, 0, 1, 1]


def test_missing_residuals_are_zeros_and_a_single_branch_is_left_alone(base) -> None:
    plain = inputs(base)
    given = replace(plain, residuals={"conv_in": torch.ones(2, 5, 4, 4), "mid_block": torch.ones(2, 6, 2, 2)})
    merged = stacked([given, plain]).residuals
    assert merged["conv_in"].sum((1, 2, 3)).tolist() == [80, 80, 0, 0]
    assert merged["mid_block"].sum((1, 2, 3)).tolist() == [24, 24, 0, 0]
    assert stacked([plain, plain]).residuals == {}
    assert stacked([plain]) is plain


def test_extras_of_the_branches_stand_in_their_order(base) -> None:
    plain = inputs(base)
    one, two = (replace(plain, extras={"pooled": torch.full((2, 3), float(n))}) for n in (1, 2))
    assert stacked([one, two]).extras["pooled"][:, 0].tolist() == [1, 1, 2, 2]


def test_the_prompt_keeps_its_length(base) -> None:
    plain = inputs(base)
    longer = PromptTokenInjector().apply(plain, tokens(base, 3))
    assert stacked([plain, longer]).prompt_length == plain.context.shape[1]
    with pytest.raises(ValueError, match="prompts of unequal length"):
        stacked([plain, replace(plain, context=plain.context[:, :5])])
