from __future__ import annotations

import numpy as np
import pytest

from graphcond.attributed_graph import ABSENT, NodeEmbeddings
from graphcond.context import NeighborContext
from graphcond.errors import InputError
from graphcond.samplers import (
    ConsensusSimilarity,
    EmbeddingSimilarity,
    ImageImageSimilarity,
    Ranking,
    TextImageSimilarity,
    TextTextSimilarity,
)
from tests.typecheck import unchecked

EAST, NORTH, WEST = [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]
NOTHING = [0.0, 0.0]
EMBEDDINGS = NodeEmbeddings(
    pictures=np.array([NOTHING, EAST, NORTH, WEST], np.float16),
    texts=np.array([NORTH, EAST, EAST, EAST], np.float16) * 7,
    extra=np.array([[1, 1, 0], [1, 1, 0], [0, 0, 2], [-1, -1, 0]], np.float32),
)


def candidates(target: int, *scores: float) -> NeighborContext:
    """Nodes 1, 2 and 3 with these scores, and a place that is empty."""
    return NeighborContext(
        np.array([target]), np.array([[1, 2, 3, ABSENT]]), np.array([[*scores, 0]], np.float32)
    )


def test_text_image_compares_the_target_s_text_with_pictures() -> None:
    assert TextImageSimilarity(EMBEDDINGS).scores(candidates(0, 1, 1, 1)).tolist() == [[0, 1, 0, 0]]


def test_text_text_reads_no_picture() -> None:
    texts = NodeEmbeddings(texts=np.array([NORTH, EAST, NORTH, WEST], np.float16) * 7)
    assert TextTextSimilarity(texts).scores(candidates(0, 1, 1, 1)).tolist() == [[0, 1, 0, 0]]


def test_consensus_weighs_candidates_by_their_scores() -> None:
    scores = ConsensusSimilarity(EMBEDDINGS).scores(candidates(0, 3, 4, 0))
    np.testing.assert_allclose(scores, [[0.6, 0.8, -0.6, 0]], atol=1e-6)


def test_consensus_s_query_is_the_weighted_sum_that_its_scores_are_made_from() -> None:
    consensus, context = ConsensusSimilarity(EMBEDDINGS), candidates(0, 3, 4, 0)
    query = consensus.query(0, Ranking(context.neighbors[0, :3], context.scores[0, :3]))
    np.testing.assert_allclose(query, [3, 4])


def test_consensus_does_not_let_longer_vectors_speak_louder() -> None:
    loud = NodeEmbeddings(pictures=np.array([NOTHING, [100.0, 0.0], NORTH, NORTH]))
    scores = ConsensusSimilarity(loud).scores(candidates(0, 1, 1, 0))
    assert scores[0, 0] == pytest.approx(scores[0, 1])


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_consensus_needs_finite_pictures(wrong: float) -> None:
    pictures = np.ones((4, 2))
    pictures[2, 1] = wrong
    with pytest.raises(InputError, match="not finite"):
        ConsensusSimilarity(NodeEmbeddings(pictures=pictures)).scores(candidates(0, 1, 1, 1))


def test_image_image_compares_pictures() -> None:
    assert ImageImageSimilarity(EMBEDDINGS).scores(candidates(1, 1, 1, 1)).tolist() == [[1, 0, -1, 0]]


def test_image_image_needs_the_target_s_picture() -> None:
    with pytest.raises(InputError, match=r"target 0 has no picture.*text_image"):
        ImageImageSimilarity(EMBEDDINGS).scores(candidates(0, 1, 1, 1))


def test_embedding_compares_rows_of_any_embedding() -> None:
    scores = EmbeddingSimilarity(EMBEDDINGS).scores(candidates(0, 1, 1, 1))
    np.testing.assert_allclose(scores, [[1, 0, -1, 0]], atol=1e-6)


def test_texts_and_pictures_must_share_a_space() -> None:
    with unchecked(), pytest.raises(InputError, match="texts are 3 wide and pictures 2"):
        TextImageSimilarity(NodeEmbeddings(pictures=np.ones((2, 2)), texts=np.ones((2, 3))))


def test_texts_and_pictures_must_be_of_the_same_nodes() -> None:
    with unchecked(), pytest.raises(InputError, match="1 texts and 2 pictures"):
        TextImageSimilarity(NodeEmbeddings(pictures=np.ones((2, 2)), texts=np.ones((1, 2))))
