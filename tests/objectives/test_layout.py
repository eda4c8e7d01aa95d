"""The layout objective: its terms, what it learns, and what it says of boxes it is shown."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from graphcond.encoders import build_graph_network
from graphcond.encoders.layout import Layout
from graphcond.encoders.object_tokens import ObjectTokens
from graphcond.errors import InputError
from graphcond.objectives import LayoutObjectiveConfig, PretrainBatch
from graphcond.objectives.layout import overlap
from graphcond.scene_graph import Box, SceneGraph, iou
from tests.scene_batches import EMPTY, LOOSE, PAIR, WORD_WIDTH, context_of, features_of, random_graph

LEFT, RIGHT = (0.1, 0.4, 0.3, 0.6), (0.6, 0.4, 0.9, 0.7)
INNER, OUTER = (0.4, 0.4, 0.6, 0.6), (0.1, 0.1, 0.9, 0.9)


class Fixed(nn.Module):
    """An encoder that answers with given boxes."""

    def __init__(self, *boxes: tuple[float, ...]) -> None:
        super().__init__()
        self.boxes = nn.Parameter(torch.tensor([boxes]))

    def predicted_boxes(self, context) -> torch.Tensor:
        missing = context.nodes.shape[1] - self.boxes.shape[1]
        return torch.cat([self.boxes, self.boxes.new_zeros(1, missing, 4)], dim=1)


def batch_of(*graphs: SceneGraph) -> PretrainBatch:
    return PretrainBatch(features_of(graphs), context_of(graphs))


def pair(word: str = "left of", boxes=()) -> SceneGraph:
    return SceneGraph(("a", "b"), ((0, word, 1),), (), boxes)


def layout(**settings) -> Layout:
    torch.manual_seed(0)
    network = build_graph_network("triple_gcn", WORD_WIDTH, width=32, layers=2)
    return Layout(network, channels=4, size=8, **settings)


def score(encoder: nn.Module, *graphs: SceneGraph, **weights: float):
    return LayoutObjectiveConfig(**weights).build(encoder=encoder)(encoder, batch_of(*graphs))


def test_the_truth_costs_nothing() -> None:
    result = score(Fixed(LEFT, RIGHT), pair(boxes=(LEFT, RIGHT)))
    assert result.loss.item() == pytest.approx(0, abs=1e-6)
    assert result.figures["box_iou"] == pytest.approx(1)
    assert result.figures["relations"] == 1


def test_turned_around_every_term_speaks() -> None:
    figures = score(Fixed(RIGHT, LEFT), pair(boxes=(LEFT, RIGHT))).figures
    assert figures["relations"] == 0
    assert figures["box_iou"] == 0
    assert figures["relation"] > 0.3
    assert figures["box"] > 1


def test_without_boxes_the_relations_still_teach() -> None:
    encoder = Fixed(RIGHT, LEFT)
    result = score(encoder, pair())
    result.loss.backward()
    assert encoder.boxes.grad is not None
    assert encoder.boxes.grad.abs().sum() > 0
    assert "box_iou" not in result.figures


def test_overlap_costs_unless_stated_or_known() -> None:
    def cost(*graphs: SceneGraph) -> float:
        return score(Fixed(INNER, OUTER), *graphs).figures["overlap"]

    assert cost(pair("near")) == pytest.approx(1)
    assert cost(pair("inside")) == 0
    assert cost(pair("near", (INNER, OUTER))) == 0
    assert cost(pair("near", (LEFT, RIGHT))) == pytest.approx(1)


def test_attributes_are_no_objects() -> None:
    graph = SceneGraph(("a", "b"), ((0, "left of", 1),), (("red",), ("blue",)), (LEFT, RIGHT))
    assert score(Fixed(LEFT, RIGHT), graph).loss.item() == pytest.approx(0, abs=1e-6)


def test_weights_multiply_their_terms() -> None:
    graph = pair(boxes=(LEFT, RIGHT))
    only = {"box": 0.0, "mask": 0.0, "overlap": 0.0, "relation": 3.0}
    result = score(Fixed(RIGHT, LEFT), graph, **only)
    assert result.loss.item() == pytest.approx(3 * result.figures["relation"], rel=1e-5)


def test_masks_are_taught_where_known() -> None:
    graph = random_graph(np.random.default_rng(0), 3)
    unknown = SceneGraph(graph.objects, graph.relationships, graph.attributes, graph.boxes)
    assert score(layout(), graph).figures["mask"] == pytest.approx(0.69, abs=0.1)
    assert score(layout(), unknown).figures["mask"] == 0
    encoder = layout()
    score(encoder, graph).loss.backward()
    assert encoder.mask_head.start.weight.grad is not None


def test_nothing_known_is_no_error() -> None:
    result = score(layout(), LOOSE, EMPTY)
    result.loss.backward()
    assert np.isfinite(result.loss.item())
    assert np.isfinite(score(layout(), EMPTY).loss.item())


def test_token_encoders_with_boxes_learn_too() -> None:
    torch.manual_seed(0)
    network = build_graph_network("triple_gcn", WORD_WIDTH, width=16, layers=1)
    encoder = ObjectTokens(network, token_width=8, predict_boxes=True)
    score(encoder, random_graph(np.random.default_rng(0), 3)).loss.backward()
    assert all(p.grad is not None for p in encoder.box_predictor.parameters())


def test_an_encoder_without_boxes_is_refused() -> None:
    with pytest.raises(InputError, match=r"'layout' cannot train a Linear, which has no predicted_boxes\(\)"):
        LayoutObjectiveConfig().build(encoder=nn.Linear(2, 2))


def test_what_makes_the_signal_is_left_to_the_main_training() -> None:
    encoder = layout()
    score(encoder, random_graph(np.random.default_rng(0), 3)).loss.backward()
    left = {name.partition(".")[0] for name, p in encoder.named_parameters() if p.grad is None}
    assert left == {"network", "out"}


def test_the_words_must_be_there() -> None:
    with pytest.raises(ValueError, match="the batch lacks scenes"):
        LayoutObjectiveConfig().build(encoder=layout())(layout(), PretrainBatch(features_of([PAIR])))


def test_it_learns_to_keep_relations_of_graphs_it_never_saw() -> None:
    rng = np.random.default_rng(0)
    seen = [random_graph(rng, int(rng.integers(2, 4))) for _ in range(256)]
    unseen = [random_graph(rng, int(rng.integers(2, 4))) for _ in range(64)]
    encoder = layout()
    objective = LayoutObjectiveConfig().build(encoder=encoder)
    before = objective(encoder, batch_of(*unseen)).figures["relations"]
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=5e-3)
    batches = [batch_of(*seen[start : start + 64]) for start in range(0, 256, 64)]
    for step in range(24):
        optimizer.zero_grad()
        objective(encoder, batches[step % 4]).loss.backward()
        optimizer.step()
    after = objective(encoder, batch_of(*unseen)).figures["relations"]
    assert before < 0.6
    assert after > 0.75


def test_iou_is_that_of_the_scene_graphs() -> None:
    rng = np.random.default_rng(0)
    low, size = rng.uniform(0, 0.5, (2, 20, 2)), rng.uniform(0.1, 0.5, (2, 20, 2))
    one, other = torch.tensor(np.concatenate([low, low + size], axis=-1))
    found = overlap(one, other)
    slow = [iou(Box(*a), Box(*b)) for a, b in zip(one.tolist(), other.tolist(), strict=True)]
    assert np.allclose(found.iou, slow)
    assert bool((found.giou <= found.iou + 1e-9).all())
