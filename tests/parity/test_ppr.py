"""Personalized PageRank against networkx, and the push against exact values."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.attributed_graph import AttributedGraph
from graphcond.samplers.pagerank.power import PowerIteration
from graphcond.samplers.pagerank.push import ForwardPush
from graphcond.samplers.pagerank.walk import RandomWalk
from graphcond.samplers.ranking import RankingConstraints
from tests.samplers.toy_graphs import toy_graph, toy_graphs

CITESEER = Path(__file__).parents[2] / "../shared/data/graphs/citeseer_edges.csv"
ALPHAS = st.sampled_from([0.05, 0.15, 0.5, 0.9])
EPSILONS = st.sampled_from([1e-2, 1e-4, 1e-8])
ROUNDING = 1e-6
"""Relative: scores are float32."""


def of_networkx(graph: AttributedGraph, target: int, alpha: float) -> np.ndarray:
    other = nx.DiGraph() if graph.directed else nx.Graph()
    other.add_nodes_from(range(len(graph)))
    for node in range(len(graph)):
        row = slice(graph.indptr[node], graph.indptr[node + 1])
        weights = np.ones(row.stop - row.start) if graph.weights is None else graph.weights[row]
        other.add_weighted_edges_from(
            (node, int(to), float(weight)) for to, weight in zip(graph.indices[row], weights, strict=True)
        )
    ranks = nx.pagerank(other, alpha=1 - alpha, personalization={target: 1}, tol=1e-14, max_iter=5000)
    return np.array([ranks[node] for node in range(len(graph))])


def estimates(walk: RandomWalk, push: ForwardPush, target: int) -> np.ndarray:
    """The push's estimate of every node but the target."""
    found = push.rank(np.array([target]), RankingConstraints(len(walk), np.ones(len(walk), bool)))
    values = np.zeros(len(walk))
    values[found.neighbors[found.present]] = found.scores[found.present]
    return values


@settings(max_examples=60, deadline=None)
@given(graph=toy_graphs(), alpha=ALPHAS)
def test_power_iteration_is_what_networkx_computes(graph: AttributedGraph, alpha: float) -> None:
    exact = PowerIteration(RandomWalk.on(graph), alpha=alpha).solve(0)
    np.testing.assert_allclose(exact, of_networkx(graph, 0, alpha), atol=1e-11)


@settings(max_examples=100, deadline=None)
@given(graph=toy_graphs(directed=False), alpha=ALPHAS, epsilon=EPSILONS)
def test_push_keeps_its_bound_per_node_in_undirected_graphs(
    graph: AttributedGraph, alpha: float, epsilon: float
) -> None:
    walk = RandomWalk.on(graph)
    exact = PowerIteration(walk, alpha=alpha).solve(0)
    push = ForwardPush(walk, alpha=alpha, epsilon=epsilon)
    error = np.abs(estimates(walk, push, 0) - exact)
    assert (error <= push.limits(0) + ROUNDING * exact)[1:].all()


@settings(max_examples=100, deadline=None)
@given(graph=toy_graphs(directed=True), alpha=ALPHAS, epsilon=EPSILONS)
def test_push_keeps_its_bound_in_total_in_directed_graphs(
    graph: AttributedGraph, alpha: float, epsilon: float
) -> None:
    walk = RandomWalk.on(graph)
    exact = PowerIteration(walk, alpha=alpha).solve(0)
    push = ForwardPush(walk, alpha=alpha, epsilon=epsilon)
    found = estimates(walk, push, 0)
    assert np.abs(exact - found)[1:].sum() <= 2 * push.limits(0).sum() + ROUNDING
    # Mass that is settled is certain, so none is found where none is.
    assert (found[exact == 0] == 0).all()


@pytest.fixture(scope="module")
def citeseer() -> AttributedGraph:
    if not CITESEER.exists():
        pytest.skip("the Citeseer edges are not here")
    edges = np.loadtxt(CITESEER, delimiter=",", skiprows=1, dtype=np.int64)
    return toy_graph(int(edges.max()) + 1, edges.tolist())


def test_on_a_real_graph_power_iteration_is_what_networkx_computes(citeseer: AttributedGraph) -> None:
    target = int(citeseer.degrees.argmax())
    exact = PowerIteration(RandomWalk.on(citeseer), alpha=0.15).solve(target)
    np.testing.assert_allclose(exact, of_networkx(citeseer, target, 0.15), atol=1e-10)


def test_on_a_real_graph_push_finds_the_best_50(citeseer: AttributedGraph) -> None:
    walk = RandomWalk.on(citeseer)
    power, push = PowerIteration(walk, alpha=0.15), ForwardPush(walk, alpha=0.15, epsilon=1e-6)
    targets = np.random.default_rng(0).choice(len(walk), 40, replace=False)
    answer = push.rank(targets, RankingConstraints(50, np.ones(len(walk), bool)))
    right = wanted = 0
    for row, target in enumerate(targets.tolist()):
        exact = power.solve(target)
        exact[target] = 0
        found, scores = (part[row][answer.present[row]] for part in (answer.neighbors, answer.scores))
        count = min(50, np.count_nonzero(exact))
        # A node that ties with the 50th is as right as the 50th.
        right += int((exact[found] >= np.sort(exact)[-count] * (1 - 1e-9)).sum()) if count else 0
        wanted += count
        assert (np.abs(scores - exact[found]) <= push.limits(target)[found] + 1e-8).all()
    assert right / wanted > 0.995
