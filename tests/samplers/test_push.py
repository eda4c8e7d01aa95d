from __future__ import annotations

import numpy as np
import pytest

from graphcond.samplers.power import PowerIteration
from graphcond.samplers.push import ForwardPush
from graphcond.samplers.walk import RandomWalk
from graphcond.types import AttributedGraph
from tests.samplers.toy_graphs import toy_graph


def random_graph(nodes: int, edges: int, **choices: bool) -> AttributedGraph:
    draws = np.random.default_rng(0)
    return toy_graph(nodes, draws.integers(0, nodes, (edges, 2)).tolist(), **choices)


def everyone(walk: RandomWalk) -> np.ndarray:
    return np.ones(len(walk), bool)


@pytest.mark.parametrize("directed", [False, True])
def test_one_target_leaves_no_trace_for_the_next(directed: bool) -> None:
    walk = RandomWalk.on(random_graph(200, 500, directed=directed))
    used = ForwardPush(walk, alpha=0.15, epsilon=1e-5)
    for target in range(0, 200, 7):
        fresh = ForwardPush(walk, alpha=0.15, epsilon=1e-5)
        again, first = (push.best(target, 50, everyone(walk)) for push in (used, fresh))
        np.testing.assert_array_equal(again.nodes, first.nodes)
        np.testing.assert_array_equal(again.scores, first.scores)


def test_the_tail_brings_estimates_closer_to_the_truth() -> None:
    walk = RandomWalk.on(random_graph(400, 2000))
    exact, epsilon = PowerIteration(walk, alpha=0.15), 1e-4
    found = ForwardPush(walk, alpha=0.15, epsilon=epsilon).best(0, 20, everyone(walk))
    off = np.abs(found.scores - exact.solve(0)[found.nodes])
    assert (off <= epsilon * walk.degrees[found.nodes]).all()
    assert off.mean() < 0.1 * epsilon * walk.degrees[found.nodes].mean()


def test_looks_no_farther_than_epsilon_asks() -> None:
    walk = RandomWalk.on(toy_graph(1000, [(row, row + 1) for row in range(999)]))
    near, far = (
        ForwardPush(walk, alpha=0.5, epsilon=epsilon).best(0, 1000, everyone(walk)).nodes
        for epsilon in (1e-2, 1e-8)
    )
    assert 2 <= near.max() < far.max() < 30


def test_ends_where_one_weight_is_next_to_nothing() -> None:
    walk = RandomWalk.on(toy_graph(4, [(0, 1), (1, 2), (2, 3)], weights=[1e30, 1e-30, 1]))
    found = ForwardPush(walk, alpha=0.15, epsilon=1e-6).best(0, 4, everyone(walk))
    assert found.nodes[0] == 1


def test_ranks_by_the_quotient_where_a_divisor_is_given() -> None:
    star = [(0, leaf) for leaf in range(1, 9)] + [(1, leaf) for leaf in range(9, 30)]
    walk = RandomWalk.on(toy_graph(30, star))
    push = ForwardPush(walk, alpha=0.15, epsilon=1e-8)
    assert push.best(2, 2, everyone(walk)).nodes.tolist() == [0, 1]
    divided = push.best(2, 30, everyone(walk), divisor=walk.degrees)
    exact = PowerIteration(walk, alpha=0.15).best(2, 30, everyone(walk), divisor=walk.degrees)
    np.testing.assert_allclose(divided.scores, exact.scores, rtol=1e-3)
    assert set(divided.nodes) == set(exact.nodes)
