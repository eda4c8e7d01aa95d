from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.samplers import AffiliationGraph
from graphcond.samplers.affiliation import elimination
from graphcond.samplers.affiliation.direct import AffiliationSolver
from graphcond.samplers.affiliation.iteration import AffiliationIteration
from graphcond.samplers.pagerank.power import PowerIteration
from graphcond.samplers.ranking import RankingConstraints, best_first
from tests.samplers.toy_affiliations import KINDS, VALUES, Lists, implied, membership, stored, weight


def solver(graph: AffiliationGraph, alpha: float = 0.15) -> AffiliationSolver:
    found = AffiliationSolver.on(graph, alpha=alpha)
    assert found is not None
    return found


@settings(max_examples=150, deadline=None)
@given(
    lists=st.lists(membership, min_size=1, max_size=12),
    weights=st.tuples(weight, weight),
    alpha=st.floats(0.02, 0.95),
)
def test_equals_power_iteration_on_the_stored_cliques(
    lists: Lists, weights: tuple[float, float], alpha: float
) -> None:
    graph = implied(lists, weights)
    walk = stored(lists, weights)
    theirs = PowerIteration(walk, alpha=alpha)
    direct, iterated = solver(graph, alpha), AffiliationIteration(graph, alpha=alpha)
    for target in range(len(lists)):
        expected = theirs.solve(target)
        for ours, bound in ((direct, 1e-12), (iterated, 1e-11)):
            found = ours.solve(target)
            np.testing.assert_allclose(found, expected, atol=bound)
            np.testing.assert_array_equal(found > 0, expected > 0)
            assert found.sum() == pytest.approx(1)
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
    np.testing.assert_allclose(solver(implied(lists)).solve(7), expected, atol=1e-13)
    np.testing.assert_allclose(
        AffiliationIteration(implied(lists), alpha=0.15).solve(7), expected, atol=1e-11
    )


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("alpha", [1e-3, 0.15, 0.999])
def test_the_residual_is_rounding_on_graphs_of_any_shape(scale: float, alpha: float) -> None:
    draws = np.random.default_rng(2)
    kinds = np.repeat([0, 1], [300, 20])
    lists = [
        sorted({int(draws.zipf(1.6)) % 300, *(300 + draws.integers(0, 20, draws.integers(0, 4)))})
        for _ in range(2_000)
    ]
    graph = AffiliationGraph(
        np.cumsum([0, *map(len, lists)]),
        np.concatenate([np.array(values) for values in lists]),
        kinds,
        {"artist": scale, "tag": 1.0},
    )
    ours = solver(graph, alpha)
    for target in (0, 1, 1_999):
        p = ours.solve(target)
        y = np.divide(p, graph.strengths, out=np.zeros_like(p), where=graph.strengths > 0)
        rows, weights = np.repeat(np.arange(2_000), np.diff(graph.indptr)), graph.value_weights[graph.values]
        sums = np.bincount(graph.values, y[rows], 320)
        step = np.bincount(rows, weights * (sums[graph.values] - y[rows]), 2_000)
        residual = (1 - alpha) * step + alpha * (np.arange(2_000) == target) - p
        # The sum of errors is at most that of residuals / alpha.
        assert np.abs(residual).sum() <= 1e-13
        assert p.sum() == pytest.approx(1, rel=1e-13 / alpha)


@settings(max_examples=100, deadline=None)
@given(
    lists=st.lists(membership, min_size=2, max_size=40),
    count=st.integers(1, 45),
    divided=st.booleans(),
    data=st.data(),
)
def test_the_ranking_is_that_of_all_probabilities(
    lists: Lists, count: int, divided: bool, data: st.DataObject
) -> None:
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=len(lists), max_size=len(lists))))
    ours = solver(implied(lists))
    divisor = ours.incoming if divided else None
    targets = np.arange(len(lists))
    answer = ours.rank(targets, RankingConstraints(count, allowed, divisor))
    for target in targets:
        p = ours.solve(int(target))
        nodes = np.flatnonzero(allowed & (p > 0) & (targets != target))
        expected = best_first(nodes, p[nodes] if divisor is None else p[nodes] / divisor[nodes], count)
        here = answer.present[target]
        np.testing.assert_array_equal(answer.neighbors[target][here], expected.nodes)
        np.testing.assert_allclose(answer.scores[target][here], expected.scores, rtol=1e-6)


