"""Edges and their types: reweighted by type, and looked up between targets and neighbors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from graphcond.attributed_graph import ABSENT, AttributedGraph
from graphcond.context import NeighborContext
from graphcond.errors import InputError, at, did_you_mean
from graphcond.samplers.base import NeighborSampler
from graphcond.samplers.pagerank.walk import row_sums


def with_edge_type_weights(graph: AttributedGraph, weights: Mapping[str, float]) -> AttributedGraph:
    """``graph`` with the weight of each edge multiplied by the factor of its type.

    Edges of a type with factor 0 are removed: an unweighted graph then stays unweighted if all other factors
    are 1. New weights take 4 bytes an edge.

    Args:
        graph: a graph with edge types.
        weights: factors by the name of the type; types that are not named have factor 1.

    Raises:
        InputError: the graph has no edge types or lacks one that is named, or a factor is negative or not
            finite.
    """
    if not weights:
        return graph
    names = graph.edge_type_names
    with at("edge_type_weights"):
        if graph.edge_types is None or not names:
            problem = "the edges of the graph have no types"
            raise InputError(problem, remedy="leave it out, or give the edges a column of types")
        for name, weight in weights.items():
            if name not in names:
                raise InputError(f"the graph has no edge type '{name}'", remedy=did_you_mean(name, names))
            if not (np.isfinite(weight) and weight >= 0):
                problem = f"the weight of '{name}' is {weight}"
                raise InputError(problem, remedy="use a finite number of at least 0")
    factors = np.array([weights.get(name, 1) for name in names], np.float32)
    if not factors.all():
        kept = (factors > 0)[graph.edge_types]
        offsets = np.cumsum(row_sums(graph.indptr, kept)).astype(np.int64)
        graph = replace(
            graph,
            indptr=np.concatenate([[0], offsets]),
            indices=graph.indices[kept],
            weights=None if graph.weights is None else graph.weights[kept],
            edge_types=graph.edge_types[kept],
        )
        factors[factors == 0] = 1
    if (factors == 1).all():
        return graph
    own = factors[graph.edge_types]
    return replace(graph, weights=own if graph.weights is None else own * graph.weights)


def structure_of(
    graph: AttributedGraph, context: NeighborContext
) -> tuple[Bool[np.ndarray, "b n n"], Int64[np.ndarray, "b n n"] | None]:
    """The edges among the nodes of each row: the one that neighbors were chosen for, then the neighbors.

    Args:
        graph: the graph that ``context`` was sampled from.
        context: from any sampler.

    Returns:
        Where an edge leads from one to another, and 1 + its type, 0 where there is none; the latter is None
        if the graph has no edge types.
    """
    nodes = np.concatenate([context.around[:, None], context.neighbors], axis=1)
    there = nodes != ABSENT
    pairs = there[:, :, None] & there[:, None]
    row, source, target = np.nonzero(pairs)
    edges = np.full(pairs.shape, ABSENT, np.int64)
    edges[pairs] = edges_between(graph, nodes[row, source], nodes[row, target])
    linked = edges != ABSENT
    if graph.edge_types is None:
        return linked, None
    relations = np.zeros(pairs.shape, np.int64)
    relations[linked] = 1 + graph.edge_types[edges[linked]].astype(np.int64)
    return linked, relations


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
    """1 + the type of the edge from each of ``rows`` to its column; 0 where there is no edge."""
    edges = edges_between(graph, rows, columns)
    found = edges != ABSENT
    relations = np.zeros(len(rows), np.int64)
    relations[found] = 1 + types[edges[found]].astype(np.int64)
    return relations


def edges_between(
    graph: AttributedGraph, rows: Int64[np.ndarray, " m"], columns: Int64[np.ndarray, " m"]
) -> Int64[np.ndarray, " m"]:
    """The number of the edge from each of ``rows`` to its column; `ABSENT` where there is none.

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
    edges = np.full(len(rows), ABSENT, np.int64)
    edges[found] = low[found]
    return edges
