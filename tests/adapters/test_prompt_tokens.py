"""Graph tokens beside the prompt, or in its place."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graphcond.adapters import PromptTokenInjector
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.signals import GraphTokens
from tests.builders import small_base


@pytest.fixture
def base(sd_folder: Path):
    return small_base(sd_folder)


def inputs(base) -> DenoiserInputs:
    sample = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    return DenoiserInputs(sample, torch.tensor([300, 700]), base.encode_prompt(["a star", "a tree"]).hidden)


def tokens(base, present: tuple[bool, bool] = (True, True), seed: int = 1) -> GraphTokens:
    values = torch.randn(2, 6, base.facts.token_width, generator=torch.Generator().manual_seed(seed))
    return GraphTokens(values, torch.tensor(present)[:, None].expand(2, 6))


@torch.no_grad()
def test_in_place_of_the_prompt_only_the_graph_is_read(base) -> None:
    """And a target without graph keeps its prompt."""
    injector, given = PromptTokenInjector(place="replace"), inputs(base)
    replaced = base.denoise(injector.apply(given, tokens(base, (True, False))))
    graph_alone = DenoiserInputs(given.sample, given.timestep, tokens(base).tokens)
    assert torch.allclose(replaced[0], base.denoise(graph_alone)[0], atol=1e-5)
    assert torch.allclose(replaced[1], base.denoise(given)[1], atol=1e-5)


def test_scale_fades_the_prompt_out(base) -> None:
    injector, given = PromptTokenInjector(place="replace"), inputs(base)
    length = given.context.shape[1]
    for scale, prompt in ((0.25, 0.75), (1.0, 0.0), (2.0, 0.0)):
        weight = injector.apply(given, tokens(base), scale).context_weight
        assert weight[:, :length].unique().tolist() == [prompt]
        assert weight[:, length:].unique().tolist() == [scale]


@torch.no_grad()
def test_two_in_place_of_the_prompt_hide_it_and_not_each_other(base) -> None:
    given = inputs(base)
    first = PromptTokenInjector(place="replace").apply(given, tokens(base, seed=1))
    both = PromptTokenInjector(place="replace").apply(first, tokens(base, seed=2))
    length = given.context.shape[1]
    assert both.prompt_length == length
    assert both.context_weight[:, :length].unique().tolist() == [0]
    assert both.context_weight[:, length:].unique().tolist() == [1]
    assert torch.equal(both.context[:, :length], given.context)
