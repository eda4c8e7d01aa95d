from __future__ import annotations

import numpy as np
import pytest

from graphcond.errors import InputError
from graphcond.samplers import (
    ConsensusSimilarity,
    EmbeddingSimilarity,
    ImageImageSimilarity,
    TextImageSimilarity,
)
from graphcond.samplers.ranking import Ranking
from graphcond.samplers.similarity import SIMILARITIES, check_rows, unit_rows
from graphcond.types import NodeEmbeddings

EAST, NORTH, WEST = [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]
NOTHING = [0.0, 0.0]
EMBEDDINGS = NodeEmbeddings(
    pictures=np.array([NOTHING, EAST, NORTH, WEST], np.float16),
    texts=np.array([NORTH, EAST, EAST, EAST], np.float16) * 7,
    extra=np.array([[1, 1, 0], [1, 1, 0], [0, 0, 2], [-1, -1, 0]]),
)


def ranking(*scores: float) -> Ranking:
    return Ranking(np.arange(1, 4), np.array(scores, np.float32))


def test_text_image_compares_the_target_s_text_with_pictures() -> None:
    scores = TextImageSimilarity(EMBEDDINGS).scores(0, ranking(1, 1, 1))
    assert scores.tolist() == [0, 1, 0]
    assert scores.dtype == np.float32


def test_consensus_weighs_candidates_by_their_scores() -> None:
    similarity = ConsensusSimilarity(EMBEDDINGS)
    scores = similarity.scores(0, ranking(3, 4, 0))
    np.testing.assert_allclose(scores, [0.6, 0.8, -0.6], atol=1e-6)


def test_consensus_does_not_let_longer_vectors_speak_louder() -> None:
    loud = NodeEmbeddings(pictures=np.array([NOTHING, [100.0, 0.0], NORTH, NORTH]))
    scores = ConsensusSimilarity(loud).scores(0, ranking(1, 1, 0))
    assert scores[0] == pytest.approx(scores[1])


def test_image_image_compares_pictures() -> None:
    assert ImageImageSimilarity(EMBEDDINGS).scores(1, ranking(1, 1, 1)).tolist() == [1, 0, -1]


def test_image_image_needs_the_target_s_picture() -> None:
    with pytest.raises(InputError, match=r"target 0 has no picture.*text_image"):
        ImageImageSimilarity(EMBEDDINGS).scores(0, ranking(1, 1, 1))


def test_embedding_compares_rows_of_any_embedding() -> None:
    scores = EmbeddingSimilarity(EMBEDDINGS).scores(0, ranking(1, 1, 1))
    np.testing.assert_allclose(scores, [1, 0, -1], atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "embeddings", "problem"),
    [
        ("text_image", None, "no picture embeddings"),
        ("text_image", NodeEmbeddings(pictures=np.ones((2, 2))), "no text embeddings"),
        ("consensus", NodeEmbeddings(texts=np.ones((2, 2))), "no picture embeddings"),
        ("image_image", None, "no picture embeddings"),
        ("embedding", NodeEmbeddings(pictures=np.ones((2, 2))), "no precomputed embeddings"),
    ],
)
def test_missing_embeddings_are_named(kind: str, embeddings: NodeEmbeddings | None, problem: str) -> None:
    with pytest.raises(InputError, match=f"{problem}.*ppr"):
        SIMILARITIES[kind]().build(embeddings)  # type: ignore[attr-defined]


def test_texts_and_pictures_must_share_a_space() -> None:
    with pytest.raises(InputError, match="texts are 3 wide and pictures 2"):
        TextImageSimilarity(NodeEmbeddings(pictures=np.ones((2, 2)), texts=np.ones((2, 3))))


def test_embeddings_of_another_graph_are_refused() -> None:
    with pytest.raises(InputError, match="4 embeddings for 5 nodes"):
        check_rows(TextImageSimilarity(EMBEDDINGS), 5)


def test_large_half_precision_vectors_do_not_overflow() -> None:
    rows = unit_rows(np.full((1, 4), 6e4, np.float16))
    np.testing.assert_allclose(rows, 0.5)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_embeddings_must_be_finite(wrong: float) -> None:
    pictures = np.ones((4, 2))
    pictures[2, 1] = wrong
    with pytest.raises(InputError, match="not finite"):
        ConsensusSimilarity(NodeEmbeddings(pictures=pictures)).scores(0, ranking(1, 1, 1))
