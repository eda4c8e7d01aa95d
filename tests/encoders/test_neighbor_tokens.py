"""Graph networks over neighbors: the structure that they read, in whatever order and padding it comes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.context import NeighborFeatures, NeighborStructure
from graphcond.encoders import ENCODERS, NeighborTokens
from graphcond.encoders.neighbor_tokens import star_of
from graphcond.signals import TextTokens
from tests.builders import FactsOnly

WIDTH = 6
NAMES = ("cites", "praises")
KINDS = ["triple_gcn", "gcn", "sage", "gat", "pyg"]
TEXT = TextTokens(torch.zeros(2, 3, dtype=torch.long), torch.zeros(2, 3, 32))

quickly = settings(max_examples=20, deadline=None)
every_kind = pytest.mark.parametrize("kind", KINDS)


@cache
def encoder(kind: str, **changes: Any) -> NeighborTokens:
    """An encoder whose parts that start at zero have learned something."""
    torch.manual_seed(0)
    config = ENCODERS[kind](
        **{"over": "neighbors", "node_width": 16, "layers": 2, "relations": NAMES} | changes
    )
    made = config.build(feature_width=WIDTH, base=FactsOnly())
    with torch.no_grad():
        for parameter in made.read.parameters():
            parameter.add_(torch.randn(parameter.shape))
    return made


def graphs(seed: int, neighbors: int = 4, *, rows: int = 2) -> NeighborFeatures:
    """Random neighbors, of which some are absent, with random edges of three sorts."""
    generator = torch.Generator().manual_seed(seed)
    present = torch.rand(rows, neighbors, generator=generator) < 0.7
    relations = torch.randint(4, (rows, neighbors + 1, neighbors + 1), generator=generator)
    relations[:, torch.arange(neighbors + 1), torch.arange(neighbors + 1)] = 0
    linked = relations > 0
    scores = torch.rand(rows, neighbors, generator=generator)
    return NeighborFeatures(
        torch.randn(rows, neighbors, WIDTH, generator=generator),
        present,
        relation_names=NAMES,
        structure=NeighborStructure(scores, linked, relations % 3),
        target=torch.randn(rows, WIDTH, generator=generator),
    )


def placed(known: NeighborStructure, order: torch.Tensor) -> NeighborStructure:
    """The neighbors in another order, or some of them."""
    places = torch.cat([torch.zeros(1, dtype=torch.long), 1 + order])
    relations = None if known.relations is None else known.relations[:, places][:, :, places]
    return NeighborStructure(known.scores[:, order], known.linked[:, places][:, :, places], relations)


def reordered(context: NeighborFeatures, order: torch.Tensor) -> NeighborFeatures:
    assert context.structure is not None
    return replace(
        context,
        embeddings=context.embeddings[:, order],
        present=context.present[:, order],
        structure=placed(context.structure, order),
    )


@every_kind
@quickly
@given(seed=st.integers(0, 10**6), order=st.permutations(range(4)))
@torch.no_grad()
def test_the_order_of_neighbors_says_nothing(kind: str, seed: int, order: list[int]) -> None:
    context, turned = graphs(seed), torch.tensor(order)
    one, other = encoder(kind)(context, TEXT), encoder(kind)(reordered(context, turned), TEXT)
    places = torch.cat([torch.zeros(1, dtype=torch.long), 1 + turned])
    assert torch.equal(one.present[:, places], other.present)
    there = other.present
    assert torch.allclose(one.tokens[:, places][there], other.tokens[there], atol=1e-5)


@every_kind
@quickly
@given(seed=st.integers(0, 10**6), more=st.integers(1, 3))
@torch.no_grad()
def test_padding_says_nothing(kind: str, seed: int, more: int) -> None:
    context = graphs(seed, 3 + more)
    context.present[:, 3:] = False
    short = reordered(context, torch.arange(3))
    one, other = encoder(kind)(short, TEXT), encoder(kind)(context, TEXT)
    assert not other.present[:, 4:].any()
    there = one.present
    assert torch.equal(there, other.present[:, :4])
    assert torch.allclose(one.tokens[there], other.tokens[:, :4][there], atol=1e-5)


@every_kind
@torch.no_grad()
def test_an_edge_a_relation_a_score_and_the_targets_text_matter(kind: str) -> None:
    context = replace(graphs(1), present=torch.ones(2, 4, dtype=torch.bool))
    known = context.structure
    assert known is not None
    assert known.relations is not None
    linked, relations = known.linked.clone(), known.relations.clone()
    linked[:, 1, 2], linked[:, 2, 1] = ~linked[:, 1, 2], ~linked[:, 2, 1]
    relations[known.linked] = (relations[known.linked] + 1) % 3
    reads_text = encoder(kind, target_text=True)
    for changed in (
        {"structure": replace(known, linked=linked)},
        {"structure": replace(known, relations=relations)},
        {"structure": replace(known, scores=known.scores + 1)},
        {"target": -context.target},
    ):
        one, other = (reads_text(given, TEXT).tokens for given in (context, replace(context, **changed)))
        assert (one - other).abs().max() > 1e-4, list(changed)
    without = [
        encoder(kind)(given, TEXT).tokens for given in (context, replace(context, target=-context.target))
    ]
    assert torch.equal(*without)


@every_kind
@torch.no_grad()
def test_relations_count_by_their_names(kind: str) -> None:
    context = replace(graphs(2), present=torch.ones(2, 4, dtype=torch.bool))
    known = context.structure
    assert known is not None
    assert known.relations is not None
    renumbered = replace(known, relations=torch.tensor([0, 2, 1])[known.relations])
    other = replace(context, structure=renumbered, relation_names=NAMES[::-1])
    assert torch.allclose(encoder(kind)(context, TEXT).tokens, encoder(kind)(other, TEXT).tokens, atol=1e-5)


@every_kind
@torch.no_grad()
def test_pictures_given_by_hand_are_read_as_a_star(kind: str) -> None:
    relations = torch.tensor([[1, 2, 0, 1], [0, 0, 0, 2]])
    context = replace(graphs(3), structure=None, relations=relations).masked()
    star = star_of(context)
    assert star.hops[context.present].tolist() == [1] * int(context.present.sum())
    known = replace(context, structure=star)
    assert torch.equal(encoder(kind)(context, TEXT).tokens, encoder(kind)(known, TEXT).tokens)
    other = replace(context, relations=torch.zeros_like(relations))
    assert not torch.equal(encoder(kind)(context, TEXT).tokens, encoder(kind)(other, TEXT).tokens)
