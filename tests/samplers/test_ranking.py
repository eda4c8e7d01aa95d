from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphcond.errors import InputError
from graphcond.samplers.ranking import best_first, choosable, known_rows
from tests.samplers.toy_graphs import toy_graph
from tests.typecheck import unchecked


@given(scores=st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0]), max_size=20), count=st.integers(1, 25))
def test_best_first_is_sorting_by_score_then_row(scores: list[float], count: int) -> None:
    nodes = np.random.default_rng(len(scores)).permutation(len(scores))
    ranking = best_first(nodes, np.array(scores), count)
    wanted = sorted(zip(nodes.tolist(), scores, strict=True), key=lambda pair: (-pair[1], pair[0]))[:count]
    assert list(zip(ranking.nodes.tolist(), ranking.scores.tolist(), strict=True)) == wanted


def test_scores_that_only_float64_tells_apart_are_equal() -> None:
    ranking = best_first(np.array([4, 2]), np.array([1.0 + 1e-12, 1.0]), 1)
    assert ranking.nodes.tolist() == [2]


def test_choosable_nodes_have_a_picture_and_are_not_forbidden() -> None:
    graph = toy_graph(4, without_picture=[1])
    assert choosable(graph, np.array([3]), require_picture=True).tolist() == [True, False, True, False]
    assert choosable(graph, None, require_picture=False).all()


def test_an_empty_graph_has_no_rows() -> None:
    assert known_rows(np.empty(0, np.int64), 0).tolist() == []
    with pytest.raises(InputError, match="has no nodes"):
        known_rows(np.array([0]), 0)


@pytest.mark.parametrize("rows", [np.array([True, False]), np.array([1.0]), np.array([[1]]), np.array(1)])
def test_rows_are_a_list_of_whole_numbers(rows: np.ndarray) -> None:
    """A mask would name rows 0 and 1, and forbid them alone."""
    with unchecked():
        for check in (
            lambda: known_rows(rows, 3),
            lambda: choosable(toy_graph(3), rows, require_picture=False),
        ):
            with pytest.raises(InputError, match=r"as a list of whole numbers, got .* Give np\.flatnonzero"):
                check()
