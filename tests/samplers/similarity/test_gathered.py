from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from graphcond.attributed_graph import ABSENT
from graphcond.errors import InputError
from graphcond.samplers.similarity.base import unit_rows
from graphcond.samplers.similarity.gathered import Gathered

DTYPES = [np.float16, np.float32, np.float64]


def some_rows(dtype: type, nodes: int = 300, width: int = 77, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(nodes, width)).astype(dtype)


def some_nodes(targets: int = 20, candidates: int = 9, nodes: int = 300) -> np.ndarray:
    chosen = np.random.default_rng(1).integers(0, nodes, (targets, candidates))
    chosen[::3, 5:] = ABSENT
    return chosen


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [1, 7, 64, 77])
def test_cosines_are_those_of_numpy_in_double_precision(dtype: type, width: int) -> None:
    matrix, nodes = some_rows(dtype, width=width), some_nodes()
    queries = unit_rows(some_rows(np.float32, len(nodes), width, seed=2))
    wide = matrix.astype(np.float64)[nodes]
    wanted = (wide * queries[:, None].astype(np.float64)).sum(-1) / np.linalg.norm(wide, axis=-1)
    found = Gathered.of(matrix, nodes).cosines(queries)
    np.testing.assert_allclose(found, np.where(nodes == ABSENT, 0, wanted), atol=3e-7)
    assert found.dtype == np.float32


def test_every_float16_is_read_as_it_is() -> None:
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    matrix = np.stack([halves, np.ones_like(halves)], axis=1)
    found = Gathered.of(matrix, np.arange(len(halves))[:, None]).cosines(
        np.tile(np.array([1, 0], np.float32), (len(halves), 1))
    )[:, 0]
    wide = halves.astype(np.float64)
    # Half of all float16 are below 2^-9: float32 keeps 2^-24 of each.
    np.testing.assert_allclose(found, wide / np.sqrt(wide**2 + 1), rtol=5e-7)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_cosine_has_the_same_bits_in_every_batch(dtype: type) -> None:
    matrix, nodes = some_rows(dtype), some_nodes()
    queries = unit_rows(some_rows(np.float32, len(nodes), seed=2))
    together = Gathered.of(matrix, nodes).cosines(queries)
    for target in range(len(nodes)):
        alone = Gathered.of(matrix, nodes[target : target + 1, ::-1]).cosines(queries[target : target + 1])
        np.testing.assert_array_equal(alone[0, ::-1], together[target])


@pytest.mark.parametrize("dtype", DTYPES)
def test_equal_rows_have_equal_cosines_wherever_they_stand(dtype: type) -> None:
    matrix = np.tile(some_rows(dtype, nodes=1), (31, 1))
    cosines = Gathered.of(matrix, np.arange(31)[None]).cosines(unit_rows(some_rows(np.float32, 1, seed=2)))
    assert len(set(cosines[0].tolist())) == 1


@settings(max_examples=60, deadline=None)
@given(nodes=arrays(np.int64, (4, 6), elements=st.integers(-1, 9)))
def test_each_row_is_gathered_once_and_in_order(nodes: np.ndarray) -> None:
    matrix = np.arange(10, dtype=np.float32)[:, None]
    rows, places = Gathered.of(matrix, nodes)
    assert rows[:, 0].tolist() == sorted(set(nodes.ravel().tolist()) - {ABSENT})
    np.testing.assert_array_equal(places == ABSENT, nodes == ABSENT)
    present = nodes != ABSENT
    np.testing.assert_array_equal(rows[places[present], 0], nodes[present])


def test_a_memory_map_is_only_read(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", some_rows(np.float16))
    matrix, nodes = np.load(tmp_path / "rows.npy", mmap_mode="r"), some_nodes()
    queries = unit_rows(some_rows(np.float32, len(nodes), seed=2))
    np.testing.assert_array_equal(
        Gathered.of(matrix, nodes).cosines(queries),
        Gathered.of(some_rows(np.float16), nodes).cosines(queries),
    )


def test_the_order_of_an_array_in_memory_does_not_matter() -> None:
    matrix, nodes = some_rows(np.float16), some_nodes()
    queries = unit_rows(some_rows(np.float32, len(nodes), seed=2))
    wanted = Gathered.of(matrix, nodes).cosines(queries)
    for other in (np.asfortranarray(matrix), matrix.astype(">f2"), np.repeat(matrix, 2, axis=0)[::2]):
        np.testing.assert_array_equal(Gathered.of(other, nodes).cosines(queries), wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_rows_must_be_finite(dtype: type, wrong: float) -> None:
    matrix = some_rows(dtype)
    matrix[7, 70] = wrong
    gathered = Gathered.of(matrix, np.array([[3, 7, ABSENT]]))
    with pytest.raises(InputError, match=r"not finite.*without NaN"):
        gathered.cosines(np.ones((1, 77), np.float32))
    with pytest.raises(InputError, match=r"not finite.*without NaN"):
        gathered.weighted_sums(np.ones((1, 3), np.float32))


def test_weighted_sums_leave_out_who_is_absent() -> None:
    matrix = np.array([[9, 0], [0, 0.1], [0, 0], [5, 5]], np.float16)
    gathered = Gathered.of(matrix, np.array([[0, 1, ABSENT], [2, 1, 0]]))
    sums = gathered.weighted_sums(np.array([[2, 3, 50], [7, 1, 1]], np.float32))
    np.testing.assert_allclose(sums, [[2, 3], [1, 1]], rtol=1e-6)
