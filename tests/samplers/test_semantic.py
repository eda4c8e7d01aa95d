from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from graphcond.attributed_graph import NodeEmbeddings
from graphcond.errors import InputError
from graphcond.samplers import (
    ConsensusSimilarity,
    SemanticSampler,
    SemanticSamplerConfig,
    TextImageSimilarity,
)
from graphcond.samplers import semantic as module
from graphcond.samplers.similarity.base import unit_rows
from tests.samplers.toy_graphs import toy_embeddings, toy_graph


def random_embeddings(nodes: int, width: int = 48) -> NodeEmbeddings:
    draws = np.random.default_rng(0)
    # Few distinct rows: many scores are equal.
    pictures, texts = draws.integers(-1, 2, (2, nodes // 4, width))[:, draws.integers(0, nodes // 4, nodes)]
    return NodeEmbeddings(pictures.astype(np.float16), texts.astype(np.float16))


@pytest.mark.parametrize("block", [37, 301, 8192])
def test_blocks_give_what_one_product_gives(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(module, "NODES_AT_ONCE", block)
    graph, embeddings = toy_graph(301), random_embeddings(301)
    assert embeddings.pictures is not None
    assert embeddings.texts is not None
    context = SemanticSampler(graph, TextImageSimilarity(embeddings), neighbors=9).sample(
        np.arange(150), np.random.default_rng(0)
    )
    cosines = unit_rows(embeddings.texts) @ unit_rows(embeddings.pictures).T
    np.fill_diagonal(cosines, -2)
    wanted = -np.sort(-cosines[:150], axis=1)[:, :9]
    np.testing.assert_allclose(context.scores, wanted, atol=1e-6)
    np.testing.assert_allclose(
        np.take_along_axis(cosines[:150], context.neighbors, 1), context.scores, atol=1e-6
    )


@pytest.mark.parametrize("nodes", [50, 301, 3000])
def test_the_batch_does_not_change_the_last_bit(nodes: int) -> None:
    sampler = SemanticSampler(toy_graph(nodes), TextImageSimilarity(random_embeddings(nodes)), neighbors=20)
    draws = np.random.default_rng(0)
    targets = draws.permutation(nodes)[:130]
    together = sampler.sample(targets, draws)
    for size in (1, 3, 65):
        part = sampler.sample(targets[:size][::-1], draws)
        np.testing.assert_array_equal(part.neighbors, together.neighbors[:size][::-1])
        np.testing.assert_array_equal(part.scores, together.scores[:size][::-1])


def test_edges_do_not_matter() -> None:
    embeddings = toy_embeddings(toy_graph(9))
    bare, dense = (
        SemanticSamplerConfig()
        .build(graph=toy_graph(9, edges), embeddings=embeddings)
        .sample(np.arange(9), np.random.default_rng(0))
        for edges in ([], [(0, node) for node in range(1, 9)])
    )
    np.testing.assert_array_equal(bare.neighbors, dense.neighbors)


def test_consensus_has_no_candidates_to_agree() -> None:
    with pytest.raises(ValidationError, match=r"has no candidates.*semantic_ppr"):
        SemanticSamplerConfig.model_validate({"similarity": {"kind": "consensus"}})
    graph = toy_graph(3)
    with pytest.raises(InputError, match=r"has no candidates.*semantic_ppr"):
        SemanticSampler(graph, ConsensusSimilarity(toy_embeddings(graph)))
