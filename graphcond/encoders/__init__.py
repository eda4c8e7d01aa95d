"""Encoders: from the context of a target to the signal that an injector reads."""

from typing import TYPE_CHECKING

from graphcond import lazy_names

if TYPE_CHECKING:
    from graphcond.encoders.base import Encoder as Encoder
    from graphcond.encoders.clip_graph import ClipGraph as ClipGraph
    from graphcond.encoders.config import ENCODERS as ENCODERS
    from graphcond.encoders.config import ClipGraphConfig as ClipGraphConfig
    from graphcond.encoders.config import EncoderConfig as EncoderConfig
    from graphcond.encoders.config import EncoderFields as EncoderFields
    from graphcond.encoders.config import GatConfig as GatConfig
    from graphcond.encoders.config import GCNConfig as GCNConfig
    from graphcond.encoders.config import GraphQFormerConfig as GraphQFormerConfig
    from graphcond.encoders.config import ImagePromptsConfig as ImagePromptsConfig
    from graphcond.encoders.config import LayoutConfig as LayoutConfig
    from graphcond.encoders.config import NeighborMeanConfig as NeighborMeanConfig
    from graphcond.encoders.config import PygConfig as PygConfig
    from graphcond.encoders.config import ReferencesConfig as ReferencesConfig
    from graphcond.encoders.config import SageConfig as SageConfig
    from graphcond.encoders.config import SentenceConfig as SentenceConfig
    from graphcond.encoders.config import TripleGCNConfig as TripleGCNConfig
    from graphcond.encoders.config import TripleTransformerConfig as TripleTransformerConfig
    from graphcond.encoders.graph_network import GraphNetwork as GraphNetwork
    from graphcond.encoders.graph_network import build_graph_network as build_graph_network
    from graphcond.encoders.graph_qformer import GraphQFormer as GraphQFormer
    from graphcond.encoders.image_prompts import ImagePrompts as ImagePrompts
    from graphcond.encoders.layout import Layout as Layout
    from graphcond.encoders.neighbor_mean import NeighborMean as NeighborMean
    from graphcond.encoders.neighbor_tokens import NeighborTokens as NeighborTokens
    from graphcond.encoders.object_tokens import ObjectTokens as ObjectTokens
    from graphcond.encoders.pyg import PygLayer as PygLayer
    from graphcond.encoders.references import ReferencesEncoder as ReferencesEncoder
    from graphcond.encoders.sentence import SentenceEncoder as SentenceEncoder
    from graphcond.encoders.triple_transformer import TripleTransformer as TripleTransformer
else:
    __getattr__, __dir__, __all__ = lazy_names(__name__)
