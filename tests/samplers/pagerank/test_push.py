from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graphcond.attributed_graph import AttributedGraph
from graphcond.samplers.pagerank.power import PowerIteration
from graphcond.samplers.pagerank.push import ForwardPush
from graphcond.samplers.pagerank.short_walks import ShortWalks
from graphcond.samplers.pagerank.walk import RandomWalk
from graphcond.samplers.ranking import Ranking, RankingConstraints
from tests.samplers.toy_graphs import toy_graph


def random_graph(nodes: int, edges: int, **choices: bool) -> AttributedGraph:
    draws = np.random.default_rng(0)
    return toy_graph(nodes, draws.integers(0, nodes, (edges, 2)).tolist(), **choices)


def best(
    method: ForwardPush | PowerIteration, walk: RandomWalk, target: int, count: int, **choices: np.ndarray
) -> Ranking:
    wanted = RankingConstraints(count, np.ones(len(walk), bool), **choices)
    found = method.rank(np.array([target]), wanted)
    return Ranking(found.neighbors[found.present], found.scores[found.present])


@pytest.mark.parametrize("directed", [False, True])
def test_one_target_leaves_no_trace_for_the_next(directed: bool) -> None:
    walk = RandomWalk.on(random_graph(200, 500, directed=directed))
    used = ForwardPush(walk, alpha=0.15, epsilon=1e-5)
    for target in range(0, 200, 7):
        fresh = ForwardPush(walk, alpha=0.15, epsilon=1e-5)
        again, first = (best(push, walk, target, 50) for push in (used, fresh))
        np.testing.assert_array_equal(again.nodes, first.nodes)
        np.testing.assert_array_equal(again.scores, first.scores)


def test_the_tail_brings_estimates_closer_to_the_truth() -> None:
    walk = RandomWalk.on(random_graph(400, 2000))
    push = ForwardPush(walk, alpha=0.15, epsilon=1e-4)
    found = best(push, walk, 0, 20)
    off = np.abs(found.scores - PowerIteration(walk, alpha=0.15).solve(0)[found.nodes])
    limits = push.limits(0)[found.nodes]
    assert (off <= limits).all()
    assert off.mean() < 0.1 * limits.mean()


def test_the_tail_finds_the_best_of_a_directed_graph_too() -> None:
    draws = np.random.default_rng(0)
    popular = draws.pareto(1.2, 3000) + 1
    ends = np.stack([draws.integers(0, 2850, 40_000), draws.choice(3000, 40_000, p=popular / popular.sum())])
    walk = RandomWalk.on(toy_graph(3000, ends.T.tolist(), directed=True))
    push = ForwardPush(walk, alpha=0.15, epsilon=1e-4, far_share=0.0)
    hits = 0
    for target in range(0, 100, 10):
        truth = best(PowerIteration(walk, alpha=0.15), walk, target, 50).nodes
        hits += len(np.intersect1d(best(push, walk, target, 50).nodes, truth))
    assert hits / 500 > 0.97


def test_looks_no_farther_than_epsilon_asks() -> None:
    walk = RandomWalk.on(toy_graph(1000, [(row, row + 1) for row in range(999)]))
    near, far = (
        best(ForwardPush(walk, alpha=0.5, epsilon=epsilon), walk, 0, 1000).nodes for epsilon in (1e-2, 1e-8)
    )
    assert 2 <= near.max() < far.max() < 30


def test_ends_where_one_weight_is_next_to_nothing() -> None:
    walk = RandomWalk.on(toy_graph(4, [(0, 1), (1, 2), (2, 3)], weights=[1e30, 1e-30, 1]))
    found = best(ForwardPush(walk, alpha=0.15, epsilon=1e-6), walk, 0, 4)
    assert found.nodes[0] == 1


def test_ranks_by_the_quotient_where_a_divisor_is_given() -> None:
    star = [(0, leaf) for leaf in range(1, 9)] + [(1, leaf) for leaf in range(9, 30)]
    walk = RandomWalk.on(toy_graph(30, star))
    push = ForwardPush(walk, alpha=0.15, epsilon=1e-8)
    assert best(push, walk, 2, 2).nodes.tolist() == [0, 1]
    divided = best(push, walk, 2, 30, divisor=walk.degrees)
    exact = best(PowerIteration(walk, alpha=0.15), walk, 2, 30, divisor=walk.degrees)
    np.testing.assert_allclose(divided.scores, exact.scores, rtol=1e-3)
    assert set(divided.nodes) == set(exact.nodes)


def test_edges_without_weight_lead_nowhere() -> None:
    graph = toy_graph(4, [(0, 1), (1, 2), (1, 3)], weights=[1, 1, 1])
    weightless = np.where(graph.indices == 3, 0, 1).astype(np.float32)
    weightless[graph.indptr[3] : graph.indptr[4]] = 0
    walk = RandomWalk.on(replace(graph, weights=weightless))
    assert best(ForwardPush(walk, alpha=0.15, epsilon=1e-8), walk, 0, 4).nodes.tolist() == [1, 2]


@pytest.mark.parametrize("degree", [3, 300])
def test_a_hub_is_answered_as_well_as_others(degree: int) -> None:
    draws = np.random.default_rng(0)
    edges = [(0, leaf) for leaf in range(1, degree + 1)]
    edges += [tuple(pair) for pair in draws.integers(1, 1000, (4000, 2)).tolist()]
    walk = RandomWalk.on(toy_graph(1000, edges))
    push = ForwardPush(walk, alpha=0.15, epsilon=1e-4)
    truth = best(PowerIteration(walk, alpha=0.15), walk, 0, 20)
    assert len(set(best(push, walk, 0, 20).nodes) & set(truth.nodes)) >= 18


@pytest.mark.parametrize("directed", [False, True])
def test_threads_and_batches_do_not_change_a_bit(directed: bool) -> None:
    walk = RandomWalk.on(random_graph(300, 900, directed=directed))
    wanted = RankingConstraints(20, np.ones(300, bool))
    for method in (ForwardPush(walk, alpha=0.15, epsilon=1e-4), ShortWalks(walk, alpha=0.15, steps=4)):
        together = method.rank(np.arange(300), wanted)
        threaded = method.rank(np.arange(300), wanted, threads=3)
        for target in (0, 7, 299):
            alone = method.rank(np.array([target]), wanted)
            for one, other in ((threaded, together), (alone, together.take(np.array([target])))):
                np.testing.assert_array_equal(one.neighbors, other.neighbors)
                np.testing.assert_array_equal(one.scores, other.scores)
