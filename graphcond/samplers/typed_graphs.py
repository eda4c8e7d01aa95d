"""What samplers of walks let their user say about the types of nodes and edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from graphcond.samplers.base import NeighborSampler, NeighborSamplerConfig
from graphcond.samplers.edge_types import with_edge_type_weights
from graphcond.samplers.quotas import Extensible, QuotaSampler, QuotasConfig
from graphcond.types import AttributedGraph


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
