from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.attributed_graph import AttributedGraph
from graphcond.samplers.pagerank.power import chebyshev_steps, chebyshev_weights
from tests.samplers.toy_graphs import toy_graphs

alphas = st.floats(0.02, 0.95)


def walk_matrix(graph: AttributedGraph) -> tuple[np.ndarray, np.ndarray]:
    matrix = np.zeros((len(graph), len(graph)))
    rows = np.repeat(np.arange(len(graph)), np.diff(graph.indptr))
    matrix[rows, graph.indices] = 1.0 if graph.weights is None else graph.weights
    degrees = matrix.sum(axis=1)
    return (matrix / np.where(degrees > 0, degrees, 1)[:, None]).T, degrees


@settings(max_examples=150, deadline=None)
@given(graph=toy_graphs(directed=False), alpha=alphas, steps=st.integers(1, 30))
def test_the_errors_keep_their_bounds(graph: AttributedGraph, alpha: float, steps: int) -> None:
    step, degrees = walk_matrix(graph)
    for target in np.flatnonzero(degrees):
        start = np.eye(len(graph))[target]
        exact = np.linalg.solve(np.eye(len(graph)) - (1 - alpha) * step, alpha * start)
        before, now = np.zeros_like(start), start
        for weight in chebyshev_weights(alpha, steps):
            before, now = now, before + weight * ((1 - alpha) * step @ now + alpha * start - before)
        left = 1 / np.cosh(steps * np.arccosh(1 / (1 - alpha)))
        error = np.abs(now - exact)
        assert (error <= left * np.sqrt(degrees / degrees[target]) + 1e-13).all()
        assert error.sum() <= left * np.sqrt(degrees.sum() / degrees[target]) + 1e-13
        residual = np.abs((1 - alpha) * step @ now + alpha * start - now)
        assert error.sum() <= residual.sum() / alpha + 1e-13


@given(alpha=alphas, tolerance=st.floats(1e-12, 0.9))
def test_the_steps_are_enough_and_the_fewest(alpha: float, tolerance: float) -> None:
    def left(steps: int) -> float:
        return 1 / float(np.cosh(steps * np.arccosh(1 / (1 - alpha))))

    steps = chebyshev_steps(tolerance, alpha)
    assert left(steps) <= tolerance * (1 + 1e-9)
    assert steps == 1 or left(steps - 1) > tolerance * (1 - 1e-9)


def test_a_third_of_the_steps_of_power_iteration() -> None:
    assert chebyshev_steps(1e-6, 0.15) == 25
    assert np.log(1e-6) / np.log1p(-0.15) == pytest.approx(85, abs=0.1)


def test_weights_approach_what_golub_and_varga_give() -> None:
    found = chebyshev_weights(0.15, 40)
    assert found[:2].tolist() == [1.0, pytest.approx(2 / (2 - 0.85**2))]
    assert found[-1] == pytest.approx(2 / (1 + np.sqrt(1 - 0.85**2)))
