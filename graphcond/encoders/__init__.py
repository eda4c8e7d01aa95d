"""Encoders: from the context of a target to the signal that an injector reads."""

from graphcond.config import by_kind, tagged_union
from graphcond.encoders.base import Encoder
from graphcond.encoders.gat import GatConfig
from graphcond.encoders.gcn import GCNConfig
from graphcond.encoders.graph_network import GraphNetwork
from graphcond.encoders.graph_networks import build_graph_network
from graphcond.encoders.graph_qformer import GraphQFormer, GraphQFormerConfig
from graphcond.encoders.layout import Layout, LayoutConfig
from graphcond.encoders.neighbor_mean import NeighborMean, NeighborMeanConfig
from graphcond.encoders.object_tokens import ObjectTokens
from graphcond.encoders.sage import SageConfig
from graphcond.encoders.sentence import SentenceConfig, SentenceEncoder
from graphcond.encoders.triple_gcn import TripleGCNConfig
from graphcond.encoders.triple_transformer import TripleTransformer, TripleTransformerConfig

ENCODERS = by_kind(
    (
        GraphQFormerConfig,
        NeighborMeanConfig,
        TripleGCNConfig,
        GCNConfig,
        SageConfig,
        GatConfig,
        SentenceConfig,
        LayoutConfig,
        TripleTransformerConfig,
    ),
    "graphcond.encoders",
)
"""Every encoder config by its kind, plug-ins included."""

EncoderConfig = tagged_union(ENCODERS)
"""The pydantic type of an encoder in a recipe."""

__all__ = [
    "ENCODERS",
    "Encoder",
    "EncoderConfig",
    "GCNConfig",
    "GatConfig",
    "GraphNetwork",
    "GraphQFormer",
    "GraphQFormerConfig",
    "Layout",
    "LayoutConfig",
    "NeighborMean",
    "NeighborMeanConfig",
    "ObjectTokens",
    "SageConfig",
    "SentenceConfig",
    "SentenceEncoder",
    "TripleGCNConfig",
    "TripleTransformer",
    "TripleTransformerConfig",
    "build_graph_network",
]
