"""The triple transformer: what it tells apart, what it does not, and where it adds itself to a sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from graphcond.encoders import TripleTransformer, TripleTransformerConfig
from graphcond.encoders.triple_transformer import ITEM_KINDS, items_of, mean_attribute
from graphcond.errors import InputError
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


PLACED = {"tokens": "objects", "predict_boxes": True}


@torch.no_grad()
def test_a_token_and_a_place_for_each_object(base) -> None:
    encoder = build(base, **PLACED)
    context = features_of([PARK, PAIR, LOOSE, EMPTY])
    tokens = encoder(context, TEXT)
    assert tokens.present.sum(1).tolist() == [4, 2, 2, 0]
    assert torch.equal(tokens.boxed, tokens.present)
    assert torch.equal(tokens.boxes, encoder.predicted_boxes(context)[:, :4])
    known = replace(context, boxed=context.is_object, boxes=torch.full_like(context.boxes, 0.5))
    assert bool((encoder(known, TEXT).boxes[tokens.present] == 0.5).all())


@torch.no_grad()
def test_the_token_of_an_object_tells_its_own_side_of_a_relation(base) -> None:
    encoder = build(base, **PLACED)
    there, back = (SceneGraph(("cat", "cat"), ((a, "above", b),)) for a, b in ((0, 1), (1, 0)))
    one, other = of(encoder, there, back).tokens
    assert torch.allclose(one, other.flip(0), atol=1e-5)
    assert (one[0] - one[1]).abs().max() > 1e-3


@torch.no_grad()
def test_an_object_beyond_the_triples_that_are_read_has_its_words(base) -> None:
    tokens = of(build(base, tokens="objects", triples=1), SceneGraph(("cat", "dog", "cat", "cow")))
    assert bool(tokens.tokens.isfinite().all())
    assert (tokens.tokens[0, 1] - tokens.tokens[0, 3]).abs().max() > 1e-3


@torch.no_grad()
def test_the_words_of_an_object_have_its_box(base) -> None:
    encoder = build(base, added_to="text", predict_boxes=True)
    context = features_of([PAIR, EMPTY])
    tokens, placed = encoder(context, TEXT), encoder.predicted_boxes(context)
    spans = base.token_spans(context.sentences)[0]
    said = [context.sentences[0][start:end] for start, end in spans.tolist()]
    assert "".join(said).replace(" ", "") == context.sentences[0].replace(" ", "")
    for place, name in enumerate(("a red circle", "a blue square")):
        start = context.sentences[0].index(name)
        own = (spans[:, 0] >= start) & (spans[:, 1] <= start + len(name)) & (spans[:, 1] > 0)
        assert bool(own.any())
        assert bool(tokens.boxed[0, own].all())
        assert torch.equal(tokens.boxes[0, own], placed[0, place].expand(int(own.sum()), 4))
    left = context.sentences[0].index("left")
    predicate = (spans[:, 0] >= left) & (spans[:, 1] <= left + len("left of"))
    assert not bool(tokens.boxed[0, predicate].any())
    assert not bool(tokens.boxed[1].any())
    known = replace(context, boxed=context.is_object, boxes=torch.full_like(context.boxes, 0.5))
    again = encoder(known, TEXT)
    assert bool((again.boxes[again.boxed] == 0.5).all())


def test_what_pretrains_a_scenes_embedding_leaves_the_readout_and_the_boxes(base) -> None:
    encoder = build(base, **PLACED)
    encoder.embed_scenes(features_of([PARK, LOOSE])).square().sum().backward()
    untouched = {name.split(".")[0] for name, p in encoder.named_parameters() if p.grad is None}
    assert untouched == {"objects", "box_predictor"}


def test_older_weights_fit_the_transformer_without_a_readout(base) -> None:
    plain = set(build(base).state_dict())
    assert plain < set(build(base, **PLACED).state_dict())
    assert {name.split(".")[0] for name in plain} == {
        *("read_words", "read_attributes", "read_predicates", "kinds", "first", "norm", "transformer", "out")
    }


def test_no_boxes_without_a_predictor_and_no_objects_without_a_readout(base) -> None:
    with pytest.raises(InputError, match="predicts no boxes"):
        build(base, tokens="objects").predicted_boxes(features_of([PAIR]))
    with pytest.raises(InputError, match="no tokens of objects"):
        build(base).object_tokens(features_of([PAIR]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"predict_boxes": True}, "a triple has no place; set tokens: objects"),
        ({"tokens": "objects", "added_to": "text"}, "the sentence has its own tokens"),
        ({"tokens": "nodes"}, "'triples' or 'objects'"),
        ({"box_layers": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TripleTransformerConfig(**settings)


def test_heads_that_do_not_divide_the_width() -> None:
    with pytest.raises(ValueError, match="heads: 5 do not divide node_width 32"):
        TripleTransformerConfig(node_width=32, heads=5)
