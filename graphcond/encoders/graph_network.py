"""A graph network over scenes or neighbors: embeddings in, a vector for each node out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from graphcond.context import SceneFeatures
from graphcond.encoders.config import (
    Backend,
    GatConfig,
    GCNConfig,
    GraphNetworkKind,
    ObjectTokensConfig,
    SageConfig,
    TripleGCNConfig,
)
from graphcond.encoders.scene_graphs import PackedGraphs, pack


class GraphLayer(nn.Module, ABC):
    """One round of messages between the nodes of a graph along its triples.

    It reads and gives vectors of one width. ``predicate_parts`` says how many such vectors a triple has:
    one, or one for each direction in which it is read (from subject to object, then back), or none for a
    layer that reads no predicates.
    """

    predicate_parts: int = 1

    @abstractmethod
    def forward(self, graph: PackedGraphs) -> PackedGraphs:
        """The graph with new vectors."""


class GraphNetwork(nn.Module):
    """Normalizes and projects embeddings (any frozen encoder's), then applies graph layers.

    Args:
        input_width: d, width of the embeddings.
        width: w, width of the vectors inside and of those it gives.
        layers: read and give vectors of that width.
    """

    def __init__(self, input_width: int, width: int, layers: Sequence[GraphLayer]) -> None:
        super().__init__()
        self.width = width
        parts = layers[0].predicate_parts if layers else 1
        self.read_nodes = nn.Sequential(nn.LayerNorm(input_width), nn.Linear(input_width, width))
        self.read_predicates = (
            nn.Sequential(nn.LayerNorm(input_width), nn.Linear(input_width, parts * width)) if parts else None
        )
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(width)

    @property
    def reads_predicates(self) -> bool:
        """True unless its layers read the nodes and the edges between them alone."""
        return self.read_predicates is not None

    def forward(self, context: SceneFeatures) -> Float[Tensor, "b n w"]:
        """A vector for each node, objects and attributes alike; zero where none is."""
        return self.vectors(pack(context.to(dtype=self.norm.weight.dtype)))

    def vectors(self, graph: PackedGraphs) -> Float[Tensor, "b n w"]:
        """A vector for each node of embedded graphs; zero where none is."""
        predicates = (
            graph.predicates if self.read_predicates is None else self.read_predicates(graph.predicates)
        )
        graph = graph.having(self.read_nodes(graph.nodes), predicates)
        for layer in self.layers:
            graph = layer(graph)
        return graph.having(self.norm(graph.nodes), graph.predicates).unpack()


def build_graph_network(
    kind: GraphNetworkKind,
    input_width: int,
    *,
    width: int = 128,
    layers: int | None = None,
    backend: Backend = "auto",
) -> GraphNetwork:
    """A graph network with the settings of the encoder of that kind.

    Args:
        kind: as encoders are called.
        input_width: d, width of the words' embeddings.
        width: of the vectors it gives.
        layers: rounds; as many as the encoder takes unless given.
        backend: read by ``gcn``; the others know torch alone.

    Raises:
        InputError: DGL is requested and cannot be imported.
    """
    known = (TripleGCNConfig, GCNConfig, SageConfig, GatConfig)
    configs: dict[str, type[ObjectTokensConfig]] = {one.kind_name(): one for one in known}
    settings: dict[str, Any] = {"node_width": width}
    if layers is not None:
        settings["layers"] = layers
    if kind == "gcn":
        settings["backend"] = backend
    return configs[kind](**settings).network(input_width)
