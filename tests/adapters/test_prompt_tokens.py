"""Graph tokens beside the prompt, or in its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from graphcond.adapters import PromptTokenInjector
from graphcond.adapters.config import PromptTokenConfig
from graphcond.bases import StableDiffusionConfig
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.encoders.config import SentenceConfig
from graphcond.errors import InputError, Notice
from graphcond.recipe.checks import check_base, check_signal
from graphcond.signals import Alignment, GraphTokens
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


# Tokens in boxes


def in_boxes(base, *boxes: list[float], boxed: bool = True) -> GraphTokens:
    shape = 2, len(boxes), base.facts.token_width
    values = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    there = torch.ones(shape[:2], dtype=torch.bool)
    return GraphTokens(values, there, torch.tensor(boxes).expand(2, -1, 4), there & boxed)


def test_a_token_counts_as_much_as_its_box_covers(base) -> None:
    given, injector = inputs(base), PromptTokenInjector(visible="in_boxes")
    length = given.context.shape[1]
    signal = in_boxes(base, [0.0, 0.0, 0.5, 1.0], [0.625, 0.5, 1.0, 0.75])
    weight = injector.apply(given, signal, 0.5).context_weight
    assert weight.shape == (2, length + 2, 8, 8)
    assert weight[:, :length].unique().tolist() == [1]
    assert (weight[0, length, :, :4] == 0.5).all()
    assert weight[0, length, :, 4:].abs().max() == 0
    assert weight[0, length + 1].nonzero().amin(0).tolist() == [4, 5]
    assert weight[0, length + 1].nonzero().amax(0).tolist() == [5, 7]


def test_small_boxes_win_over_large_ones_that_contain_them(base) -> None:
    """A box of 16 cells, one of 4 within it, and a token that is hidden in the same place."""
    signal = in_boxes(base, [0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.25, 0.25], [0.0, 0.0, 0.25, 0.25])
    signal.present[:, 2] = False
    given = inputs(base)
    weight = PromptTokenInjector(visible="in_boxes").apply(given, signal).context_weight
    large, small, hidden = weight[0, given.context.shape[1] :]
    assert torch.allclose(small[:2, :2] / large[:2, :2], torch.tensor(4.0))
    assert torch.allclose((small + large)[:2, :2], torch.tensor(2.0)), "together, as much as both cover"
    assert (large[:4, :4].flatten()[2:4] == 1).all()
    assert hidden.abs().max() == 0


def test_words_without_a_box_count_as_before(base) -> None:
    boxes = [0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.25, 0.25], [0.0, 0.0, 0.0, 0.0]
    signal = in_boxes(base, *boxes)
    signal.boxed[:, 2] = False
    given = inputs(base)
    weight = PromptTokenInjector(visible="in_boxes").apply(given, signal).context_weight
    assert weight[:, given.context.shape[1] + 2].unique().tolist() == [1]


def test_missing_boxes_are_said_once(base) -> None:
    injector, signal = PromptTokenInjector(visible="in_boxes"), in_boxes(base, [0.0] * 4, boxed=False)
    with pytest.warns(Notice, match="visible is 'in_boxes', and the objects have no boxes") as said:
        _ = [injector.apply(inputs(base), signal) for _ in range(2)]
    assert len(said) == 1


@torch.no_grad()
def test_tokens_without_boxes_are_seen_everywhere(base) -> None:
    given, signal = inputs(base), in_boxes(base, [0.1, 0.1, 0.2, 0.2], boxed=False)
    with pytest.warns(Notice, match="have no boxes"):
        seen = PromptTokenInjector(visible="in_boxes").apply(given, signal)
    everywhere = PromptTokenInjector().apply(given, signal)
    assert torch.allclose(base.denoise(seen), base.denoise(everywhere), atol=1e-5)


@torch.no_grad()
def test_a_box_without_area_hides_its_token(base) -> None:
    given, signal = inputs(base), in_boxes(base, [0.3, 0.3, 0.3, 0.6])
    shown = base.denoise(PromptTokenInjector(visible="in_boxes").apply(given, signal))
    assert torch.allclose(shown, base.denoise(given), atol=1e-5)


def test_a_base_that_weighs_no_places_is_refused(base, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(base), "weighs_places", False)
    with pytest.raises(InputError, match="StableDiffusionBase cannot show tokens in parts of the picture"):
        PromptTokenInjector(visible="in_boxes").inject(base)
    PromptTokenInjector().inject(base)
    monkeypatch.setattr(StableDiffusionConfig, "weighs_places", False)
    parts = SimpleNamespace(injector=PromptTokenConfig(visible="in_boxes"), encoder=SentenceConfig())
    with pytest.raises(ValueError, match="'prompt_tokens' shows tokens in parts of the picture"):
        check_base("conditions.0", parts, StableDiffusionConfig())


# Tokens added to words


def with_sentence(base, words: list[tuple[int, int]], length: int | None = None) -> GraphTokens:
    """Six graph tokens; ``words`` are pairs of one and the token of the sentence that it belongs to."""
    sentence, signal = base.encode_prompt(["a red star", "a tree"]), tokens(base)
    of = torch.zeros(2, 6, length or sentence.hidden.shape[1], dtype=torch.bool)
    for token, word in words:
        of[:, token, word] = True
    return replace(signal, alignment=Alignment(sentence.hidden, torch.ones_like(sentence.ids).bool(), of))


@torch.no_grad()
def test_a_closed_gate_leaves_the_sentence_and_an_open_one_adds_means(base) -> None:
    injector, given = PromptTokenInjector(place="add"), inputs(base)
    signal = with_sentence(base, [(0, 1), (2, 3), (4, 3)])
    length, sentence = given.context.shape[1], signal.alignment.hidden
    closed = injector.apply(given, signal)
    assert torch.equal(closed.context[:, length:], sentence)
    assert closed.context_weight[:, :length].unique().tolist() == [0]
    injector.alpha_obj.fill_(0.5)
    added = (injector.apply(given, signal).context[:, length:] - sentence) / 0.5
    torch.testing.assert_close(added[:, 1], signal.tokens[:, 0])
    torch.testing.assert_close(added[:, 3], (signal.tokens[:, 2] + signal.tokens[:, 4]) / 2)
    untouched = [place for place in range(length) if place not in (1, 3)]
    assert added[:, untouched].abs().max() < 1e-5
    assert injector.figures() == {"gate": 0.5}


def test_the_gate_gets_a_gradient_at_the_start(base) -> None:
    injector = PromptTokenInjector(place="add")
    base.denoise(injector.apply(inputs(base), with_sentence(base, [(0, 1)]))).square().sum().backward()
    assert injector.alpha_obj.grad.abs().item() > 0


def test_an_alignment_beyond_the_prompt_or_none_is_refused(base) -> None:
    injector, given = PromptTokenInjector(place="add"), inputs(base)
    length = given.context.shape[1]
    with pytest.raises(InputError, match=f"to {length} tokens of the prompt, got one of 6 to {length + 3}"):
        injector.apply(given, with_sentence(base, [(0, length + 2)], length + 3))
    with pytest.raises(InputError, match="not aligned to words"):
        injector.apply(given, tokens(base))
    parts = PromptTokenConfig(place="add"), SentenceConfig()
    with pytest.raises(ValueError, match=r"injector.place: 'add' needs tokens that are aligned to words"):
        check_signal("conditions.0", *reversed(parts))
