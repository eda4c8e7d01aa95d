"""Samplers: they choose the part of a graph that matters for one picture."""

from typing import TYPE_CHECKING

from graphcond import lazy_names

if TYPE_CHECKING:
    from graphcond.samplers.affiliation.graph import AffiliationGraph as AffiliationGraph
    from graphcond.samplers.affiliation_ppr import AffiliationPPRSampler as AffiliationPPRSampler
    from graphcond.samplers.base import NeighborSampler as NeighborSampler
    from graphcond.samplers.base import SceneSampler as SceneSampler
    from graphcond.samplers.base import sample_all as sample_all
    from graphcond.samplers.config import SAMPLERS as SAMPLERS
    from graphcond.samplers.config import AffiliationPPRSamplerConfig as AffiliationPPRSamplerConfig
    from graphcond.samplers.config import GivenSamplerConfig as GivenSamplerConfig
    from graphcond.samplers.config import HopMeanSamplerConfig as HopMeanSamplerConfig
    from graphcond.samplers.config import KHopSamplerConfig as KHopSamplerConfig
    from graphcond.samplers.config import NeighborSamplerConfig as NeighborSamplerConfig
    from graphcond.samplers.config import PPRSamplerConfig as PPRSamplerConfig
    from graphcond.samplers.config import PrecomputedSamplerConfig as PrecomputedSamplerConfig
    from graphcond.samplers.config import RandomSamplerConfig as RandomSamplerConfig
    from graphcond.samplers.config import SamplerConfig as SamplerConfig
    from graphcond.samplers.config import SceneSamplerConfig as SceneSamplerConfig
    from graphcond.samplers.config import SceneTriplesConfig as SceneTriplesConfig
    from graphcond.samplers.config import SemanticPPRSamplerConfig as SemanticPPRSamplerConfig
    from graphcond.samplers.config import SemanticSamplerConfig as SemanticSamplerConfig
    from graphcond.samplers.edge_types import RelatingSampler as RelatingSampler
    from graphcond.samplers.edge_types import structure_of as structure_of
    from graphcond.samplers.edge_types import with_edge_type_weights as with_edge_type_weights
    from graphcond.samplers.edge_types import with_relations as with_relations
    from graphcond.samplers.given import GivenSampler as GivenSampler
    from graphcond.samplers.hard_negatives import HardNegative as HardNegative
    from graphcond.samplers.hard_negatives import swapped as swapped
    from graphcond.samplers.hop_mean import HopMeanSampler as HopMeanSampler
    from graphcond.samplers.khop import KHopSampler as KHopSampler
    from graphcond.samplers.ppr import PPRSampler as PPRSampler
    from graphcond.samplers.precomputed import PrecomputedSampler as PrecomputedSampler
    from graphcond.samplers.quotas import QuotaSampler as QuotaSampler
    from graphcond.samplers.random import RandomSampler as RandomSampler
    from graphcond.samplers.ranking import Ranking as Ranking
    from graphcond.samplers.ranking import answer_each as answer_each
    from graphcond.samplers.ranking import best_first as best_first
    from graphcond.samplers.ranking import choosable as choosable
    from graphcond.samplers.scene_triples import SceneTriplesSampler as SceneTriplesSampler
    from graphcond.samplers.semantic import SemanticSampler as SemanticSampler
    from graphcond.samplers.semantic_ppr import SemanticPPRSampler as SemanticPPRSampler
    from graphcond.samplers.similarity.base import Similarity as Similarity
    from graphcond.samplers.similarity.config import SimilarityConfig as SimilarityConfig
    from graphcond.samplers.similarity.cosine import BlendSimilarity as BlendSimilarity
    from graphcond.samplers.similarity.cosine import ConsensusSimilarity as ConsensusSimilarity
    from graphcond.samplers.similarity.cosine import EmbeddingSimilarity as EmbeddingSimilarity
    from graphcond.samplers.similarity.cosine import ImageImageSimilarity as ImageImageSimilarity
    from graphcond.samplers.similarity.cosine import TextImageSimilarity as TextImageSimilarity
    from graphcond.samplers.similarity.cosine import TextTextSimilarity as TextTextSimilarity
else:
    __getattr__, __dir__, __all__ = lazy_names(__name__)