def test_ties_of_different_profiles_go_by_row_too() -> None:
    # 1, 3 and 5 share the artist, 2 and 4 the year; by symmetry all score alike to 0.
    lists = [[0, 3], [0], [3], [0], [3], [0], [3]]
    answer = solver(implied(lists, (1.0, 1.0))).rank(np.array([0]), RankingConstraints(4, np.ones(7, bool)))
    assert answer.neighbors.tolist() == [[1, 2, 3, 4]]
    assert len(set(answer.scores[0].tolist())) == 1


def test_nodes_with_the_same_values_get_the_same_bits() -> None:
    draws = np.random.default_rng(1)
    profiles = [sorted(set(draws.integers(0, VALUES, 3).tolist())) for _ in range(8)]
    p = solver(implied(profiles * 20)).solve(3).reshape(20, 8)
    assert (p[1:] == p[1]).all()


def test_threads_and_batches_change_nothing() -> None:
    draws = np.random.default_rng(4)
    lists = [sorted(set(draws.integers(0, VALUES, 3).tolist())) for _ in range(200)]
    ours, wanted = solver(implied(lists)), RankingConstraints(9, draws.random(200) < 0.5)
    whole = ours.rank(np.arange(200), wanted)
    for threads in (2, 3):
        shared = ours.rank(np.arange(200), wanted, threads=threads)
        np.testing.assert_array_equal(shared.neighbors, whole.neighbors)
        np.testing.assert_array_equal(shared.scores, whole.scores)
    alone = ours.rank(np.array([77]), wanted)
    np.testing.assert_array_equal(alone.neighbors[0], whole.neighbors[77])
    np.testing.assert_array_equal(alone.scores[0], whole.scores[77])


def test_a_large_core_or_long_lists_are_left_to_the_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = [[0, 1, 3], [1, 2, 4], [0, 2, 5], [3, 4, 5]]
    assert AffiliationSolver.on(implied(lists), alpha=0.15) is not None
    monkeypatch.setattr(elimination, "CORE", 3)
    assert AffiliationSolver.on(implied(lists), alpha=0.15) is None
    monkeypatch.undo()
    monkeypatch.setattr(elimination, "PAIRS", 0)
    assert AffiliationSolver.on(implied(lists), alpha=0.15) is None


def test_the_core_leaves_out_a_kind_whose_values_never_meet() -> None:
    lists = [[0, 3, 4], [1, 3, 5], [2, 4, 5], [2, 3]]
    profiles = elimination.Profiles.of(implied([*lists, *lists]))
    solution = elimination.eliminate(implied([*lists, *lists]), profiles, 0.15)
    assert solution is not None
    assert (solution.place >= 0).tolist() == [kind == 1 for kind in KINDS]


def test_the_inverse_is_right_and_keeps_the_signs_of_an_m_matrix() -> None:
    draws = np.random.default_rng(5)
    for size in (1, 2, 3, 130, 261):
        links = np.triu(draws.random((size, size)) * (draws.random((size, size)) < 0.5), 1)
        links += links.T
        matrix = np.diag(links.sum(axis=0) + 0.1) - links
        inverse = elimination._inverse(matrix)
        np.testing.assert_allclose(inverse @ matrix, np.eye(size), atol=1e-11)
        assert (inverse >= 0).all()
        apart = np.block([[matrix, np.zeros((size, size))], [np.zeros((size, size)), matrix]])
        assert not elimination._inverse(apart)[:size, size:].any()
