"""The edge type between each neighbor and its target, looked up in the graph after sampling."""

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
    an edge, that of the edge back. It is 0 for neighbors further away. A context that already has relations,
    or whose graph has no edge types, is returned unchanged.

    Args:
        graph: the graph that ``context`` was sampled from.
        context: from any sampler.
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
    """Adds relations to the neighbors that another sampler chooses.

    Args:
        graph: the graph that ``sampler`` chooses from.
        sampler: any sampler of neighbors.
    """

    def __init__(self, graph: AttributedGraph, sampler: NeighborSampler) -> None:
        self._graph, self._sampler = graph, sampler

    def sample(self, targets: Int64[np.ndarray, " b"], generator: np.random.Generator) -> NeighborContext:
        """The other sampler's choice, with relations if the graph has edge types."""
        return with_relations(self._graph, self._sampler.sample(targets, generator))


def _types(
    graph: AttributedGraph,
    types: UInt8[np.ndarray, " edges"],
    rows: Int64[np.ndarray, " m"],
    columns: Int64[np.ndarray, " m"],
) -> Int64[np.ndarray, " m"]:
    """1 + the type of the edge from each of ``rows`` to its column; 0 where there is no edge.

    The neighbors of a node are sorted, so this is a binary search, done for all rows at once: a loop over
    single searches would spend its time in Python.
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
