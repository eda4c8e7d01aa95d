"""The objective that teaches tokens the base's own words."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from graphcond.encoders import build_graph_network
from graphcond.encoders.object_tokens import ObjectTokens
from graphcond.errors import InputError
from graphcond.objectives import PhrasesObjectiveConfig, PretrainBatch
from tests.scene_batches import PAIR, PARK, WORD_WIDTH, features_of


class Fixed(nn.Module):
    """An encoder that answers with given tokens."""

    def __init__(self, tokens: torch.Tensor) -> None:
        super().__init__()
        self.tokens = nn.Parameter(tokens)

    def object_tokens(self, context) -> torch.Tensor:
        return self.tokens


def batch(*, phrased: bool = True) -> tuple[PretrainBatch, torch.Tensor]:
    context = features_of([PARK, PAIR])
    states = torch.randn(*context.present.shape, 6, generator=torch.Generator().manual_seed(0))
    return PretrainBatch(context, phrases=states, phrased=context.is_object & phrased), states


def score(encoder: nn.Module, given: PretrainBatch):
    return PhrasesObjectiveConfig().build(encoder=encoder)(encoder, given)


def test_the_states_themselves_cost_nothing_and_their_mean_explains_nothing() -> None:
    given, states = batch()
    result = score(Fixed(states), given)
    assert result.loss.item() == 0
    assert result.figures["explained_variance"] == pytest.approx(1)
    mean = states[given.phrased].mean(0).expand_as(states)
    result = score(Fixed(mean.clone()), given)
    assert result.figures["explained_variance"] == pytest.approx(0, abs=1e-5)
    assert result.loss.item() == pytest.approx(states[given.phrased].var(0, correction=0).mean().item())


def test_attributes_and_objects_without_a_phrase_do_not_count() -> None:
    given, states = batch()
    wrong = torch.where(given.phrased[..., None], states, 100.0)
    assert score(Fixed(wrong), given).loss.item() == 0
    given, states = batch(phrased=False)
    result = score(Fixed(states), given)
    result.loss.backward()
    assert result.loss.item() == 0
    assert result.figures == {}


def test_a_graph_network_learns_them() -> None:
    torch.manual_seed(0)
    given, _ = batch()
    encoder = ObjectTokens(build_graph_network("triple_gcn", WORD_WIDTH, width=32, layers=2), token_width=6)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-2)
    for _ in range(100):
        result = score(encoder, given)
        optimizer.zero_grad()
        result.loss.backward()
        optimizer.step()
    assert result.figures["explained_variance"] > 0.8


def test_an_encoder_without_tokens_of_objects_is_refused() -> None:
    with pytest.raises(InputError, match="has no object_tokens"):
        PhrasesObjectiveConfig().build(encoder=nn.Linear(1, 1))
