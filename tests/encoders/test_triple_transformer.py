"""The triple transformer: what it tells apart, what it does not, and where it adds itself to a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graphcond.encoders import TripleTransformer, TripleTransformerConfig
from graphcond.encoders.triple_transformer import ITEM_KINDS, items_of, mean_attribute
from graphcond.scene_graph import SceneGraph
from graphcond.signals import GraphTokens, TextTokens
from tests.builders import small_base
from tests.scene_batches import EMPTY, LOOSE, PAIR, PARK, WORD_WIDTH, embedding, features_of, reordered

TEXT = TextTokens(torch.zeros(1, 1, dtype=torch.long), torch.zeros(1, 1, 8))


@pytest.fixture(scope="module")
def base(sd_folder: Path):
    return small_base(sd_folder)


def build(base, **settings) -> TripleTransformer:
    torch.manual_seed(0)
    config = TripleTransformerConfig(**{"node_width": 32, "layers": 2, "triples": 8} | settings)
    return config.build(feature_width=WORD_WIDTH, base=base)


def of(encoder: TripleTransformer, *graphs: SceneGraph, **padding: int) -> GraphTokens:
    return encoder(features_of(graphs, **padding), TEXT)


def embedded(encoder: TripleTransformer, *graphs: SceneGraph) -> torch.Tensor:
    return encoder.embed_scenes(features_of(graphs))


def kinds(graph: SceneGraph, most: int = 99) -> list[str]:
    items = items_of(features_of([graph, PARK]), most)
    return [ITEM_KINDS[kind] for kind in items.kinds[0][items.present[0]].tolist()]


def test_relations_come_before_attributes_before_lone_objects() -> None:
    graph = SceneGraph(("a", "b", "c"), ((0, "near", 1),), (("red",), (), ()))
    assert kinds(graph) == ["relation", "attribute", "object"]
    assert kinds(graph, most=1) == ["relation"]
    assert kinds(LOOSE) == ["object", "object"]
    assert kinds(EMPTY) == []


def test_attributes_are_averaged_for_each_object() -> None:
    found = mean_attribute(features_of([PARK]))[0]
    assert torch.allclose(found[3], (embedding("green") + embedding("small")) / 2, atol=1e-6)
    assert torch.allclose(found[0], embedding("red"), atol=1e-6)
    assert bool((found[2] == 0).all())


def test_one_token_for_each_triple_and_one_for_the_scene(base) -> None:
    tokens = of(build(base), PARK, PAIR, LOOSE, EMPTY)
    assert tokens.present.sum(1).tolist() == [1 + 3 + 4, 1 + 3, 1 + 2, 0]
    assert tokens.tokens.shape[-1] == base.facts.token_width
    assert bool(tokens.tokens.isfinite().all())


def test_only_so_many_triples_are_read(base) -> None:
    assert of(build(base, triples=2), PARK).tokens.shape[1] == 3


@pytest.mark.parametrize(
    "other",
    [
        SceneGraph(PAIR.objects, ((1, "left of", 0),), PAIR.attributes),
        SceneGraph(PAIR.objects, PAIR.relationships, (("blue",), ("red",))),
        SceneGraph(PAIR.objects, ((0, "above", 1),), PAIR.attributes),
    ],
    ids=["subject and object swapped", "attributes swapped", "another relation"],
)
@torch.no_grad()
def test_other_meanings_have_other_embeddings(base, other: SceneGraph) -> None:
    one, swapped = embedded(build(base), PAIR, other)
    assert (one - swapped).abs().max() > 1e-3


@torch.no_grad()
def test_which_of_two_circles_lies_above_is_told(base) -> None:
    colors = (("red",), ("blue",))
    one, other = (SceneGraph(("circle", "circle"), ((a, "above", b),), colors) for a, b in ((0, 1), (1, 0)))
    first, second = embedded(build(base), one, other)
    assert (first - second).abs().max() > 1e-3


@torch.no_grad()
def test_order_padding_and_other_scenes_do_not_matter(base) -> None:
    encoder = build(base)
    alone = embedded(encoder, PARK)[0]
    assert torch.allclose(embedded(encoder, reordered(PARK, [2, 0, 3, 1]))[0], alone, atol=1e-5)
    padded = features_of([PAIR, PARK], nodes=4, triples=5)
    assert torch.allclose(encoder.embed_scenes(padded)[1], alone, atol=1e-5)


@torch.no_grad()
def test_tokens_of_triples_are_a_set(base) -> None:
    encoder = build(base)
    found = [of(encoder, graph) for graph in (PARK, reordered(PARK, [2, 0, 3, 1]))]
    one, other = (tokens.tokens[tokens.present].sum(0) for tokens in found)
    assert torch.allclose(one, other, atol=1e-4)


@torch.no_grad()
def test_added_to_the_sentence(base) -> None:
    """The sentence's hidden states, all moved by one vector that the graph decides."""
    encoder = build(base, added_to="text")
    tokens = of(encoder, PAIR, EMPTY)
    hidden = base.encode_prompt(features_of([PAIR, EMPTY]).sentences).hidden
    moved = tokens.tokens[0] - hidden[0]
    assert torch.allclose(moved, moved[:1].expand_as(moved), atol=1e-5)
    assert moved.abs().max() > 1e-3
    assert tokens.present.all(1).tolist() == [True, False]
    assert not bool(tokens.present[1].any())


@torch.no_grad()
def test_weight_zero_is_the_sentence_alone(base) -> None:
    tokens = of(build(base, added_to="text", graph_weight=0.0), PAIR)
    assert torch.equal(tokens.tokens, base.encode_prompt(features_of([PAIR]).sentences).hidden)


def test_the_bases_text_encoder_is_no_part_of_it(base) -> None:
    assert set(build(base, added_to="text").state_dict()) == set(build(base).state_dict())


def test_every_parameter_gets_a_gradient(base) -> None:
    encoder = build(base)
    of(encoder, PARK, LOOSE).tokens.square().sum().backward()
    assert not [name for name, p in encoder.named_parameters() if p.grad is None]


def test_scenes_that_were_dropped_are_hidden(base) -> None:
    dropped = features_of([PARK, PAIR]).without(torch.tensor([True, False]))
    tokens = build(base)(dropped, TEXT)
    assert tokens.has_graph.tolist() == [False, True]


def test_heads_that_do_not_divide_the_width() -> None:
    with pytest.raises(ValueError, match="heads: 5 do not divide node_width 32"):
        TripleTransformerConfig(node_width=32, heads=5)
