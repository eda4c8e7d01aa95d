from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from graphcond.attributed_graph import NodeEmbeddings
from graphcond.errors import InputError
from graphcond.samplers import (
    ConsensusSimilarity,
    SemanticPPRSampler,
    SemanticPPRSamplerConfig,
    TextImageSimilarity,
)
from graphcond.samplers import semantic_ppr as module
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


def test_diversity_trades_likeness_for_difference() -> None:
    angles = np.deg2rad([0, 10, 12, 60, 0, 0])
    embeddings = NodeEmbeddings(np.stack([np.cos(angles), np.sin(angles)], 1), EMBEDDINGS.texts)
    alike, mixed = (
        SemanticPPRSampler(
            GRAPH, TextImageSimilarity(embeddings), candidates=3, neighbors=2, diversity=diversity
        ).sample(np.array([0]), DRAWS)
        for diversity in (0, 0.6)
    )
    assert alike.neighbors.tolist() == [[1, 2]]
    assert mixed.neighbors.tolist() == [[1, 3]]
    np.testing.assert_allclose(
        mixed.scores,
        [[0.4 * np.cos(angles[1]) + 0.6, 0.4 * np.cos(angles[3]) - 0.6 * np.cos(np.deg2rad(50))]],
        atol=1e-6,
    )


@pytest.mark.parametrize("diversity", [-0.1, 1.1, float("nan")])
def test_diversity_is_a_share(diversity: float) -> None:
    with pytest.raises(InputError, match=r"diversity: expected (greater|less|a finite)"):
        SemanticPPRSampler(GRAPH, TextImageSimilarity(EMBEDDINGS), diversity=diversity)
    with pytest.raises(ValidationError, match="diversity"):
        SemanticPPRSamplerConfig(diversity=diversity)


@pytest.mark.parametrize("diversity", [0, 0.5, 1])
def test_asking_for_more_than_there_is(diversity: float) -> None:
    sampler = SemanticPPRSampler(
        GRAPH, TextImageSimilarity(EMBEDDINGS), candidates=10**9, neighbors=9, diversity=diversity
    )
    context = sampler.sample(np.array([0, 5]), DRAWS)
    assert context.present.sum(axis=1).tolist() == [5, 5]
    assert (context.scores[~context.present] == 0).all()


@pytest.mark.parametrize("diversity", [0, 0.5])
@pytest.mark.parametrize("threads", [1, 3])
def test_neither_portions_nor_threads_matter(
    monkeypatch: pytest.MonkeyPatch, diversity: float, threads: int
) -> None:
    graph = toy_graph(60, [(node, node * 7 % 60) for node in range(60)])
    similarity, targets = TextImageSimilarity(toy_embeddings(graph)), np.arange(60)[::-1]
    choices: dict[str, Any] = {"candidates": 20, "diversity": diversity, "method": "exact"}
    whole = SemanticPPRSampler(graph, similarity, **choices).sample(targets, DRAWS)
    monkeypatch.setattr(module, "CANDIDATES_AT_ONCE", 50)
    portions = SemanticPPRSampler(graph, similarity, **choices, threads=threads).sample(targets, DRAWS)
    np.testing.assert_array_equal(whole.neighbors, portions.neighbors)
    np.testing.assert_array_equal(whole.scores, portions.scores)


def test_zero_vectors_fit_nobody_and_go_by_row() -> None:
    nothing = NodeEmbeddings(np.zeros((6, 2), np.float16), np.zeros((6, 2), np.float16))
    context = SemanticPPRSampler(GRAPH, TextImageSimilarity(nothing), neighbors=3).sample(
        np.array([4]), DRAWS
    )
    assert context.neighbors.tolist() == [[0, 1, 2]]
    assert not context.scores.any()


def test_embeddings_must_be_finite() -> None:
    pictures = np.where(np.arange(6)[:, None] == 2, np.nan, 1.0) * np.ones(2)
    sampler = SemanticPPRSampler(GRAPH, TextImageSimilarity(NodeEmbeddings(pictures, EMBEDDINGS.texts)))
    with pytest.raises(InputError, match="not finite"):
        sampler.sample(np.array([0]), DRAWS)


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
