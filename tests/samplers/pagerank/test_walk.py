from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graphcond.errors import InputError
from graphcond.samplers.pagerank.walk import RandomWalk
from tests.samplers.toy_graphs import toy_graph
from tests.typecheck import unchecked

EDGES = [(0, 1), (1, 2), (3, 1)]


def test_strengths_are_degrees_where_nothing_is_weighted() -> None:
    walk = RandomWalk.on(toy_graph(5, EDGES))
    assert walk.strengths.tolist() == walk.degrees.tolist() == walk.incoming.tolist() == [1, 3, 1, 1, 0]
    assert len(walk.weights) == 0


def test_degrees_do_not_depend_on_the_unit_of_weights() -> None:
    small, large = (RandomWalk.on(toy_graph(5, EDGES, weights=[u, 2 * u, 3 * u])) for u in (1e-3, 1e3))
    np.testing.assert_allclose(small.degrees, large.degrees, rtol=1e-6)
    np.testing.assert_allclose(large.strengths, [1e3, 6e3, 2e3, 3e3, 0])


def test_equal_weights_are_no_weights() -> None:
    weighted = RandomWalk.on(toy_graph(5, EDGES, weights=[7, 7, 7]))
    np.testing.assert_allclose(weighted.degrees, RandomWalk.on(toy_graph(5, EDGES)).degrees)


def test_in_a_directed_graph_what_comes_in_differs_from_what_leaves() -> None:
    walk = RandomWalk.on(toy_graph(5, EDGES, weights=[1, 2, 4], directed=True))
    assert walk.strengths.tolist() == [1, 2, 0, 4, 0]
    assert walk.incoming.tolist() == [0, 5, 2, 0, 0]


def test_a_memory_map_is_used_not_copied(tmp_path: Path) -> None:
    graph = toy_graph(5, EDGES)
    np.save(tmp_path / "indices.npy", graph.indices)
    mapped = np.load(tmp_path / "indices.npy", mmap_mode="r")
    assert np.shares_memory(RandomWalk.on(replace(graph, indices=mapped)).indices, mapped)


@pytest.mark.parametrize("width", [np.uint8, np.int16, np.int32, np.int64])
def test_any_width_of_index_will_do(width: type) -> None:
    graph = toy_graph(5, EDGES)
    walk = RandomWalk.on(replace(graph, indices=graph.indices.astype(width)))
    assert walk.indices.tolist() == graph.indices.tolist()
    assert walk.indices.dtype in (np.uint32, np.uint64)


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"indices": np.array([1, 0, 2, 3, 1, 9])}, "a node that does not exist"),
        ({"indices": np.array([1, 0, 2, 3, 1, -1])}, "a node that does not exist"),
        ({"indices": np.array([1, 0, 2, 3, 1])}, "offsets do not fit"),
        ({"indptr": np.array([0, 1, 4, 5, 6])}, "offsets do not fit"),
        ({"indptr": np.array([0, 4, 1, 5, 6, 6])}, "offsets do not fit"),
        ({"weights": np.array([1, 1, 1, 1, 1, -1], np.float32)}, "at least 0"),
        ({"weights": np.array([1, 1, 1, 1, 1, np.nan], np.float32)}, "finite"),
        ({"weights": np.ones(5, np.float32)}, "one for each edge"),
    ],
)
def test_broken_arrays_never_reach_compiled_code(arrays: dict[str, np.ndarray], problem: str) -> None:
    with unchecked():
        graph = replace(toy_graph(5, EDGES), **arrays)
    with pytest.raises(InputError, match=problem):
        RandomWalk.on(graph)


def test_a_graph_may_be_empty() -> None:
    assert len(RandomWalk.on(toy_graph(0))) == 0
