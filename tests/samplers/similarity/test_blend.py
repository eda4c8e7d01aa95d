from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from graphcond.attributed_graph import ABSENT, NodeEmbeddings
from graphcond.context import NeighborContext
from graphcond.errors import InputError
from graphcond.samplers import BlendSimilarity, SimilarityConfig, TextImageSimilarity
from graphcond.samplers.similarity.config import SIMILARITIES

EMBEDDINGS = NodeEmbeddings(
    pictures=np.array([[0, 0], [1, 0], [0, 1], [-1, 0]], np.float16),
    texts=np.array([[0, 7], [7, 0], [7, 0], [7, 0]], np.float16),
)


def candidates(target: int, *scores: float) -> NeighborContext:
    """Nodes 1, 2 and 3 with these scores, and a place that is empty."""
    return NeighborContext(
        np.array([target]), np.array([[1, 2, 3, ABSENT]]), np.array([[*scores, 0]], np.float32)
    )


def test_a_blend_weighs_pagerank_as_a_share_of_the_best() -> None:
    blend = BlendSimilarity(TextImageSimilarity(EMBEDDINGS), 0.25)
    scores = blend.scores(candidates(0, 0.008, 0.004, 0.001))
    np.testing.assert_allclose(scores, [[0.25, 0.75 + 0.125, 0.25 / 8, 0]])
    assert scores.dtype == np.float32


def test_a_blend_of_one_alone_is_that_one() -> None:
    simple, context = TextImageSimilarity(EMBEDDINGS), candidates(0, 0.008, 0.004, 0.001)
    np.testing.assert_array_equal(BlendSimilarity(simple, 0).scores(context), simple.scores(context))
    np.testing.assert_allclose(BlendSimilarity(simple, 1).scores(context), [[1, 0.5, 0.125, 0]])


def test_a_blend_does_not_depend_on_how_many_candidates_there_are() -> None:
    blend = BlendSimilarity(TextImageSimilarity(EMBEDDINGS), 0.25)
    many = candidates(0, 0.008, 0.004, 0.001)
    few = NeighborContext(many.targets, many.neighbors[:, :2], many.scores[:, :2])
    np.testing.assert_array_equal(blend.scores(few), blend.scores(many)[:, :2])


def test_a_blend_of_nobody_is_nothing() -> None:
    nobody = NeighborContext(np.array([0]), np.array([[ABSENT]]), np.zeros((1, 1), np.float32))
    blend = BlendSimilarity(TextImageSimilarity(EMBEDDINGS), 0.25)
    assert blend.scores(nobody).tolist() == [[0]]


def config(**fields: Any) -> Any:
    return TypeAdapter(SimilarityConfig).validate_python(fields)


def test_a_blend_is_configured_by_what_it_blends() -> None:
    blend = config(kind="blend", similarity={"kind": "text_text"}, pagerank=0.5)
    np.testing.assert_allclose(
        blend.build(EMBEDDINGS).scores(candidates(1, 1, 1, 1)), [[1, 1, 1, 0]]
    )  # all texts point east


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_the_weight_of_pagerank_is_a_share(weight: float) -> None:
    with pytest.raises(ValidationError, match="pagerank"):
        config(kind="blend", pagerank=weight)
    with pytest.raises(InputError, match=r"pagerank is .* from 0 to 1"):
        BlendSimilarity(TextImageSimilarity(EMBEDDINGS), weight)


def test_a_blend_of_blends_is_refused() -> None:
    with pytest.raises(ValidationError, match="similarity"):
        config(kind="blend", similarity={"kind": "blend"})


@pytest.mark.parametrize(
    ("kind", "embeddings", "problem"),
    [
        ("text_image", None, "no picture embeddings"),
        ("text_image", NodeEmbeddings(pictures=np.ones((2, 2))), "no text embeddings"),
        ("text_text", NodeEmbeddings(pictures=np.ones((2, 2))), "no text embeddings"),
        ("consensus", NodeEmbeddings(texts=np.ones((2, 2))), "no picture embeddings"),
        ("image_image", None, "no picture embeddings"),
        ("embedding", NodeEmbeddings(pictures=np.ones((2, 2))), "no precomputed embeddings"),
        ("blend", NodeEmbeddings(pictures=np.ones((2, 2))), "no text embeddings"),
    ],
)
def test_missing_embeddings_are_named(kind: str, embeddings: NodeEmbeddings | None, problem: str) -> None:
    with pytest.raises(InputError, match=f"{problem}.*ppr"):
        SIMILARITIES[kind]().build(embeddings)  # type: ignore[attr-defined]
