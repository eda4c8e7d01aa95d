"""What joins each chosen neighbor to its target, looked up in the graph once the choice is made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Int64, UInt8

from graphcond.attributed_graph import AttributedGraph
from graphcond.context import NeighborContext
from graphcond.samplers.base import NeighborSampler


def with_relations(graph: AttributedGraph, context: NeighborContext) -> NeighborContext:
    """``context`` with the relation of every neighbor, in the terms of ``graph.relation_names``.

    The relation is the type of the edge from the target to the neighbor; in a directed graph without such
    an edge, that of the edge back. It is 0 for neighbors further away. A context that has relations, and
    one of a graph without edge types, comes back as it is.

    Args:
        graph: where ``context`` was sampled.
        context: of any sampler.
    """
    if context.relations is not None or graph.edge_types is None:
        return context
    present = context.present
    targets = np.broadcast_to(context.targets[:, None], present.shape)[present]
    neighbors = context.neighbors[present]
    found = _types(graph, graph.edge_types, targets, neighbors)
    if graph.directed:
        back = _types(graph, graph.edge_types, neighbors, targets)
        found = np.where((found == 0) & (back > 0), back + len(graph.edge_type_names), found)
    relations = np.zeros(present.shape, np.int16)
    relations[present] = found
    return replace(context, relations=relations)


class RelatingSampler(NeighborSampler):
    """Chooses what another sampler does, and says what joins it to the target.

    Args:
        graph: where ``sampler`` chooses.
        sampler: any.
    """

    def __init__(self, graph: AttributedGraph, sampler: NeighborSampler) -> None:
        self._graph, self._sampler = graph, sampler

    def sample(self, targets: Int64[np.ndarray, " b"], generator: np.random.Generator) -> NeighborContext:
        """The sampler's choice, with relations where the graph has edge types."""
        return with_relations(self._graph, self._sampler.sample(targets, generator))


def _types(
    graph: AttributedGraph,
    types: UInt8[np.ndarray, " edges"],
    rows: Int64[np.ndarray, " m"],
    columns: Int64[np.ndarray, " m"],
) -> Int64[np.ndarray, " m"]:
    """1 + the type of the edge from each of ``rows`` to its column, 0 where there is none.

    A binary search in all rows at once: the rows of a graph are sorted.
    """
    low, end = graph.indptr[rows], graph.indptr[rows + 1]
    high = end.copy()
    while len(left := np.flatnonzero(low < high)):
        middle = (low[left] + high[left]) // 2
        below = graph.indices[middle] < columns[left]
        low[left] = np.where(below, middle + 1, low[left])
        high[left] = np.where(below, high[left], middle)
    inside = np.flatnonzero(low < end)
    found = inside[graph.indices[low[inside]] == columns[inside]]
    relations = np.zeros(len(rows), np.int64)
    relations[found] = 1 + types[low[found]].astype(np.int64)
    return relations
