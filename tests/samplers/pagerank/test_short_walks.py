from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.attributed_graph import AttributedGraph
from graphcond.samplers.pagerank.power import PowerIteration
from graphcond.samplers.pagerank.short_walks import ShortWalks
from graphcond.samplers.pagerank.walk import RandomWalk
from graphcond.samplers.ranking import RankingConstraints
from tests.samplers.pagerank.test_power import transition
from tests.samplers.toy_graphs import toy_graph, toy_graphs


def scores(method: ShortWalks, nodes: int, target: int) -> np.ndarray:
    """What ``method`` gives each node; 0 for the target and those that are not chosen."""
    found = method.rank(np.array([target]), RankingConstraints(nodes, np.ones(nodes, bool)))
    result = np.zeros(nodes)
    result[found.neighbors[found.present]] = found.scores[found.present]
    return result


@st.composite
def graphs_with_weights_of_zero(draw: st.DrawFn) -> AttributedGraph:
    graph = draw(toy_graphs())
    if graph.weights is None or not graph.directed:
        return graph
    kept = draw(st.lists(st.booleans(), min_size=len(graph.weights), max_size=len(graph.weights)))
    return replace(graph, weights=graph.weights * np.array(kept, np.float32))


@settings(max_examples=100, deadline=None)
@given(graph=graphs_with_weights_of_zero(), alpha=st.floats(0.2, 0.9))
def test_long_enough_walks_give_pagerank(graph: AttributedGraph, alpha: float) -> None:
    system = np.eye(len(graph)) - (1 - alpha) * transition(graph, 0).T
    expected = np.linalg.solve(system, alpha * np.eye(len(graph))[0])
    expected[0] = 0
    found = scores(ShortWalks(RandomWalk.on(graph), alpha=alpha, steps=80), len(graph), 0)
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("directed", [False, True])
def test_where_long_walks_end_makes_up_for_the_steps_not_taken(directed: bool) -> None:
    draws = np.random.default_rng(0)
    popular = draws.pareto(1.3, 2000) + 1
    ends = draws.choice(2000, (40_000, 2), p=popular / popular.sum())
    if directed:
        ends = ends[ends[:, 0] % 20 > 0]  # no edge leaves each twentieth node
    walk = RandomWalk.on(toy_graph(2000, ends.tolist(), directed=directed))
    target, alpha, steps = 1, 0.15, 4
    exact = PowerIteration(walk, alpha=alpha).solve(target)
    exact[target] = 0
    found = scores(ShortWalks(walk, alpha=alpha, steps=steps), 2000, target)
    # What is left after so many steps of plain power iteration is (1 - alpha)^steps, about a half.
    assert np.abs(found - exact).sum() < 0.02


def test_nodes_that_no_walk_reaches_are_not_chosen() -> None:
    walk = RandomWalk.on(toy_graph(6, [(0, 1), (1, 2), (3, 4), (4, 5)]))
    assert np.flatnonzero(scores(ShortWalks(walk, alpha=0.15, steps=2), 6, 0)).tolist() == [1, 2]
    assert np.flatnonzero(scores(ShortWalks(walk, alpha=0.15, steps=1), 6, 0)).tolist() == [1]


def test_walks_that_all_end_go_nowhere_far() -> None:
    walk = RandomWalk.on(toy_graph(3, [(0, 1), (1, 2)], directed=True))
    far, kept = walk.far
    assert not far.any()
    assert kept == 0
    exact = PowerIteration(walk, alpha=0.15).solve(0)
    np.testing.assert_allclose(scores(ShortWalks(walk, alpha=0.15, steps=2), 3, 0)[1:], exact[1:], rtol=1e-5)


def test_scores_are_divided_where_a_divisor_is_given() -> None:
    walk = RandomWalk.on(toy_graph(4, [(0, 1), (1, 2), (1, 3)], directed=True))
    wanted = RankingConstraints(4, np.ones(4, bool), walk.incoming)
    found = ShortWalks(walk, alpha=0.15, steps=40).rank(np.array([0]), wanted)
    expected = PowerIteration(walk, alpha=0.15).rank(np.array([0]), wanted)
    np.testing.assert_array_equal(found.neighbors, expected.neighbors)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)
