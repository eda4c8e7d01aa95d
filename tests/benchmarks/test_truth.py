from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from benchmarks.graphs import Size, generate
from benchmarks.truth import ALPHA, exact, read_right, right_nodes, write_right


def test_a_perfect_answer_is_right_and_the_target_does_not_count() -> None:
    right = right_nodes(np.array([9.0, 1.0, 3.0, 2.0, 0.0]), target=0, best=2)
    assert right.precision(np.array([2, 3])) == 1.0
    assert right.precision(np.array([3, 2])) == 1.0
    assert right.precision(np.array([0, 2])) == 0.5
    assert right.precision(np.array([1, 4])) == 0.0
    assert right.precision(np.array([], np.int64)) == 0.0


def test_any_of_those_that_tie_for_the_last_place_is_right() -> None:
    right = right_nodes(np.array([0.0, 3.0, 1.0, 1.0, 1.0, 0.5]), target=0, best=2)
    assert [right.precision(np.array([1, node])) for node in (2, 3, 4, 5)] == [1.0, 1.0, 1.0, 0.5]


def test_a_node_named_twice_counts_once() -> None:
    right = right_nodes(np.array([0.0, 3.0, 2.0]), target=0, best=2)
    assert right.precision(np.array([1, 1])) == 0.5


def test_where_fewer_are_reached_they_are_all_that_is_wanted() -> None:
    right = right_nodes(np.array([0.5, 0.3, 0.2, 0.0, 0.0]), target=0, best=4)
    assert right.count == 2
    assert right.precision(np.array([1, 2])) == 1.0


def test_values_are_those_of_networkx() -> None:
    graph = generate(Size(120, 400, 3))
    other = nx.Graph()
    other.add_nodes_from(range(len(graph)))
    other.add_edges_from((row, node) for row in range(len(graph)) for node in graph.neighbors(row).tolist())
    for target, values in exact(graph, np.arange(0, 120, 9)):
        wanted = nx.pagerank(other, 1 - ALPHA, personalization={target: 1}, tol=1e-14, max_iter=500)
        np.testing.assert_allclose(values, [wanted[node] for node in range(len(graph))], atol=1e-9)


def test_what_is_right_comes_back_from_its_file(tmp_path: Path) -> None:
    targets = np.array([2, 0])
    rights = [right_nodes(np.array([0.4, 0.3, 0.2, 0.2]), int(target), best=2) for target in targets]
    write_right(tmp_path / "right.npz", targets, rights)
    back = read_right(tmp_path / "right.npz")
    assert list(back) == [2, 0]
    for target, right in zip(targets.tolist(), rights, strict=True):
        np.testing.assert_array_equal(back[target].nodes, right.nodes)
        assert back[target].count == right.count


@pytest.mark.parametrize("missing", [1, 5])
def test_precision_falls_by_what_is_missing(missing: int) -> None:
    values = np.arange(100.0)
    right = right_nodes(values, target=0)
    best = np.arange(50, 100)
    best[:missing] = np.arange(1, missing + 1)
    assert right.precision(best) == pytest.approx(1 - missing / 50)
