"""Shared by all samplers: which nodes may be chosen, their order, and the padding of rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Int64

from graphcond.attributed_graph import ABSENT, AttributedGraph
from graphcond.context import NeighborContext
from graphcond.errors import InputError

TIE = 1e-5
"""A score that differs from another by at most this share of it ties with it.

Such differences come from walks of many steps that two nodes do not share. Either node is then as good a
neighbor as the other, and a precision counts either as right.
"""


class Ranking(NamedTuple):
    """Nodes and their scores, best first."""

    nodes: Int64[np.ndarray, " c"]
    scores: Float32[np.ndarray, " c"]


@dataclass(frozen=True)
class RankingConstraints:
    """Constraints on a ranking: how many nodes, and which are allowed.

    Args:
        count: most nodes for each target.
        allowed: the nodes that may be chosen; a target is never chosen for itself.
        divisor: if given, each node's score is divided by its entry before the nodes are ranked.
    """

    count: int
    allowed: Bool[np.ndarray, " nodes"]
    divisor: Float64[np.ndarray, " nodes"] | None = None

    @property
    def arrays(self) -> tuple[Bool[np.ndarray, " nodes"], Float64[np.ndarray, " nodes_or_0"]]:
        """``allowed`` and ``divisor`` as compiled code reads them; a missing divisor is an empty array."""
        return self.allowed, np.empty(0) if self.divisor is None else self.divisor

    def empty_answer(self, targets: Int64[np.ndarray, " b"]) -> NeighborContext:
        """A context of the right shape without any neighbors, to be filled in."""
        shape = (len(targets), self.count)
        return NeighborContext(targets, np.full(shape, ABSENT, np.int64), np.zeros(shape, np.float32))


def best_first(nodes: Int[np.ndarray, " n"], scores: Float[np.ndarray, " n"], count: int) -> Ranking:
    """The ``count`` nodes with the highest scores; of equal ones (in float32) the lower row first."""
    scores = scores.astype(np.float32)
    if count < len(nodes):
        # Drop all that are below the last place first: the sort then takes few, however many nodes there are.
        last = np.partition(scores, len(nodes) - count)[len(nodes) - count]
        kept = scores >= last
        nodes, scores = nodes[kept], scores[kept]
    order = np.lexsort((nodes, -scores))[:count]
    return Ranking(nodes[order].astype(np.int64), scores[order])


def choosable(
    graph: AttributedGraph, forbidden: Int64[np.ndarray, " f"] | None, *, require_picture: bool
) -> Bool[np.ndarray, " nodes"]:
    """True for the nodes that a sampler may return.

    Raises:
        InputError: a forbidden node is not a row of the graph.
    """
    if require_picture:
        chosen = np.fromiter((picture is not None for picture in graph.nodes.pictures), bool, len(graph))
    else:
        chosen = np.ones(len(graph), bool)
    if forbidden is not None:
        chosen[known_rows(forbidden, len(graph), name="forbidden node")] = False
    return chosen


def known_rows(rows: Int[np.ndarray, " b"], nodes: int, *, name: str = "target") -> Int64[np.ndarray, " b"]:
    """Check that each of ``rows`` is a row of a graph with this many ``nodes``, and return them as int64.

    Raises:
        InputError: one is not; the message names the first. Or they are no list of whole numbers.
    """
    given = np.asarray(rows)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):  # a mask would name rows 0 and 1
        raise InputError(
            f"expected rows of {name}s as a list of whole numbers, got {given.dtype} of shape {given.shape}",
            remedy="give np.flatnonzero(mask) for a mask",
        )
    rows = given.astype(np.int64)
    unknown = rows[(rows < 0) | (rows >= nodes)]
    if len(unknown):
        raise InputError(
            f"{name} {unknown[0]} is not a row of the graph",
            remedy=f"use rows from 0 to {nodes - 1}" if nodes else "the graph has no nodes: give another",
        )
    return rows


def answer_each(
    targets: Int[np.ndarray, " b"], choose: Callable[[int], Ranking], *, nodes: int, neighbors: int
) -> NeighborContext:
    """Ask ``choose`` for the neighbors of each target and pad the answers to ``neighbors``.

    Raises:
        InputError: a target is not a row of a graph with this many ``nodes``.
    """
    targets = known_rows(targets, nodes)
    chosen = np.full((len(targets), neighbors), ABSENT, np.int64)
    scores = np.zeros((len(targets), neighbors), np.float32)
    for row, target in enumerate(targets.tolist()):
        answer = choose(target)
        chosen[row, : len(answer.nodes)] = answer.nodes
        scores[row, : len(answer.nodes)] = answer.scores
    return NeighborContext(targets, chosen, scores)


def draw_each(
    targets: Int[np.ndarray, " b"],
    choose: Callable[[int, np.random.Generator], Ranking],
    generator: np.random.Generator,
    *,
    nodes: int,
    neighbors: int,
) -> NeighborContext:
    """Like `answer_each`, with a generator for each target, which is seeded by the target and one draw.

    So chance does not depend on the batch in which a target comes.

    Raises:
        InputError: a target is not a row of a graph with this many ``nodes``.
    """
    seed = int(generator.integers(2**63))

    def drawn(target: int) -> Ranking:
        return choose(target, np.random.default_rng((seed, target)))

    return answer_each(targets, drawn, nodes=nodes, neighbors=neighbors)
