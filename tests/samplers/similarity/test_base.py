from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float, Float32

from graphcond.attributed_graph import ABSENT, NodeEmbeddings
from graphcond.context import NeighborContext
from graphcond.errors import InputError
from graphcond.samplers import Ranking, Similarity
from graphcond.samplers.similarity.base import check_rows, unit_rows
from tests.typecheck import unchecked

PICTURES = np.array([[0, 0], [1, 0], [0, 1], [-1, 0]], np.float16)


class Fixed(Similarity):
    """What others may write: a query, and nothing else."""

    vector: Float[np.ndarray, " d"] = np.array([2.0, 0.0])

    def query(self, target: int, candidates: Ranking) -> Float[np.ndarray, " d"]:
        assert len(candidates.nodes) == len(candidates.scores)
        return self.vector


def proposed(*rows: list[int]) -> NeighborContext:
    neighbors = np.array(rows, np.int64)
    present = neighbors != ABSENT
    return NeighborContext(np.zeros(len(rows), np.int64), neighbors, present.astype(np.float32))


def scores(
    vector: Float[np.ndarray, " d"], *rows: list[int], pictures: np.ndarray = PICTURES
) -> Float32[np.ndarray, "b k"]:
    similarity = Fixed(NodeEmbeddings(pictures))
    similarity.vector = vector
    return similarity.scores(proposed(*rows))


def test_a_query_is_all_that_others_need_to_write() -> None:
    found = scores(np.array([2.0, 0.0]), [3, 1, 2], [2, ABSENT, ABSENT])
    assert found.tolist() == [[-1, 1, 0], [0, 0, 0]]
    assert found.dtype == np.float32


@pytest.mark.parametrize("vector", [np.zeros(2), np.array([1.0, 1.0])])
def test_a_zero_vector_is_like_nothing(vector: np.ndarray) -> None:
    assert scores(vector, [0, ABSENT]).tolist() == [[0, 0]]
    assert not vector.any() or scores(vector, [1])[0, 0] > 0


def test_nobody_is_compared_with_nobody() -> None:
    assert Fixed(NodeEmbeddings(PICTURES)).scores(
        NeighborContext(np.empty(0, np.int64), np.empty((0, 3), np.int64), np.empty((0, 3), np.float32))
    ).shape == (0, 3)
    assert scores(np.ones(2), [ABSENT, ABSENT]).tolist() == [[0, 0]]


def test_a_query_of_another_width_is_refused() -> None:
    with pytest.raises(InputError, match="query is 3 wide and the embeddings 2"):
        scores(np.ones(3), [1])


def test_embeddings_are_one_row_for_each_node() -> None:
    with (
        unchecked(),
        pytest.raises(InputError, match=r"picture embeddings have the shape \(4,\).*one row for each"),
    ):
        Fixed(NodeEmbeddings(np.ones(4)))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_embeddings_must_be_finite(wrong: float, dtype: type) -> None:
    pictures = np.ones((4, 40), dtype)
    pictures[2, 1] = wrong
    assert scores(np.ones(40), [1, 3], pictures=pictures).all()
    with pytest.raises(InputError, match="not finite"):
        scores(np.ones(40), [1, 2], pictures=pictures)
    with pytest.raises(InputError, match="not finite"):
        scores(pictures[2], [1], pictures=pictures)


def test_embeddings_of_another_graph_are_refused() -> None:
    with pytest.raises(InputError, match="4 embeddings for 5 nodes"):
        check_rows(Fixed(NodeEmbeddings(PICTURES)), 5)


def test_large_half_precision_vectors_do_not_overflow() -> None:
    np.testing.assert_allclose(unit_rows(np.full((1, 4), 6e4, np.float16)), 0.5)
