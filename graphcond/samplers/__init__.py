"""Samplers: they choose, from a graph, what matters for one picture."""

from graphcond.config import by_kind, tagged_union
from graphcond.samplers.affiliation.graph import AffiliationGraph
from graphcond.samplers.affiliation_ppr import AffiliationPPRSampler, AffiliationPPRSamplerConfig
from graphcond.samplers.base import (
    NeighborSampler,
    NeighborSamplerConfig,
    SceneSampler,
    SceneSamplerConfig,
    sample_all,
)
from graphcond.samplers.given import GivenSampler, GivenSamplerConfig
from graphcond.samplers.hard_negatives import HardNegative, swapped
from graphcond.samplers.hop_mean import HopMeanSampler, HopMeanSamplerConfig
from graphcond.samplers.khop import KHopSampler, KHopSamplerConfig
from graphcond.samplers.ppr import PPRSampler, PPRSamplerConfig
from graphcond.samplers.precomputed import PrecomputedSampler, PrecomputedSamplerConfig
from graphcond.samplers.quotas import QuotaSampler
from graphcond.samplers.random import RandomSampler, RandomSamplerConfig
from graphcond.samplers.ranking import Ranking, answer_each, best_first, choosable
from graphcond.samplers.relations import RelatingSampler, with_relations
from graphcond.samplers.scene_triples import SceneTriplesConfig, SceneTriplesSampler
from graphcond.samplers.semantic import SemanticSampler, SemanticSamplerConfig
from graphcond.samplers.semantic_ppr import SemanticPPRSampler, SemanticPPRSamplerConfig
from graphcond.samplers.similarity.base import Similarity
from graphcond.samplers.similarity.blend import BlendSimilarity, SimilarityConfig
from graphcond.samplers.similarity.cosine import (
    ConsensusSimilarity,
    EmbeddingSimilarity,
    ImageImageSimilarity,
    TextImageSimilarity,
    TextTextSimilarity,
)
from graphcond.samplers.typed_graphs import with_edge_type_weights

SAMPLERS = by_kind(
    (
        SemanticPPRSamplerConfig,
        PPRSamplerConfig,
        AffiliationPPRSamplerConfig,
        SemanticSamplerConfig,
        KHopSamplerConfig,
        HopMeanSamplerConfig,
        RandomSamplerConfig,
        GivenSamplerConfig,
        PrecomputedSamplerConfig,
        SceneTriplesConfig,
    ),
    "graphcond.samplers",
)
"""Config of every sampler by its kind, those of other packages included."""

SamplerConfig = tagged_union(SAMPLERS)
"""Any sampler's config, told apart by ``kind``."""

__all__ = [
    "SAMPLERS",
    "AffiliationGraph",
    "AffiliationPPRSampler",
    "AffiliationPPRSamplerConfig",
    "BlendSimilarity",
    "ConsensusSimilarity",
    "EmbeddingSimilarity",
    "GivenSampler",
    "GivenSamplerConfig",
    "HardNegative",
    "HopMeanSampler",
    "HopMeanSamplerConfig",
    "ImageImageSimilarity",
    "KHopSampler",
    "KHopSamplerConfig",
    "NeighborSampler",
    "NeighborSamplerConfig",
    "PPRSampler",
    "PPRSamplerConfig",
    "PrecomputedSampler",
    "PrecomputedSamplerConfig",
    "QuotaSampler",
    "RandomSampler",
    "RandomSamplerConfig",
    "Ranking",
    "RelatingSampler",
    "SamplerConfig",
    "SceneSampler",
    "SceneSamplerConfig",
    "SceneTriplesConfig",
    "SceneTriplesSampler",
    "SemanticPPRSampler",
    "SemanticPPRSamplerConfig",
    "SemanticSampler",
    "SemanticSamplerConfig",
    "Similarity",
    "SimilarityConfig",
    "TextImageSimilarity",
    "TextTextSimilarity",
    "answer_each",
    "best_first",
    "choosable",
    "sample_all",
    "swapped",
    "with_edge_type_weights",
    "with_relations",
]
