from __future__ import annotations

import numpy as np
import pytest

from graphcond.errors import InputError
from graphcond.samplers import (
    ConsensusSimilarity,
    SemanticPPRSampler,
    SemanticPPRSamplerConfig,
    TextImageSimilarity,
)
from graphcond.types import NodeEmbeddings
from tests.samplers.toy_graphs import toy_embeddings, toy_graph

# A star around 0 with a tail: 1 2 3 are near, 4 and 5 farther away.
GRAPH = toy_graph(6, [(0, 1), (0, 2), (0, 3), (3, 4), (4, 5)])
ANGLES = np.deg2rad([0, 80, 40, 60, 0, 0])
EMBEDDINGS = NodeEmbeddings(
    pictures=np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1), texts=np.tile([1.0, 0.0], (6, 1))
)
DRAWS = np.random.default_rng(0)


def test_pagerank_proposes_and_similarity_decides() -> None:
    sampler = SemanticPPRSampler(GRAPH, TextImageSimilarity(EMBEDDINGS), candidates=3, neighbors=2)
    context = sampler.sample(np.array([0]), DRAWS)
    assert context.neighbors.tolist() == [[2, 3]]  # not 4 and 5, which fit best but are far away
    np.testing.assert_allclose(context.scores, [np.cos(ANGLES[[2, 3]])], atol=1e-6)


def test_without_a_choice_to_make_it_is_pagerank_s_answer() -> None:
    sampler = SemanticPPRSampler(GRAPH, TextImageSimilarity(EMBEDDINGS), candidates=3, neighbors=5)
    assert sampler.sample(np.array([0]), DRAWS).neighbors.tolist() == [[2, 3, 1, -1, -1]]


def test_consensus_leaves_the_odd_one_out() -> None:
    pictures = np.array([[0, 0], [1, 0.1], [-1, 0.5], [1, 0], [1, -0.1], [1, 0]], np.float16)
    similarity = ConsensusSimilarity(NodeEmbeddings(pictures=pictures))
    chosen = SemanticPPRSampler(GRAPH, similarity, neighbors=4).sample(np.array([0]), DRAWS).neighbors
    assert set(chosen[0].tolist()) == {1, 3, 4, 5}


def test_equal_similarities_go_by_row() -> None:
    same = NodeEmbeddings(pictures=np.ones((6, 2)), texts=np.ones((6, 2)))
    chosen = SemanticPPRSampler(GRAPH, TextImageSimilarity(same), neighbors=3).sample(np.array([4]), DRAWS)
    assert chosen.neighbors.tolist() == [[0, 1, 2]]


def test_needs_embeddings() -> None:
    with pytest.raises(InputError, match="no picture embeddings"):
        SemanticPPRSamplerConfig().build(graph=GRAPH)


def test_refuses_embeddings_of_another_graph() -> None:
    with pytest.raises(InputError, match="6 embeddings for 3 nodes"):
        SemanticPPRSamplerConfig().build(graph=toy_graph(3), embeddings=toy_embeddings(GRAPH))
