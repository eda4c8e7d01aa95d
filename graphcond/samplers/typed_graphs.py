"""What samplers of walks let their user say about the types of nodes and edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float32

from graphcond.attributed_graph import AttributedGraph
from graphcond.errors import InputError, did_you_mean

PLACE = "edge_type_weights"


def with_edge_type_weights(graph: AttributedGraph, weights: Mapping[str, float]) -> AttributedGraph:
    """``graph`` whose edges weigh as many times what they did as ``weights`` says of their type.

    Edges of a type that weighs 0 are taken out, so that what is left of an unweighted graph may be
    unweighted too. The new weights take 4 bytes an edge.

    Args:
        graph: any, with edge types.
        weights: by the name of the type; types that are not named weigh 1.

    Raises:
        InputError: the graph has no edge types or not this one, or a weight is negative or not finite.
    """
    if not weights:
        return graph
    if graph.edge_types is None or not graph.edge_type_names:
        raise InputError(
            "the edges of the graph have no types",
            place=PLACE,
            remedy="leave it out, or give the edges a column of types",
        )
    factors = _factors(graph.edge_type_names, weights)
    if not factors.all():
        graph = _without(graph, (factors > 0)[graph.edge_types])
        factors[factors == 0] = 1
    if (factors == 1).all():
        return graph
    own = factors[graph.edge_types]
    return replace(graph, weights=own if graph.weights is None else own * graph.weights)


def _factors(names: tuple[str, ...], weights: Mapping[str, float]) -> Float32[np.ndarray, " types"]:
    for name, weight in weights.items():
        if name not in names:
            raise InputError(
                f"the graph has no edge type '{name}'", place=PLACE, remedy=did_you_mean(name, names)
            )
        if not (np.isfinite(weight) and weight >= 0):
            raise InputError(
                f"the weight of '{name}' is {weight}", place=PLACE, remedy="use a finite number of at least 0"
            )
    return np.array([weights.get(name, 1) for name in names], np.float32)


def _without(graph: AttributedGraph, kept: Bool[np.ndarray, " edges"]) -> AttributedGraph:
    counts, filled = np.zeros(len(graph), np.int64), np.diff(graph.indptr) > 0
    if filled.any():
        counts[filled] = np.add.reduceat(kept, graph.indptr[:-1][filled], dtype=np.int64)
    return replace(
        graph,
        indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        indices=graph.indices[kept],
        weights=None if graph.weights is None else graph.weights[kept],
        edge_types=None if graph.edge_types is None else graph.edge_types[kept],
    )
