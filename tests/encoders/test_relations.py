"""Encoders that read relations: by name, from zero on."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from graphcond.context import NeighborFeatures
from graphcond.encoders import ENCODERS
from graphcond.encoders.relations import RelationEmbedding
from graphcond.errors import InputError
from tests.builders import FEATURE_WIDTH, small_base, some_features

every_kind = pytest.mark.parametrize("kind", ["graph_qformer", "neighbor_mean"])
IDS = torch.tensor([[0, 1, 2]])


@pytest.fixture(scope="module")
def base(sd_folder: Path):
    return small_base(sd_folder)


def related(*names: str, ids: torch.Tensor = IDS) -> NeighborFeatures:
    return replace(some_features(1), relations=ids, relation_names=names)


def built(kind: str, base: Any, **settings: Any) -> Any:
    torch.manual_seed(0)
    if kind == "graph_qformer":
        settings = {"zero_start": False, **settings}
    return ENCODERS[kind](**settings).build(feature_width=FEATURE_WIDTH, base=base)


def learned(encoder: Any) -> Any:
    """As if training had told the relations apart."""
    table = encoder.relations.table.weight
    with torch.no_grad():
        table[1:] = torch.randn(table[1:].shape, generator=torch.Generator().manual_seed(1))
    return encoder


@every_kind
@torch.no_grad()
def test_it_starts_as_the_encoder_without_relations(kind: str, base) -> None:
    without, with_ = built(kind, base), built(kind, base, relations=["cites", "praises"])
    assert set(with_.state_dict()) - set(without.state_dict()) == {"relations.table.weight"}
    text, features = base.encode_prompt(["a star"]), related("cites", "praises")
    assert torch.equal(without(features, text).tokens, with_(features, text).tokens)


@every_kind
@torch.no_grad()
def test_relations_count_by_their_names(kind: str, base) -> None:
    encoder, text = learned(built(kind, base, relations=["cites", "praises"])), base.encode_prompt(["a star"])
    tokens = encoder(related("cites", "praises"), text).tokens
    renumbered = encoder(related("praises", "cites", ids=torch.tensor([[0, 2, 1]])), text).tokens
    swapped = encoder(related("praises", "cites"), text).tokens
    unknown = encoder(some_features(1), text).tokens
    assert torch.equal(tokens, renumbered)
    assert (tokens - swapped).abs().max() > 1e-3
    assert (tokens - unknown).abs().max() > 1e-3


@torch.no_grad()
def test_a_relation_that_it_does_not_know_counts_as_none_and_is_named() -> None:
    embedding = RelationEmbedding(("cites",), 4)
    embedding.table.weight[1:] = 1
    with pytest.warns(UserWarning, match=r"does not know.*: mocks \(it knows cites\)"):
        vectors = embedding(related("mocks", "cites"))
    assert vectors[0, :, 0].tolist() == [0, 0, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not embedding(some_features(2)).any()


def test_no_relation_never_learns_anything() -> None:
    embedding = RelationEmbedding(("cites", "praises"), 4)
    embedding(related("cites", "praises", ids=torch.tensor([[0, 1, 1]]))).sum().backward()
    assert embedding.table.weight.grad is not None
    assert embedding.table.weight.grad[:, 0].tolist() == [0, 2, 0]


@every_kind
def test_names_are_needed_to_build(kind: str, base) -> None:
    with pytest.raises(
        InputError, match=r"encoder\.relations: the relations are those of the graph.*Name them"
    ):
        built(kind, base, relations=True)
    assert built(kind, base, relations=False).relations is None


@every_kind
@pytest.mark.parametrize("wrong", ["cites", [], ["cites", "cites"], [1], 1, None])
def test_other_settings_are_refused(kind: str, wrong: Any) -> None:
    with pytest.raises(ValidationError, match="write true, false, or a list"):
        ENCODERS[kind](relations=wrong)
