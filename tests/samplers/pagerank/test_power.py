from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.attributed_graph import AttributedGraph
from graphcond.samplers.pagerank.power import PowerIteration
from graphcond.samplers.pagerank.walk import RandomWalk
from tests.samplers.toy_graphs import toy_graph, toy_graphs


def transition(graph: AttributedGraph, target: int) -> np.ndarray:
    """P of the definition, as a dense matrix; rows without edges lead to the target."""
    matrix = np.zeros((len(graph), len(graph)))
    for node in range(len(graph)):
        row = slice(graph.indptr[node], graph.indptr[node + 1])
        matrix[node, graph.indices[row]] = 1 if graph.weights is None else graph.weights[row]
    matrix[matrix.sum(1) == 0, target] = 1
    return matrix / matrix.sum(1, keepdims=True)


@settings(max_examples=100, deadline=None)
@given(graph=toy_graphs(), alpha=st.floats(0.01, 0.99))
def test_solves_the_equation_that_defines_it(graph: AttributedGraph, alpha: float) -> None:
    p = PowerIteration(RandomWalk.on(graph), alpha=alpha).solve(0)
    system = np.eye(len(graph)) - (1 - alpha) * transition(graph, 0).T
    start = np.eye(len(graph))[0]
    np.testing.assert_allclose(p, np.linalg.solve(system, alpha * start), atol=1e-11)
    assert p.sum() == pytest.approx(1)


def test_the_error_stays_below_the_tolerance() -> None:
    walk = RandomWalk.on(toy_graph(30, [(row, row + 1) for row in range(29)]))
    exact = PowerIteration(walk, alpha=0.05).solve(0)
    for tolerance in (1e-1, 1e-3, 1e-6):
        rough = PowerIteration(walk, alpha=0.05, tolerance=tolerance).solve(0)
        assert 0 < np.abs(rough - exact).sum() <= tolerance


def test_ends_even_where_rounding_hides_that_it_has_converged() -> None:
    walk = RandomWalk.on(toy_graph(3, [(0, 1), (1, 2)]))
    p = PowerIteration(walk, alpha=1e-4, tolerance=1e-15).solve(0)
    np.testing.assert_allclose(p, [0.25, 0.5, 0.25], atol=1e-4)
