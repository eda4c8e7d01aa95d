"""Reweight the edges of a graph by their type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from graphcond.attributed_graph import AttributedGraph
from graphcond.errors import InputError, did_you_mean
from graphcond.samplers.pagerank.walk import row_sums

PLACE = "edge_type_weights"


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
    if graph.edge_types is None or not graph.edge_type_names:
        raise InputError(
            "the edges of the graph have no types",
            place=PLACE,
            remedy="leave it out, or give the edges a column of types",
        )
    for name, weight in weights.items():
        if name not in graph.edge_type_names:
            raise InputError(
                f"the graph has no edge type '{name}'",
                place=PLACE,
                remedy=did_you_mean(name, graph.edge_type_names),
            )
        if not (np.isfinite(weight) and weight >= 0):
            raise InputError(
                f"the weight of '{name}' is {weight}", place=PLACE, remedy="use a finite number of at least 0"
            )
    factors = np.array([weights.get(name, 1) for name in graph.edge_type_names], np.float32)
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
