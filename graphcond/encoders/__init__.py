"""Encoders: from the context of a target to the signal that an injector reads."""

from graphcond.component import by_kind, tagged_union
from graphcond.encoders.base import Encoder
from graphcond.encoders.graph_qformer import GraphQFormer, GraphQFormerConfig
from graphcond.encoders.neighbor_mean import NeighborMean, NeighborMeanConfig

ENCODERS = by_kind((GraphQFormerConfig, NeighborMeanConfig), "graphcond.encoders")
"""Every encoder config by its kind, plug-ins included."""

EncoderConfig = tagged_union(ENCODERS)
"""The pydantic type of an encoder in a recipe."""

__all__ = [
    "ENCODERS",
    "Encoder",
    "EncoderConfig",
    "GraphQFormer",
    "GraphQFormerConfig",
    "NeighborMean",
    "NeighborMeanConfig",
]
