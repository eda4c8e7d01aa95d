from __future__ import annotations

import numpy as np
import pytest

from graphcond.attributed_graph import AttributedGraph
from graphcond.samplers import PPRSampler
from graphcond.samplers.pagerank.calibration import Best, PageRank, calibrated
from graphcond.samplers.pagerank.power import PowerIteration
from graphcond.samplers.pagerank.push import ForwardPush
from graphcond.samplers.pagerank.short_walks import ShortWalks
from graphcond.samplers.pagerank.walk import RandomWalk
from graphcond.samplers.ranking import RankingConstraints
from tests.samplers.toy_graphs import toy_graph

NODES = 5000


@pytest.fixture(scope="module", params=[False, True], ids=["undirected", "directed"])
def walk(request: pytest.FixtureRequest) -> RandomWalk:
    return RandomWalk.on(scale_free(directed=request.param))


def scale_free(*, directed: bool) -> AttributedGraph:
    draws = np.random.default_rng(0)
    weights = draws.pareto(1.8, NODES) + 1
    ends = draws.choice(NODES, (60_000, 2), p=weights / weights.sum())
    return toy_graph(NODES, ends.tolist(), directed=directed)


def everyone(walk: RandomWalk, count: int) -> RankingConstraints:
    return RankingConstraints(count, np.ones(len(walk), bool))


def precision(walk: RandomWalk, method: PageRank, count: int) -> float:
    targets = np.flatnonzero(walk.strengths)[5::15]
    truth = PowerIteration(walk, alpha=0.15).rank(targets, everyone(walk, count))
    found = method.rank(targets, everyone(walk, count))
    right = [
        np.isin(found.neighbors[row][found.present[row]], truth.neighbors[row]).sum()
        for row in range(len(targets))
    ]
    return float(np.sum(right) / truth.present.sum())


@pytest.mark.parametrize("aim", [0.9, 0.99])
def test_finds_as_many_of_the_best_as_asked(walk: RandomWalk, aim: float) -> None:
    method = calibrated(walk, everyone(walk, 50), alpha=0.15, precision=aim)
    assert precision(walk, method, 50) >= aim


def test_what_lies_too_far_for_the_usual_truth_is_found_too() -> None:
    """On a path the 50th node has a PageRank of 4e-7."""
    walk = RandomWalk.on(toy_graph(60_000, [(row, row + 1) for row in range(59_999)]))
    method = calibrated(walk, everyone(walk, 50), alpha=0.15, precision=0.99)
    found = method.rank(np.array([30_000]), everyone(walk, 50)).neighbors[0]
    assert sorted(found - 30_000) == [*range(-25, 0), *range(1, 26)]


@pytest.mark.parametrize("alpha", [0.15, 0.5])
def test_where_many_nodes_tie_the_precision_holds_up_to_ties(alpha: float) -> None:
    """Four random circles: 56 nodes are two steps away, with nearly the same PageRank."""
    draws, nodes = np.random.default_rng(0), 20_000
    circles = [draws.permutation(nodes) for _ in range(4)]
    ends = np.concatenate([np.stack([way, np.roll(way, 1)], axis=1) for way in circles])
    walk = RandomWalk.on(toy_graph(nodes, ends.tolist()))
    method = calibrated(walk, everyone(walk, 50), alpha=alpha, precision=0.99)
    assert isinstance(method, ShortWalks if alpha == 0.15 else ForwardPush)
    targets = draws.choice(nodes, 64, replace=False)
    exact = PowerIteration(walk, alpha=alpha).scores(targets, everyone(walk, 50))
    found = method.rank(targets, everyone(walk, 50)).neighbors
    missed = [Best.of(scores, 50).missed_by(row) for scores, row in zip(exact, found, strict=True)]
    assert 1 - np.mean(missed) >= 0.99


def test_nodes_that_tie_with_the_last_are_right() -> None:
    best = Best.of(np.array([0.0, 3.0, 1.0, 1.0 - 1e-6, 1.0 - 1e-4, 2.0]), 3)
    assert best.nodes.tolist() == [1, 2, 3, 5]
    assert best.missed_by(np.array([1, 5, 3])) == 0
    assert best.missed_by(np.array([1, 5, 4])) == pytest.approx(1 / 3)
    assert best.missed_by(np.array([1, 5, -1])) == pytest.approx(1 / 3)


def test_nothing_is_missed_where_there_is_nothing() -> None:
    assert Best.of(np.zeros(3), 2).missed_by(np.array([-1, -1])) == 0


def test_a_lower_precision_looks_at_fewer_edges() -> None:
    walk = RandomWalk.on(scale_free(directed=False))
    rough, fine = (calibrated(walk, everyone(walk, 50), alpha=0.15, precision=aim) for aim in (0.8, 0.97))
    assert isinstance(rough, ForwardPush)
    assert isinstance(fine, ForwardPush)
    few, many = (method.rank_and_count(np.arange(100), everyone(walk, 50))[1] for method in (rough, fine))
    assert few.mean() < many.mean()
    assert precision(walk, fine, 50) > precision(walk, rough, 50)


def test_the_choice_is_the_same_for_any_number_of_threads(walk: RandomWalk) -> None:
    one, three = (
        calibrated(walk, everyone(walk, 10), alpha=0.15, precision=0.95, threads=threads)
        for threads in (1, 3)
    )
    assert repr(one) == repr(three)


@pytest.mark.parametrize("edges", [[], [(0, 1)]])
def test_graphs_of_next_to_nothing_are_answered_too(edges: list[tuple[int, int]]) -> None:
    for nodes in (2, 3):
        sampler = PPRSampler(toy_graph(nodes, edges), neighbors=2)
        found = sampler.sample(np.array([0]), np.random.default_rng(0))
        assert found.neighbors.tolist() == [[1, -1] if edges else [-1, -1]]


def test_precision_1_is_exact() -> None:
    graph = scale_free(directed=False)
    targets = np.arange(0, NODES, 100)
    sure, exact = (
        PPRSampler(graph, neighbors=20, **choice).sample(targets, np.random.default_rng(0))  # type: ignore[arg-type]
        for choice in ({"precision": 1}, {"method": "exact"})
    )
    np.testing.assert_array_equal(sure.neighbors, exact.neighbors)
    assert "float64" in repr(PPRSampler(graph, precision=1).pagerank)
