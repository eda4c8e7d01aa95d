from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.attributed_graph import ABSENT
from graphcond.samplers.diversity import marginally_relevant

CLOSE = 1e-5
"""Sums in another order differ by less."""


def check(
    keys: np.ndarray, nodes: list[int], relevance: list[float], weight: float, chosen: list[int]
) -> None:
    """See that each choice is the best by the paper's formula, lambda being 1 - weight."""
    lengths = np.linalg.norm(keys, axis=1)
    units = keys / np.where(lengths > 0, lengths, 1)[:, None]
    fits = dict(zip(nodes, relevance, strict=True))
    before: list[int] = []
    for node in chosen:
        marginal = {
            one: (1 - weight) * fits[one] - weight * max(float(units[one] @ units[other]) for other in before)
            if before
            else fits[one]
            for one in nodes
            if one not in before
        }
        assert marginal[node] >= max(marginal.values()) - CLOSE
        twins = [one for one in marginal if fits[one] == fits[node] and (keys[one] == keys[node]).all()]
        assert node == min(twins)
        before.append(node)


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, list[int], list[float]]:
    """Few distinct vectors and scores, so that much is equal."""
    count = draw(st.integers(1, 9))
    directions = st.sampled_from([(1, 0), (0, 1), (-1, 0), (1, 1), (0, 0)])
    keys = np.array(draw(st.lists(directions, min_size=12, max_size=12)), np.float32)
    nodes = draw(st.permutations(range(12)))[:count]
    relevance = draw(st.lists(st.sampled_from([-0.5, 0.0, 0.25, 1.0]), min_size=count, max_size=count))
    return keys, nodes, relevance


@settings(max_examples=150, deadline=None)
@given(problem=problems(), count=st.integers(1, 9), weight=st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_each_choice_is_the_best_by_the_formula(
    problem: tuple[np.ndarray, list[int], list[float]], count: int, weight: float
) -> None:
    keys, nodes, relevance = problem
    padding = [ABSENT] * (10 - len(nodes))
    columns, scores = marginally_relevant(
        keys,
        np.array([[*nodes, *padding]]),
        np.array([[*relevance, *(0.0 for _ in padding)]], np.float32),
        count,
        weight,
    )
    chosen = [nodes[column] for column in columns[0] if column >= 0]
    assert len(chosen) == min(count, len(nodes))
    check(keys, nodes, relevance, weight, chosen)
    assert (columns[0, len(chosen) :] == -1).all()
    assert (scores[0, len(chosen) :] == 0).all()
    assert (np.diff(scores[0, : len(chosen)]) <= 0).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("weight", [0.3, 0.7, 1.0])
def test_random_vectors_too(dtype: type, weight: float) -> None:
    draws = np.random.default_rng(0)
    keys = draws.normal(size=(200, 48)).astype(dtype)
    nodes = np.stack([draws.permutation(200)[:50] for _ in range(20)])
    relevance = draws.uniform(-1, 1, nodes.shape).astype(np.float32)
    columns, _ = marginally_relevant(keys, nodes, relevance, 10, weight)
    for row, found in enumerate(columns):
        chosen = nodes[row, found].tolist()
        check(keys.astype(np.float64), nodes[row].tolist(), relevance[row].tolist(), weight, chosen)


def test_the_score_is_the_marginal_relevance() -> None:
    keys = np.array([[1, 0], [1, 0], [0, 1], [1, 1]], np.float32)
    columns, scores = marginally_relevant(
        keys, np.array([[0, 1, 2, 3]]), np.array([[0.8, 0.9, 0.1, 0.6]], np.float32), 3, 0.5
    )
    assert columns.tolist() == [[1, 2, 3]]
    np.testing.assert_allclose(scores, [[0.45 + 0.5, 0.05 - 0, 0.3 - 0.5 * np.sqrt(0.5)]], rtol=1e-6)


def test_who_is_there_twice_comes_last() -> None:
    keys = np.array([[1, 0], [1, 0], [1, 0.2], [0, 1]], np.float16)
    fits = np.array([[0.9, 0.9, 0.8, 0.1]], np.float32)
    nodes = np.array([[0, 1, 2, 3]])
    assert marginally_relevant(keys, nodes, fits, 4, 0.9)[0].tolist() == [[0, 3, 2, 1]]
    assert marginally_relevant(keys, nodes, fits, 4, 0.0)[0].tolist() == [[0, 1, 2, 3]]
