from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.attributed_graph import AttributedGraph
from graphcond.errors import InputError
from graphcond.samplers.affiliation.iteration import AffiliationIteration
from graphcond.samplers.pagerank.power import PowerIteration
from graphcond.samplers.pagerank.walk import RandomWalk
from graphcond.samplers.ranking import RankingConstraints
from tests.samplers.toy_affiliations import VALUES, implied, membership, stored
from tests.samplers.toy_graphs import toy_graph, toy_graphs


@settings(max_examples=60, deadline=None)
@given(graph=toy_graphs(), data=st.data())
def test_stored_edges_are_added_with_their_weight(graph: AttributedGraph, data: st.DataObject) -> None:
    lists = data.draw(st.lists(membership, min_size=len(graph), max_size=len(graph)))
    walk = stored(lists, (1.0, 0.25), graph)
    ours = AffiliationIteration(implied(lists), alpha=0.15, walk=RandomWalk.on(graph), edges=0.5)
    for target in range(len(graph)):
        expected = PowerIteration(walk, alpha=0.15).solve(target)
        found = ours.solve(target)
        np.testing.assert_allclose(found, expected, atol=1e-11)
        np.testing.assert_array_equal(found > 0, expected > 0)
        assert found.sum() == pytest.approx(1)
    np.testing.assert_allclose(ours.incoming, walk.incoming)


CHAIN = [[0], [0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5]]


@pytest.mark.parametrize("directed", [False, True])
def test_the_error_stays_below_the_tolerance(directed: bool) -> None:
    walk = RandomWalk.on(toy_graph(7, [(0, 5), (6, 2)], directed=directed))
    for target in (0, 3):
        exact = AffiliationIteration(implied(CHAIN), alpha=0.05, tolerance=1e-14, walk=walk, edges=1.0)
        truth = exact.solve(target)
        for tolerance in (1e-1, 1e-3, 1e-6, 1e-9):
            rough = AffiliationIteration(
                implied(CHAIN), alpha=0.05, tolerance=tolerance, walk=walk, edges=1.0
            ).solve(target)
            assert 0 < np.abs(rough - truth).sum() <= tolerance
            assert (rough >= 0).all()


def test_threads_change_nothing() -> None:
    iteration = AffiliationIteration(implied(CHAIN * 3), alpha=0.15)
    wanted = RankingConstraints(5, np.ones(21, bool))
    one, two = (iteration.rank(np.arange(21), wanted, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.neighbors, two.neighbors)
    np.testing.assert_array_equal(one.scores, two.scores)


def test_nodes_with_the_same_values_get_the_same_bits() -> None:
    draws = np.random.default_rng(1)
    profiles = [sorted(set(draws.integers(0, VALUES, 3).tolist())) for _ in range(8)]
    p = AffiliationIteration(implied(profiles * 20), alpha=0.15).solve(3).reshape(20, 8)
    assert (p[1:] == p[1]).all()


def test_edges_of_other_nodes_are_refused() -> None:
    walk = RandomWalk.on(toy_graph(3, [(0, 1)]))
    with pytest.raises(InputError, match="stored edges have 3 nodes, but the implied edges have 2"):
        AffiliationIteration(implied([[0], [0]]), alpha=0.15, walk=walk, edges=1.0)


@pytest.mark.parametrize("edges", [math.nan, -1.0, math.inf])
def test_a_weight_of_stored_edges_that_is_none_is_refused(edges: float) -> None:
    walk = RandomWalk.on(toy_graph(2, [(0, 1)]))
    with pytest.raises(InputError, match="weight of stored edges"):
        AffiliationIteration(implied([[0], [0]]), alpha=0.15, walk=walk, edges=edges)
