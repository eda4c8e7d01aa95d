from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from graphcond.errors import InputError
from graphcond.samplers import KHopSampler
from tests.samplers.toy_graphs import toy_graph

# 0 - {1, 2} - 3 - 4: two steps to 3, three to 4.
GRAPH = toy_graph(6, [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)])
TARGET = np.array([0])


def test_the_nearest_come_first() -> None:
    context = KHopSampler(GRAPH, hops=9).sample(TARGET, np.random.default_rng(0))
    assert context.neighbors.tolist() == [[1, 2, 3, 4, -1]]
    np.testing.assert_allclose(context.scores, [[1, 1, 1 / 2, 1 / 3, 0]])


def test_edges_that_lead_nowhere() -> None:
    broken = replace(GRAPH, indices=np.full_like(GRAPH.indices, 99))
    with pytest.raises(InputError, match="an edge leads to a node that does not exist"):
        KHopSampler(broken)


def test_goes_no_farther_than_told() -> None:
    context = KHopSampler(GRAPH, hops=2).sample(TARGET, np.random.default_rng(0))
    assert context.neighbors.tolist() == [[1, 2, 3, -1, -1]]


def test_passes_through_nodes_that_cannot_be_chosen() -> None:
    sampler = KHopSampler(GRAPH, hops=2, forbidden=np.array([1, 2]))
    assert sampler.sample(TARGET, np.random.default_rng(0)).neighbors.tolist() == [[3, -1, -1, -1, -1]]


def test_draws_evenly_among_equals() -> None:
    star = KHopSampler(toy_graph(9, [(0, leaf) for leaf in range(1, 9)]), neighbors=2)
    counts = Counter(
        node for seed in range(400) for node in star.sample(TARGET, np.random.default_rng(seed)).neighbors[0]
    )
    assert set(counts) == set(range(1, 9))
    assert min(counts.values()) > 60  # 100 expected


def test_follows_the_direction_of_edges() -> None:
    graph = toy_graph(3, [(0, 1), (2, 0)], directed=True)
    assert KHopSampler(graph).sample(TARGET, np.random.default_rng(0)).neighbors[0, :2].tolist() == [1, -1]


def test_targets_do_not_share_their_draw() -> None:
    edges = [(target, leaf) for target in range(9) for leaf in range(9, 30)]
    context = KHopSampler(toy_graph(30, edges)).sample(np.arange(9), np.random.default_rng(0))
    assert len(np.unique(context.neighbors, axis=0)) > 5
