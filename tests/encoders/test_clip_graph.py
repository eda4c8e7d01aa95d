"""Tokens of objects with one label, and what tells them apart."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from graphcond.encoders import ClipGraph, build_graph_network
from graphcond.scene_graph import SceneGraph
from graphcond.signals import TextTokens
from tests.scene_batches import EMPTY, WORD_WIDTH, features_of

TWO = SceneGraph(("circle", "circle"), ((0, "left of", 1),), (("red",), ("blue",)))


def encoder(*, node_vectors: bool = True) -> ClipGraph:
    torch.manual_seed(0)
    network = build_graph_network("triple_gcn", WORD_WIDTH, width=16, layers=2)
    return ClipGraph(network, feature_width=WORD_WIDTH, token_width=8, node_vectors=node_vectors)


@pytest.mark.parametrize("node_vectors", [False, True])
@torch.no_grad()
def test_two_circles_differ_by_the_vectors_of_their_nodes_alone(node_vectors: bool) -> None:
    given = encoder(node_vectors=node_vectors)(
        features_of([TWO]), TextTokens(torch.zeros(1, 1).long(), torch.zeros(1, 1, 8))
    )
    assert given.present.tolist() == [[True, True, True]]
    assert given.boxes is None
    _, one, other = given.tokens[0]
    assert torch.allclose(one, other, atol=1e-5) is not node_vectors


@torch.no_grad()
def test_embeddings_of_scenes_are_as_wide_as_clips_and_know_the_scene() -> None:
    reader = encoder()
    swapped = SceneGraph(TWO.objects, ((1, "left of", 0),), TWO.attributes)
    one, other, empty = F.normalize(reader.embed_scenes(features_of([TWO, swapped, EMPTY])), dim=-1)
    assert one.shape == (reader.embedding_width,) == (WORD_WIDTH,)
    assert not torch.allclose(one, other, atol=1e-4)
    assert bool(empty.isfinite().all())


@torch.no_grad()
def test_object_tokens_are_those_it_gives() -> None:
    reader, scene = encoder(), features_of([TWO])
    given = reader(scene, TextTokens(torch.zeros(1, 1).long(), torch.zeros(1, 1, 8)))
    assert torch.equal(reader.object_tokens(scene)[:, :2], given.tokens[:, 1:])
