"""The contrast of triples: its losses by hand, its masks, and that it learns which way round a scene is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from graphcond.encoders import TripleTransformer
from graphcond.errors import InputError
from graphcond.objectives import PretrainBatch, TripleContrast, TripleContrastConfig
from graphcond.scene_graph import SceneGraph
from tests.scene_batches import EMPTY, WORD_WIDTH, features_of

WIDTH = 16
SHAPES = ("circle", "square", "star", "tree")


def encoder() -> TripleTransformer:
    torch.manual_seed(0)
    return TripleTransformer(feature_width=WORD_WIDTH, token_width=8, width=32, layers=1, heads=2)


def ordered() -> tuple[list[SceneGraph], list[SceneGraph]]:
    """Every pair of shapes side by side, and the same the other way round."""
    pairs = [(a, b) for a in SHAPES for b in SHAPES if a != b]
    graphs = [SceneGraph(pair, ((0, "left of", 1),)) for pair in pairs]
    return graphs, [SceneGraph(pair, ((1, "left of", 0),)) for pair in pairs]


def batch() -> PretrainBatch:
    """Pictures know who is left; sentences are bags of words, which do not."""
    graphs, swapped = ordered()
    generator = torch.Generator().manual_seed(0)
    words = {shape: torch.randn(2, WIDTH, generator=generator) for shape in SHAPES}
    bags = torch.stack([words[g.objects[0]][0] + words[g.objects[1]][0] for g in graphs])
    order = torch.stack([words[g.objects[0]][1] - words[g.objects[1]][1] for g in graphs])
    return PretrainBatch(
        features_of(graphs),
        pictures=bags + order,
        texts=bags,
        negatives=features_of(swapped),
        negative_texts=bags,
        has_negative=torch.ones(len(graphs), dtype=torch.bool),
    )


def objective(**settings) -> TripleContrast:
    torch.manual_seed(1)
    return TripleContrastConfig(**settings).build(encoder=encoder(), picture_width=WIDTH)


@torch.no_grad()
def test_the_loss_by_hand() -> None:
    reader, rule, given = encoder(), objective(), batch()
    scenes = rule.scene_embedding(reader, given.context, given.texts)
    others = rule.scene_embedding(reader, given.negatives, given.negative_texts)
    pictures = F.normalize(given.pictures, dim=-1)
    total, count = 0.0, len(scenes)
    for i in range(count):
        own = float(pictures[i] @ scenes[i])
        total += max(0, 0.2 - own + max(float(pictures[i] @ scenes[j]) for j in range(count) if j != i))
        total += max(0, 0.2 - own + max(float(pictures[j] @ scenes[i]) for j in range(count) if j != i))
        total += 5 * max(0, 0.2 - own + float(pictures[i] @ others[i]))
    assert float(rule(reader, given).loss) == pytest.approx(total / count, rel=1e-4)


@torch.no_grad()
def test_scenes_have_length_one() -> None:
    given = batch()
    found = objective().scene_embedding(encoder(), given.context, given.texts)
    assert torch.allclose(found.norm(dim=-1), torch.ones(len(found)))


@torch.no_grad()
def test_weight_zero_is_the_sentence_alone() -> None:
    given = batch()
    found = objective(graph_weight=0.0).scene_embedding(encoder(), given.context, given.texts)
    assert torch.allclose(found, F.normalize(given.texts, dim=-1), atol=1e-6)


@torch.no_grad()
def test_scenes_without_a_swap_are_left_out() -> None:
    given = batch()
    half = torch.arange(12) < 6
    other = replace(given, has_negative=half, negative_texts=torch.where(half[:, None], given.texts, 1e3))
    same = replace(given, has_negative=half)
    assert torch.equal(objective()(encoder(), other).loss, objective()(encoder(), same).loss)
    none = objective()(encoder(), replace(given, has_negative=torch.zeros(12, dtype=torch.bool)))
    assert none.figures["swap"] == 0
    assert "own_over_swapped" not in none.figures


def test_empty_negatives_and_a_batch_of_one() -> None:
    one = torch.tensor([0])
    given = batch()
    alone = PretrainBatch(
        given.context.select(one),
        pictures=given.pictures[one],
        texts=given.texts[one],
        negatives=features_of([EMPTY]),
        negative_texts=given.texts[one],
        has_negative=torch.tensor([False]),
    )
    result = objective()(encoder(), alone)
    assert bool(torch.isfinite(result.loss))


def test_it_learns_which_way_round() -> None:
    reader, rule, given = encoder(), objective(), batch()
    before = rule(reader, given).figures
    optimizer = torch.optim.AdamW([*reader.parameters(), *rule.parameters()], lr=3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        rule(reader, given).loss.backward()
        optimizer.step()
    after = rule(reader, given).figures
    assert before["own_over_swapped"] < 0.9
    assert after["own_over_swapped"] > 0.95
    assert after["text_over_swapped"] == 0
    assert after["own_of_batch"] > before["own_of_batch"]


def test_everything_gets_a_gradient() -> None:
    reader, rule = encoder(), objective()
    rule(reader, batch()).loss.backward()
    assert all(p.grad is not None for p in [*reader.parameters(), *rule.parameters()])


def test_missing_parts_are_named() -> None:
    with pytest.raises(ValueError, match="the batch lacks texts, has_negative"):
        objective()(encoder(), replace(batch(), texts=None, has_negative=None))


def test_no_pictures_no_objective() -> None:
    with pytest.raises(InputError, match="needs CLIP embeddings"):
        TripleContrastConfig().build(encoder=encoder())
    with pytest.raises(InputError, match="cannot train a Linear"):
        TripleContrastConfig().build(encoder=nn.Linear(2, 2), picture_width=WIDTH)


def test_a_frozen_encoder_stays_as_it_is() -> None:
    """And lets gradients through to what stands behind it: only the objective's own part moves."""
    reader, rule = encoder().requires_grad_(False), objective()
    before = {name: value.clone() for name, value in reader.state_dict().items()}
    optimizer = torch.optim.AdamW([*reader.parameters(), *rule.parameters()], lr=0.1, weight_decay=0.5)
    start = rule.project.weight.clone()
    rule(reader, batch()).loss.backward()
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in reader.state_dict().items())
    assert not torch.equal(rule.project.weight, start)
