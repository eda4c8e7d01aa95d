from __future__ import annotations

import numpy as np

from graphcond.attributed_graph import ABSENT, AttributedGraph, NodeTable
from graphcond.graphs import build_graph
from graphcond.graphs.inspect import find_leaks
from tests.graphs.graphs import edge_list

ALL_DIFFERENT = np.arange(5)


def graph(splits: list[str] | None, given: list[list[int]] | None = None) -> AttributedGraph:
    nodes = NodeTable(
        [str(row) for row in range(5)], [""] * 5, [f"{row}.png" for row in range(5)], splits=splits
    )
    return build_graph(nodes, edge_list([]), given=None if given is None else np.array(given, np.int64))


def test_no_leaks() -> None:
    given = [[1, 4], [0, ABSENT], [0, 1], [ABSENT] * 2, [ABSENT] * 2]
    assert not find_leaks(graph(["train", "train", "test", "val", ""], given), ALL_DIFFERENT)
    assert not find_leaks(graph(None), np.zeros(5, np.int64))


def test_a_picture_in_two_splits() -> None:
    same = np.array([0, 1, 1, 0, 0])
    leaks = find_leaks(graph(["train", "train", "test", "val", ""]), same)
    assert leaks.shared_pictures == [(2, 1), (3, 0)]
    assert not find_leaks(graph(["train"] * 5), np.zeros(5, np.int64))


def test_nodes_without_picture_share_none() -> None:
    assert not find_leaks(graph(["train", "test", "", "", ""], [[2], [3], [4], [0], [0]]), np.full(5, -1))


def test_a_target_among_its_given_neighbors_by_row_or_by_picture() -> None:
    given = [[0, 1], [3, 2], [ABSENT] * 2, [ABSENT] * 2, [ABSENT] * 2]
    leaks = find_leaks(graph(None, given), np.array([0, 1, 2, 1, 4]))
    assert leaks.given_targets == [(0, 0), (1, 3)]
    assert leaks.given_held_out == []


def test_a_target_without_picture_among_its_given_neighbors() -> None:
    given = [[0, 1], [0, ABSENT], [ABSENT] * 2, [ABSENT] * 2, [ABSENT] * 2]
    assert find_leaks(graph(None, given), np.full(5, -1)).given_targets == [(0, 0)]


def test_held_out_nodes_given_as_neighbors() -> None:
    given = [[2, 4], [3, 0], [3, ABSENT], [ABSENT] * 2, [ABSENT] * 2]
    leaks = find_leaks(graph(["train", "train", "test", "unseen", ""], given), ALL_DIFFERENT)
    assert leaks.given_held_out == [(0, 2), (1, 3), (2, 3)]
    assert leaks.given_targets == []


def test_splits_in_any_spelling() -> None:
    leaks = find_leaks(graph(["Train", "TRAIN ", "Testing", "Valid", ""]), np.array([0, 1, 1, 0, 0]))
    assert leaks.shared_pictures == [(2, 1), (3, 0)]
