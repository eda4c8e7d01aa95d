from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from benchmarks.shapes import SHAPES, co_occurrence, draw, linked, popular_targets
from benchmarks.truth import exact
from graphcond.attributed_graph import AttributedGraph


def test_there_are_ten_and_each_is_always_the_same() -> None:
    assert len(SHAPES) == 10
    for name in ("grid", "path"):
        np.testing.assert_array_equal(draw(name).indices, draw(name).indices)


@pytest.mark.parametrize("name", ["grid", "components", "stars", "regular"])
def test_edges_lead_both_ways_and_never_back_to_their_node(name: str) -> None:
    graph = draw(name)
    rows, others = np.repeat(np.arange(len(graph)), graph.degrees), graph.indices.astype(np.int64)
    there, back = rows * len(graph) + others, others * len(graph) + rows
    np.testing.assert_array_equal(there, np.sort(back))
    assert (rows != others).all()


def test_almost_all_nodes_of_the_regular_graph_have_8_neighbors() -> None:
    assert (draw("regular").degrees == 8).mean() > 0.99


def small(name: str) -> AttributedGraph:
    draws = np.random.default_rng(0)
    return co_occurrence(draws, 60, 50) if name == "weighted" else popular_targets(draws, 60)


@pytest.mark.parametrize("name", ["weighted", "directed"])
def test_the_truth_reads_weights_and_directions(name: str) -> None:
    graph = small(name)
    weights = np.ones(len(graph.indices)) if graph.weights is None else graph.weights
    rows = np.repeat(np.arange(len(graph)), graph.degrees)
    other = nx.DiGraph()
    other.add_nodes_from(range(len(graph)))
    other.add_weighted_edges_from(zip(rows.tolist(), graph.indices.tolist(), weights.tolist(), strict=True))
    for target, values in exact(graph, np.arange(0, 60, 7), alpha=0.3):
        at = {target: 1}
        wanted = nx.pagerank(other, 0.7, personalization=at, dangling=at, tol=1e-14, max_iter=500)
        np.testing.assert_allclose(values, [wanted[node] for node in range(60)], atol=1e-9)


def test_repeated_edges_add_up_to_weights() -> None:
    ends = np.array([[0, 0, 1, 2], [1, 1, 0, 2]])
    assert linked(3, ends, weighted=True).weights.tolist() == [3, 3]
    assert linked(3, ends).indices.tolist() == [1, 0]
