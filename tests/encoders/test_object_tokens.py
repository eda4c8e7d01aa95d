"""Tokens of objects: what all graph networks have in common, and their boxes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.encoders import ENCODERS, ObjectTokens
from graphcond.encoders.boxes import BoxHead
from graphcond.errors import InputError
from graphcond.scene_graph import SceneGraph
from graphcond.signals import TextTokens
from tests.builders import FEATURE_WIDTH, FactsOnly
from tests.scene_builders import CROWD, EMPTY, LOOPED, ODD, ONE, SHEEP, read_scenes, reordered, scene_graphs

KINDS = ["triple_gcn", "gcn", "sage", "gat"]
every_kind = pytest.mark.parametrize("kind", KINDS)
TEXT = TextTokens(torch.zeros(0, 1, dtype=torch.long), torch.zeros(0, 1, 32))


def build(kind: str, **settings: object) -> ObjectTokens:
    torch.manual_seed(0)
    backend = {"backend": "torch"} if kind == "gcn" else {}
    return ENCODERS[kind](node_width=16, **backend, **settings).build(
        feature_width=FEATURE_WIDTH, base=FactsOnly()
    )


ENCODERS_BUILT = {kind: build(kind, predict_boxes=True) for kind in KINDS}


@every_kind
def test_a_token_for_every_object_and_none_for_attributes(kind: str) -> None:
    tokens = build(kind)(read_scenes(SHEEP, EMPTY, ONE), TEXT)
    assert tokens.tokens.shape == (3, 3, 32)
    assert tokens.present.sum(1).tolist() == [3, 0, 1]
    assert tokens.boxed.tolist() == [[False, True, True], [False] * 3, [False] * 3]
    assert tokens.boxes[0, 2].tolist() == list(SHEEP.boxes[2])


@every_kind
def test_who_is_the_subject_matters(kind: str) -> None:
    there, back = (SceneGraph(["circle", "star"], [[a, "left of", b]]) for a, b in ((0, 1), (1, 0)))
    tokens = build(kind)(read_scenes(there, back), TEXT).tokens
    assert (tokens[0] - tokens[1]).abs().amax(-1).min() > 1e-3


@every_kind
@pytest.mark.parametrize(
    "changed",
    [
        SceneGraph(["sky", "grass", "sheep"], [[0, "above", 1], [2, "lying on", 1]], {2: ["white"]}),
        SceneGraph(["sky", "grass", "sheep"], [[0, "above", 1], [2, "standing on", 1]], {2: ["black"]}),
        SceneGraph(["sky", "grass", "goat"], [[0, "above", 1], [2, "standing on", 1]], {2: ["white"]}),
        SceneGraph(["sky", "grass", "sheep"], [[0, "above", 1]], {2: ["white"]}),
    ],
    ids=["predicate", "attribute", "label", "relation"],
)
def test_all_that_a_graph_says_is_heard(kind: str, changed: SceneGraph) -> None:
    plain = SceneGraph(["sky", "grass", "sheep"], [[0, "above", 1], [2, "standing on", 1]], {2: ["white"]})
    tokens = build(kind)(read_scenes(plain, changed), TEXT).tokens
    assert (tokens[0, 2] - tokens[1, 2]).abs().max() > 1e-3


@every_kind
@settings(max_examples=8, deadline=None)
@given(graph=scene_graphs(), data=st.data())
def test_objects_reordered_are_tokens_reordered(kind: str, graph: SceneGraph, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(graph))))
    encoder = ENCODERS_BUILT[kind]
    plain, other = (encoder(read_scenes(g), TEXT) for g in (graph, reordered(graph, order)))
    assert torch.allclose(plain.tokens[:, order], other.tokens, atol=1e-4)
    assert torch.allclose(plain.boxes[:, order], other.boxes, atol=1e-5)


@every_kind
@settings(max_examples=5, deadline=None)
@given(graphs=st.lists(scene_graphs(), min_size=1, max_size=4))
def test_a_scene_does_not_depend_on_its_batch(kind: str, graphs: list[SceneGraph]) -> None:
    encoder = ENCODERS_BUILT[kind]
    together = encoder(read_scenes(*graphs, CROWD), TEXT)
    for row, graph in enumerate(graphs):
        alone = encoder(read_scenes(graph), TEXT)
        assert together.present[row].sum() == len(graph)
        assert torch.allclose(together.tokens[row, : len(graph)], alone.tokens[0], atol=1e-4)


@every_kind
def test_what_stands_in_padding_is_not_read(kind: str) -> None:
    context = read_scenes(SHEEP, LOOPED, EMPTY)
    encoder = build(kind)
    clean = encoder(context, TEXT).tokens
    context.nodes[~context.present] = float("nan")
    context.predicates[~context.related] = float("nan")
    assert torch.equal(encoder(context, TEXT).tokens, clean)


@every_kind
def test_scenes_taken_away_are_empty(kind: str) -> None:
    tokens = build(kind)(read_scenes(SHEEP, ONE).without(torch.tensor([True, False])), TEXT)
    assert tokens.present.tolist() == [[False], [True]]
    assert not build(kind)(read_scenes(EMPTY, EMPTY), TEXT).has_graph.any()


@every_kind
def test_gradients_reach_everything_whatever_the_scenes(kind: str) -> None:
    for graphs in (ODD, [ONE], [EMPTY]):
        encoder = build(kind, predict_boxes=True)
        tokens = encoder(read_scenes(*graphs), TEXT)
        (tokens.tokens.pow(3).sum() + tokens.boxes.sum()).backward()
        assert [name for name, p in encoder.named_parameters() if p.grad is None] == []
        assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())


@every_kind
def test_under_autocast_and_in_half_precision(kind: str) -> None:
    encoder, context = build(kind, predict_boxes=True), read_scenes(*ODD)
    full = encoder(context, TEXT)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = encoder(context, TEXT)
    assert (mixed.tokens.float() - full.tokens).abs().max() < 0.3
    assert (mixed.boxes - full.boxes).abs().max() < 0.05
    mixed.tokens.float().sum().backward()


@every_kind
def test_given_boxes_win_over_predicted_ones(kind: str) -> None:
    encoder, context = build(kind, predict_boxes=True), read_scenes(SHEEP, ONE)
    tokens, predicted = encoder(context, TEXT), encoder.predicted_boxes(context)
    assert predicted.shape == (2, 6, 4)
    assert tokens.boxed.tolist() == tokens.present.tolist()
    assert torch.equal(tokens.boxes[0, 0], predicted[0, 0])
    assert tokens.boxes[0, 1].tolist() == list(SHEEP.boxes[1])


def test_a_network_without_a_box_head_says_so() -> None:
    with pytest.raises(InputError, match=r"encoder\.predict_boxes.*Set it to true"):
        build("sage").predicted_boxes(read_scenes(ONE))


def test_predicted_boxes_lie_in_the_picture_and_have_an_area() -> None:
    torch.manual_seed(0)
    boxes = BoxHead(8, 16)(torch.randn(200, 8) * 30)
    assert boxes.min() >= 0
    assert boxes.max() <= 1
    assert (boxes[:, 2:] >= boxes[:, :2]).all()


def test_heads_must_share_the_width() -> None:
    with pytest.raises(ValueError, match="not a multiple of 3 heads"):
        ENCODERS["gat"](node_width=16, heads=3)


@every_kind
def test_weights_do_not_depend_on_the_backend(kind: str, tmp_path: Path) -> None:
    names = build(kind).state_dict().keys()
    if kind == "gcn":
        other = ENCODERS[kind](node_width=16, backend="auto").build(
            feature_width=FEATURE_WIDTH, base=FactsOnly()
        )
        assert other.state_dict().keys() == names
    assert not [name for name in names if "lora_" in name]


@every_kind
def test_what_predicts_boxes_is_not_what_makes_tokens(kind: str) -> None:
    """A stage freezes what its objective reaches; the rest must suffice to teach tokens (decision 0011)."""
    encoder = build(kind, predict_boxes=True)
    encoder.predicted_boxes(read_scenes(SHEEP, ONE)).square().sum().backward()
    reached = {name.partition(".")[0] for name, p in encoder.named_parameters() if p.grad is not None}
    assert reached == {"box_predictor"}
