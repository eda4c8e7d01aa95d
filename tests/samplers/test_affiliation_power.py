from __future__ import annotations

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.errors import InputError
from graphcond.samplers import AffiliationGraph
from graphcond.samplers.affiliation_power import AffiliationPowerIteration
from graphcond.samplers.power import PowerIteration
from graphcond.samplers.walk import RandomWalk
from graphcond.types import AttributedGraph
from tests.samplers.toy_graphs import toy_graph, toy_graphs

Lists = list[list[int]]
VALUES = 6
KINDS = np.array([0, 0, 0, 1, 1, 1])
membership = st.lists(st.integers(0, VALUES - 1), max_size=4, unique=True).map(sorted)
weight = st.sampled_from([0.0, 0.25, 1.0, 3.0])


def implied(lists: Lists, weights: tuple[float, float] = (1.0, 0.25)) -> AffiliationGraph:
    indptr = np.cumsum([0, *map(len, lists)])
    values = np.array([value for values in lists for value in values], np.int32)
    return AffiliationGraph(indptr, values, KINDS, dict(zip(("artist", "year"), weights, strict=True)))


def stored(lists: Lists, weights: tuple[float, float], added: AttributedGraph | None = None) -> RandomWalk:
    """The walk on the same graph with all its edges written down; those of ``added`` count half."""
    sums: Counter[tuple[int, int]] = Counter()
    for left, right in combinations(range(len(lists)), 2):
        for value in set(lists[left]) & set(lists[right]):
            sums[left, right] += weights[KINDS[value]]
            sums[right, left] += weights[KINDS[value]]
    if added is not None:
        for node in range(len(added)):
            for place in range(added.indptr[node], added.indptr[node + 1]):
                edge = 1.0 if added.weights is None else float(added.weights[place])
                sums[node, int(added.indices[place])] += 0.5 * edge
    return RandomWalk.on(toy_graph(len(lists), list(sums), weights=list(sums.values()), directed=True))


@settings(max_examples=100, deadline=None)
@given(
    lists=st.lists(membership, min_size=1, max_size=12),
    weights=st.tuples(weight, weight),
    alpha=st.floats(0.02, 0.95),
)
def test_equals_power_iteration_on_the_stored_cliques(
    lists: Lists, weights: tuple[float, float], alpha: float
) -> None:
    ours = AffiliationPowerIteration(implied(lists, weights), alpha=alpha)
    walk = stored(lists, weights)
    theirs = PowerIteration(walk, alpha=alpha)
    for target in range(len(lists)):
        found, expected = ours.solve(target), theirs.solve(target)
        np.testing.assert_allclose(found, expected, atol=1e-11)
        np.testing.assert_array_equal(found > 0, expected > 0)
        assert found.sum() == pytest.approx(1)
    np.testing.assert_allclose(ours.incoming, walk.incoming)


@settings(max_examples=60, deadline=None)
@given(graph=toy_graphs(), data=st.data())
def test_stored_edges_are_added_with_their_weight(graph: AttributedGraph, data: st.DataObject) -> None:
    lists = data.draw(st.lists(membership, min_size=len(graph), max_size=len(graph)))
    walk = stored(lists, (1.0, 0.25), graph)
    ours = AffiliationPowerIteration(implied(lists), alpha=0.15, walk=RandomWalk.on(graph), edges=0.5)
    for target in range(len(graph)):
        expected = PowerIteration(walk, alpha=0.15).solve(target)
        np.testing.assert_allclose(ours.solve(target), expected, atol=1e-11)
    np.testing.assert_allclose(ours.incoming, walk.incoming)


def test_equals_what_scipy_solves() -> None:
    draws = np.random.default_rng(0)
    lists = [sorted(set(draws.integers(0, VALUES, 2).tolist())) for _ in range(60)]
    matrix = scipy.sparse.csr_array((60, 60))
    for kind, own in enumerate((1.0, 0.25)):
        held = np.array(
            [[value in values and KINDS[value] == kind for value in range(VALUES)] for values in lists]
        )
        shared = held.astype(float) @ held.T
        matrix += own * scipy.sparse.csr_array(shared - np.diag(np.diag(shared)))
    walk = matrix / matrix.sum(axis=1)[:, None]
    start = np.eye(60)[7]
    system = scipy.sparse.csc_array(scipy.sparse.eye_array(60) - 0.85 * walk.T)
    expected = scipy.sparse.linalg.spsolve(system, 0.15 * start)
    found = AffiliationPowerIteration(implied(lists), alpha=0.15).solve(7)
    np.testing.assert_allclose(found, expected, atol=1e-11)


def test_the_error_stays_below_the_tolerance() -> None:
    chain = [[0], [0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5]]
    exact = AffiliationPowerIteration(implied(chain), alpha=0.05, tolerance=1e-14).solve(0)
    for tolerance in (1e-1, 1e-3, 1e-6, 1e-9):
        rough = AffiliationPowerIteration(implied(chain), alpha=0.05, tolerance=tolerance).solve(0)
        assert 0 < np.abs(rough - exact).sum() <= tolerance


def test_nodes_with_the_same_values_get_the_same_bits() -> None:
    draws = np.random.default_rng(1)
    profiles = [sorted(set(draws.integers(0, VALUES, 3).tolist())) for _ in range(8)]
    p = AffiliationPowerIteration(implied(profiles * 20), alpha=0.15).solve(3).reshape(20, 8)
    assert (p[1:] == p[1]).all()


def test_edges_of_other_nodes_are_refused() -> None:
    walk = RandomWalk.on(toy_graph(3, [(0, 1)]))
    with pytest.raises(InputError, match="edges of 3 nodes cannot be added to 2"):
        AffiliationPowerIteration(implied([[0], [0]]), alpha=0.15, walk=walk, edges=1.0)


@pytest.mark.parametrize("edges", [math.nan, -1.0, math.inf])
def test_a_weight_of_stored_edges_that_is_none_is_refused(edges: float) -> None:
    walk = RandomWalk.on(toy_graph(2, [(0, 1)]))
    with pytest.raises(InputError, match="weight of stored edges"):
        AffiliationPowerIteration(implied([[0], [0]]), alpha=0.15, walk=walk, edges=edges)
