"""Ways in which what is held out for testing shows up where it must not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from graphcond.types import ABSENT, AttributedGraph

TRAIN = "train"


@dataclass(frozen=True)
class Leaks:
    """Rows of nodes, in pairs; a split other than train and "" counts as held out."""

    shared_pictures: list[tuple[int, int]]
    """Held-out nodes whose picture a training node has too: (held out, training)."""
    given_targets: list[tuple[int, int]]
    """Targets among whose given neighbors their own picture is: (target, neighbor)."""
    given_held_out: list[tuple[int, int]]
    """Held-out nodes that are given as neighbors: (target, neighbor)."""

    def __bool__(self) -> bool:
        return bool(self.shared_pictures or self.given_targets or self.given_held_out)


def find_leaks(graph: AttributedGraph, same: Int64[np.ndarray, " nodes"]) -> Leaks:
    """Find leaks between splits and among given neighbors.

    Args:
        graph: any graph.
        same: for every node the first node with the same picture, as `same_pictures` finds it.
    """
    held_out = _held_out(graph)
    if graph.given is None:
        return Leaks(_shared(graph, same, held_out), [], [])
    targets, column = np.nonzero(graph.given != ABSENT)
    neighbors = graph.given[targets, column]
    own = (neighbors == targets) | ((same[neighbors] == same[targets]) & (same[targets] != ABSENT))
    return Leaks(
        shared_pictures=_shared(graph, same, held_out),
        given_targets=_pairs(targets[own], neighbors[own]),
        given_held_out=_pairs(targets[held_out[neighbors]], neighbors[held_out[neighbors]]),
    )


def _held_out(graph: AttributedGraph) -> Bool[np.ndarray, " nodes"]:
    splits = graph.nodes.splits
    if splits is None:
        return np.zeros(len(graph), bool)
    return np.array([split not in (TRAIN, "") for split in splits], bool)


def _shared(
    graph: AttributedGraph, same: Int64[np.ndarray, " nodes"], held_out: Bool[np.ndarray, " nodes"]
) -> list[tuple[int, int]]:
    training = {int(same[row]): int(row) for row in graph.nodes.in_split(TRAIN) if same[row] != ABSENT}
    tested = np.flatnonzero(held_out).tolist()
    return [(row, training[int(same[row])]) for row in tested if int(same[row]) in training]


def _pairs(left: Int64[np.ndarray, " n"], right: Int64[np.ndarray, " n"]) -> list[tuple[int, int]]:
    return list(zip(left.tolist(), right.tolist(), strict=True))
