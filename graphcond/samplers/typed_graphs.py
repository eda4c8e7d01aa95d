"""What samplers of walks let their user say about the types of nodes and edges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from jaxtyping import Bool, Float32
from pydantic import Field

from graphcond.attributed_graph import AttributedGraph
from graphcond.errors import InputError, did_you_mean
from graphcond.samplers.base import NeighborSampler, NeighborSamplerConfig
from graphcond.samplers.quotas import Extensible, QuotaSampler, QuotasConfig

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


class TypedGraphFields(NeighborSamplerConfig):
    """The choices that `ppr` and `semantic_ppr` offer on graphs with types."""

    edge_type_weights: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """What to multiply the weights of edges by, by their type; 0 takes them out of the walk."""

    quotas: QuotasConfig = QuotasConfig()
    """At most so many neighbors of a node type, or in a relation to the target."""

    def arguments(self, *others: str) -> dict[str, Any]:
        """The settings that are not about types, but for `neighbors`, `kind` and ``others``."""
        return self.model_dump(exclude={"kind", "neighbors", "edge_type_weights", "quotas", *others})

    def on_types(
        self, graph: AttributedGraph, make: Callable[..., Extensible], *, first: int
    ) -> NeighborSampler:
        """The sampler that ``make`` gives, with the choices about types.

        Args:
            graph: where neighbors come from.
            make: called with the graph to walk on, and with how many ``neighbors`` to choose.
            first: how many to ask for at first where quotas pass some over.

        Raises:
            InputError: the graph does not have the types that are named.
        """
        sampler = make(with_edge_type_weights(graph, self.edge_type_weights), neighbors=self.neighbors)
        if not self.quotas.any:
            return sampler
        return QuotaSampler(sampler, graph, neighbors=self.neighbors, first=first, **self.quotas.model_dump())
