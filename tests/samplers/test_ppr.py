from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graphcond.attributed_graph import AttributedGraph
from graphcond.errors import InputError
from graphcond.samplers import PPRSampler, PPRSamplerConfig
from tests.samplers.toy_graphs import toy_graph

#  0 - 1 - 2 - 3, and 1 - 4
PATH = [(0, 1), (1, 2), (2, 3), (1, 4)]


def neighbors(graph: AttributedGraph, target: int, **choices: object) -> list[int]:
    sampler = PPRSamplerConfig.model_validate(choices).build(graph=graph)
    row = sampler.sample(np.array([target]), np.random.default_rng(0)).neighbors[0]
    return row[row >= 0].tolist()


@pytest.mark.parametrize("method", ["push", "exact"])
def test_nearer_nodes_come_first_and_equal_ones_by_row(method: str) -> None:
    assert neighbors(toy_graph(5, PATH), 0, method=method) == [1, 2, 4, 3]
    assert neighbors(toy_graph(5, [(0, 4), (0, 2), (0, 3)]), 0, method=method) == [2, 3, 4]


@pytest.mark.parametrize("size", [4, 7, 30])
def test_all_others_in_a_clique_are_equal(size: int) -> None:
    graph = toy_graph(size, [(left, right) for left in range(size) for right in range(left)])
    for target in range(size):
        others = [node for node in range(size) if node != target]
        assert neighbors(graph, target, neighbors=size) == others


@pytest.mark.parametrize("method", ["push", "exact"])
def test_scores_are_the_probabilities(method: str) -> None:
    sampler = PPRSampler(toy_graph(2, [(0, 1)]), neighbors=1, alpha=0.5, method=method)
    context = sampler.sample(np.array([0]), np.random.default_rng(0))
    assert context.scores[0, 0] == pytest.approx(1 / 3, abs=1e-5)  # p1 = 0.5 p0, p0 + p1 = 1


def test_the_walk_follows_directions_and_weights() -> None:
    edges = [(0, 1), (0, 2), (3, 0)]
    assert neighbors(toy_graph(4, edges, directed=True), 0) == [1, 2]
    assert neighbors(toy_graph(4, edges, weights=[1, 2, 1], directed=True), 0) == [2, 1]


def test_the_walk_passes_through_nodes_that_cannot_be_chosen() -> None:
    graph = toy_graph(5, PATH, without_picture=[1])
    assert neighbors(graph, 0) == [2, 4, 3]
    assert neighbors(graph, 0, require_picture=False) == [1, 2, 4, 3]


def test_dividing_by_degree_takes_hubs_back() -> None:
    hub = [(0, 1), (0, 2), *((1, leaf) for leaf in range(3, 30)), (2, 3)]
    graph = toy_graph(30, hub)
    assert neighbors(graph, 0, neighbors=1) == [1]
    assert neighbors(graph, 0, neighbors=1, degree_normalized=True) == [2]


def test_a_graph_of_many_nodes_may_have_wide_indices() -> None:
    graph = toy_graph(5, PATH)
    assert neighbors(replace(graph, indices=graph.indices.astype(np.int64)), 0) == [1, 2, 4, 3]


def test_broken_arrays_are_refused() -> None:
    graph = toy_graph(5, PATH)
    with pytest.raises(InputError, match="does not exist"):
        PPRSampler(replace(graph, indices=graph.indices + 4))


@pytest.mark.parametrize("choices", [{"epsilon": 1e-3}, {"method": "exact"}, {}])
def test_dividing_by_the_degree_of_a_lone_node_is_no_error(choices: dict[str, object]) -> None:
    assert neighbors(toy_graph(1), 0, degree_normalized=True, **choices) == []
    assert neighbors(toy_graph(3, [(0, 1)]), 2, degree_normalized=True, **choices) == []


ODD = {
    "a star": (9, [(0, leaf) for leaf in range(1, 9)], None, (45, 5)),
    "two nodes": (2, [(0, 1)], None, (2, 1)),
    "self-loops only": (3, [(node, node) for node in range(3)], None, (0, 0)),
    "weights of 0": (3, [(0, 1), (1, 2)], [0.0, 0.0], (0, 0)),
    "a chain with a dangling end": (6, [(node, node + 1) for node in range(5)], None, (30, 15)),
    "repeats only": (3, [(0, 1), (1, 0), (0, 1)], [0.5, 0.25, 4.0], (2, 2)),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("directed", [False, True])
def test_every_method_answers_odd_graphs_alike(name: str, directed: bool) -> None:
    nodes, edges, weights, found = ODD[name]
    graph = toy_graph(nodes, edges, weights=weights, directed=directed)
    answers = [
        PPRSampler(graph, neighbors=5, method=method).sample(np.arange(nodes), np.random.default_rng(0))
        for method in ("auto", "push", "exact")
    ]
    for answer in answers:
        np.testing.assert_array_equal(answer.neighbors, answers[-1].neighbors)
        assert answer.present.sum() == found[directed]
        assert np.isfinite(answer.scores[answer.present]).all()
