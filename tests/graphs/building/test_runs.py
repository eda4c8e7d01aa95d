from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphcond.attributed_graph import EdgeList
from graphcond.graphs.building.in_memory import Arcs, arcs_of, join_arcs
from graphcond.graphs.building.on_disk import SortedRuns
from tests.graphs.graphs import edge_list, edge_pairs


def merged(folder: Path, parts: list[Arcs], nodes: int, most: int) -> list[tuple[int, int, Arcs]]:
    runs = SortedRuns(folder)
    for part in parts:
        runs.write(part, nodes)
    return list(runs.merged(nodes, most))


@given(st.lists(edge_pairs(), min_size=1, max_size=4), st.integers(1, 12))
def test_runs_merge_to_what_one_sort_gives(
    tmp_path_factory: pytest.TempPathFactory, drawn: list, most: int
) -> None:
    nodes = max(count for count, _ in drawn)
    parts = [arcs_of(edge_list(pairs), None, directed=True) for _, pairs in drawn]
    folder = tmp_path_factory.mktemp("runs")
    ranges = merged(folder, parts, nodes, most)
    whole = join_arcs(parts).sorted().merged()
    assert [first for first, _, _ in ranges] == [0, *(end for _, end, _ in ranges)][: len(ranges)]
    assert (ranges[-1][1] if ranges else 0) == nodes
    found = [key for _, _, arcs in ranges for key in arcs.keys.tolist()]
    assert found == whole.keys.tolist()


def test_no_more_arcs_at_once_than_asked_for_but_in_a_large_row(tmp_path: Path) -> None:
    star = EdgeList(np.zeros(9, np.int64), np.arange(1, 10))
    ranges = merged(tmp_path, [arcs_of(star, None, directed=False)], 10, 4)
    assert [(first, end, len(arcs)) for first, end, arcs in ranges] == [
        (0, 1, 9),
        (1, 5, 4),
        (5, 9, 4),
        (9, 10, 1),
    ]


def test_the_first_run_gives_the_type_and_all_give_weight(tmp_path: Path) -> None:
    keys = np.array([5], np.uint64)
    parts = [
        Arcs(keys, np.array([w], np.float32), np.array([t], np.uint8)) for w, t in ((1, 7), (2, 3), (4, 9))
    ]
    ((_, _, arcs),) = merged(tmp_path, parts, 1, 9)
    assert arcs.weights is not None
    assert arcs.types is not None
    assert (arcs.keys.tolist(), arcs.weights.tolist(), arcs.types.tolist()) == ([5], [7.0], [7])
