"""Every graph network by its kind, for encoders that build on one."""

from __future__ import annotations

from typing import Any

from graphcond.encoders.config import (
    Backend,
    GatConfig,
    GCNConfig,
    GraphNetworkKind,
    ObjectTokensConfig,
    SageConfig,
    TripleGCNConfig,
)
from graphcond.encoders.graph_network import GraphNetwork

_CONFIGS: dict[str, type[ObjectTokensConfig]] = {
    config.kind_name(): config for config in (TripleGCNConfig, GCNConfig, SageConfig, GatConfig)
}


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
    settings: dict[str, Any] = {"node_width": width}
    if layers is not None:
        settings["layers"] = layers
    if kind == "gcn":
        settings["backend"] = backend
    return _CONFIGS[kind](**settings).network(input_width)
