"""Configs of the samplers, as a recipe has them. Nothing here imports numba or torch."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np
from jaxtyping import Int64
from pydantic import Field, field_validator

from graphcond.attributed_graph import AttributedGraph, Column, NodeEmbeddings
from graphcond.config import ComponentConfig, Config, by_kind, lazy_registry
from graphcond.context import NeighborContext, SceneContext
from graphcond.errors import InputError
from graphcond.samplers.similarity.config import SimilarityConfig, TextImageConfig
from graphcond.scene_graph import MOST_OBJECTS, MOST_RELATIONSHIPS

if TYPE_CHECKING:
    from graphcond.samplers.base import NeighborSampler, SceneSampler

Weight = Annotated[float, Field(ge=0)]
Quota = Annotated[int, Field(ge=0)]


class NeighborSamplerConfig(ComponentConfig):
    """The settings of every neighbor sampler."""

    component: ClassVar[str | type[Any]] = "graphcond.samplers.base:NeighborSampler"

    makes: ClassVar = NeighborContext
    """The context that this family of samplers makes."""

    reads_embeddings: ClassVar[bool] = False
    """True if `build` needs ``embeddings``."""

    averages: ClassVar[bool] = False
    """True if encoders read means of neighbors instead of the neighbors."""

    neighbors: int = Field(5, ge=1, le=10_000)
    """Most neighbors of a target."""

    require_picture: bool = True
    """Choose only nodes that have a picture."""

    def columns(self) -> frozenset[Column]:
        """The parts of `NodeEmbeddings` that the sampler compares, or may compare."""
        return frozenset({"pictures", "texts"}) if self.reads_embeddings else frozenset()

    def requires(self) -> frozenset[Column]:
        """The parts of `NodeEmbeddings` without which `build` fails, as far as that is known."""
        return frozenset()

    def settings(self) -> dict[str, Any]:
        """The settings that answers depend on, as JSON: all except ``threads``."""
        return self.model_dump(mode="json", exclude={"threads"})

    def identity(self) -> tuple[object, ...]:
        """Input of `graphcond.io.fingerprint.fingerprint`: the settings, with files by their content."""
        return (self.settings(),)

    def build(
        self,
        *,
        graph: AttributedGraph,
        embeddings: NodeEmbeddings | None = None,
        forbidden: Int64[np.ndarray, " nodes"] | None = None,
    ) -> NeighborSampler:
        """The sampler over ``graph``.

        Args:
            graph: where neighbors come from.
            embeddings: vectors of the nodes; only samplers that compare nodes read them.
            forbidden: rows that are never chosen (test nodes); walks may pass through them.

        Raises:
            InputError: the graph or ``embeddings`` lack something that the sampler needs.
        """
        return self.make(graph=graph, forbidden=forbidden, **self.compared(embeddings))

    def compared(self, embeddings: NodeEmbeddings | None) -> dict[str, Any]:
        """The argument of `build` by which the class compares nodes, if it does."""
        return {"embeddings": embeddings}


class Comparing:
    """The methods of a config with a ``similarity``, which reads the embeddings."""

    if TYPE_CHECKING:
        similarity: SimilarityConfig

    def columns(self) -> frozenset[Column]:
        """Those that the similarity compares."""
        return self.similarity.columns()

    def requires(self) -> frozenset[Column]:
        """Those that the similarity requires."""
        return self.similarity.requires()

    def compared(self, embeddings: NodeEmbeddings | None) -> dict[str, Any]:
        """The similarity over the embeddings."""
        return {"similarity": self.similarity.build(embeddings)}


class GivenSamplerConfig(NeighborSamplerConfig):
    """The neighbors that the graph's source chose itself."""

    component = "graphcond.samplers.given:GivenSampler"
    kind: Literal["given"] = "given"


class RandomSamplerConfig(NeighborSamplerConfig):
    """Neighbors drawn at random from the whole graph, as a control."""

    component = "graphcond.samplers.random:RandomSampler"
    kind: Literal["random"] = "random"


class KHopSamplerConfig(NeighborSamplerConfig):
    """Neighbors at random among the nodes within a few steps, the nearest first."""

    component = "graphcond.samplers.khop:KHopSampler"
    kind: Literal["khop"] = "khop"

    hops: int = Field(1, ge=1)
    """Largest number of steps from the target to a neighbor."""


class HopMeanSamplerConfig(NeighborSamplerConfig):
    """The mean embedding of the nodes one step away, of those two steps away, and so on."""

    component = "graphcond.samplers.hop_mean:HopMeanSampler"
    averages = True
    kind: Literal["hop_mean"] = "hop_mean"

    neighbors: int = Field(64, ge=1, le=10_000)
    """Most nodes that are averaged, over all steps."""

    hops: int = Field(2, ge=1, le=64)
    """Largest number of steps from the target to a neighbor; each step has its own mean."""


class PrecomputedSamplerConfig(NeighborSamplerConfig):
    """Neighbors that `graphcond sample-all` sampled in advance."""

    component = "graphcond.samplers.precomputed:PrecomputedSampler"
    kind: Literal["precomputed"] = "precomputed"

    path: str
    """The file that `graphcond sample-all` wrote."""

    def identity(self) -> tuple[object, ...]:
        """The settings and the content of the file."""
        from graphcond.io.fingerprint import file_digest

        return (*super().identity(), file_digest(Path(self.path)))


class QuotasConfig(Config):
    """Most neighbors of a type or relation per target; those that are not named have no limit."""

    node_types: dict[str, Quota] = Field(default_factory=dict)
    """Most neighbors by the type of their node."""

    relations: dict[str, Quota] = Field(default_factory=dict)
    """Most neighbors by the type of their edge to the target."""

    @property
    def any(self) -> bool:
        """True if anything is limited."""
        return bool(self.node_types or self.relations)


class PPRFields(NeighborSamplerConfig):
    """The choices that `ppr` and `semantic_ppr` share."""

    edge_type_weights: dict[str, Weight] = Field(default_factory=dict)
    """Factors for the weights of edges, by their type; 0 takes edges out of the walk."""

    quotas: QuotasConfig = QuotasConfig()
    """Most neighbors of a node type, or in a relation to the target."""

    alpha: float = Field(0.15, gt=0, lt=1)
    """Probability that the walk returns to the target; higher stays closer to it."""

    precision: float = Field(0.99, gt=0, le=1)
    """Share of the nodes found that must belong to the exact best, on average; 1 is exact."""

    method: Literal["auto", "push", "exact"] = "auto"
    """The method for PageRank: `auto` is the fastest with that precision, `exact` reads the whole graph."""

    epsilon: float | None = Field(None, ge=1e-12, le=1e-2)
    """Largest residual per degree that a push leaves, instead of a precision; lower is slower."""

    degree_normalized: bool = False
    """Divide PageRank by the candidate's degree, so that hubs are not the neighbors of all targets."""

    threads: int = Field(1, ge=1, le=1024)
    """Number of threads; the answer does not depend on it."""

    @abstractmethod
    def first_asked(self, nodes: int) -> int:
        """Number of neighbors to ask for first in a graph of ``nodes``, if quotas skip some."""

    def build(
        self,
        *,
        graph: AttributedGraph,
        embeddings: NodeEmbeddings | None = None,
        forbidden: Int64[np.ndarray, " nodes"] | None = None,
    ) -> NeighborSampler:
        """The sampler over ``graph``, with the choices about types; see `NeighborSamplerConfig.build`."""
        from graphcond.samplers.edge_types import with_edge_type_weights
        from graphcond.samplers.quotas import QuotaSampler

        sampler = self.make(
            without=("edge_type_weights", "quotas"),
            graph=with_edge_type_weights(graph, self.edge_type_weights),
            forbidden=forbidden,
            **self.compared(embeddings),
        )
        if not self.quotas.any:
            return sampler
        return QuotaSampler(
            sampler,
            graph,
            neighbors=self.neighbors,
            first=self.first_asked(len(graph)),
            node_types=self.quotas.node_types,
            relations=self.quotas.relations,
        )


class PPRSamplerConfig(PPRFields):
    """Neighbors with the highest personalized PageRank."""

    component = "graphcond.samplers.ppr:PPRSampler"
    kind: Literal["ppr"] = "ppr"

    def first_asked(self, nodes: int) -> int:
        """Twice as many as are wanted, and at least 64."""
        return max(64, 2 * self.neighbors)


class SemanticPPRSamplerConfig(Comparing, PPRFields):
    """Neighbors most similar to the target among those with the highest personalized PageRank."""

    component = "graphcond.samplers.semantic_ppr:SemanticPPRSampler"
    reads_embeddings = True
    kind: Literal["semantic_ppr"] = "semantic_ppr"

    candidates: int = Field(50, ge=1)
    """Number of nodes that PageRank proposes to the similarity."""

    similarity: SimilarityConfig = TextImageConfig()
    """The comparison of candidates with the target."""

    diversity: float = Field(0.0, ge=0, le=1)
    """Weight of the neighbors' similarity to each other, which counts against them (maximal marginal
    relevance); 0 ranks by similarity to the target alone."""

    def first_asked(self, nodes: int) -> int:
        """All candidates and one more: its empty place shows that there are no others."""
        return min(self.candidates, nodes) + 1


class SemanticSamplerConfig(Comparing, NeighborSamplerConfig):
    """Neighbors most similar to the target, wherever they are in the graph."""

    component = "graphcond.samplers.semantic:SemanticSampler"
    reads_embeddings = True
    kind: Literal["semantic"] = "semantic"

    similarity: SimilarityConfig = TextImageConfig()
    """The comparison of nodes with the target; not `consensus` or `blend`, which need candidates."""

    @field_validator("similarity")
    @classmethod
    def _has_a_query(cls, similarity: SimilarityConfig) -> SimilarityConfig:
        if similarity.needs_candidates:
            raise no_candidates()
        return similarity


def no_candidates() -> InputError:
    """The error of a similarity that compares candidates, for a sampler without candidates."""
    return InputError(
        "this similarity reads the graph's candidates, and a semantic sampler has no candidates",
        remedy="use text_image, or the sampler kind semantic_ppr",
    )


class AffiliationPPRSamplerConfig(NeighborSamplerConfig):
    """Neighbors with the highest personalized PageRank where shared attributes are edges."""

    component = "graphcond.samplers.affiliation_ppr:AffiliationPPRSampler"
    kind: Literal["affiliation_ppr"] = "affiliation_ppr"

    attributes: dict[str, Weight] = Field(default_factory=dict)
    """Columns of the nodes, each with the weight of an edge between nodes that share a value."""

    separator: str = Field("|", min_length=1)
    """Separates the values of a cell that holds several."""

    edges: Weight = 0.0
    """Factor for the weights of the graph's stored edges, which are added; 0 leaves them out."""

    alpha: float = Field(0.15, gt=0, lt=1)
    """Probability that the walk returns to the target; higher stays closer to it."""

    tolerance: float = Field(1e-6, ge=1e-14, le=1e-2)
    """Bound on the sum of absolute errors of all nodes' PageRank, if it is iterated; higher is faster."""

    degree_normalized: bool = False
    """Divide PageRank by the weight of the candidate's edges, so that hubs rank lower."""

    threads: int = Field(1, ge=1, le=1024)
    """Number of threads; the answers do not depend on it."""


class SceneSamplerConfig(ComponentConfig):
    """Config of a sampler of scene graphs."""

    component: ClassVar[str | type[Any]] = "graphcond.samplers.base:SceneSampler"

    makes: ClassVar = SceneContext
    """The context that this family of samplers makes."""

    def requires(self) -> frozenset[Column]:
        """None: scene graphs are not compared."""
        return frozenset()

    def identity(self) -> tuple[object, ...]:
        """Input of `graphcond.io.fingerprint.fingerprint`: the settings."""
        return (self.model_dump(mode="json"),)

    def build(self) -> SceneSampler:
        """The sampler; each call gives it the scenes to read."""
        return self.make()


class SceneTriplesConfig(SceneSamplerConfig):
    """The objects, attributes and relations of a scene graph."""

    component = "graphcond.samplers.scene_triples:SceneTriplesSampler"
    kind: Literal["scene_triples"] = "scene_triples"

    objects: int = Field(30, ge=1, le=MOST_OBJECTS)
    """Most objects that are kept."""

    triples: int = Field(60, ge=0, le=MOST_RELATIONSHIPS)
    """Most relations and attributes that are kept, together."""

    attributes: bool = True
    """Keep attributes, each as a triple (object, "is", attribute)."""


OWN: tuple[type[ComponentConfig], ...] = (
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
)
"""The configs of the package's own samplers."""

if TYPE_CHECKING:
    SAMPLERS: dict[str, type[ComponentConfig]]
    """Config of every sampler by its kind, those of other packages included."""
    SamplerConfig: TypeAlias = Any  # of neighbors or of scenes: the data tell which
    """Any sampler's config, distinguished by ``kind``."""
else:
    __getattr__ = lazy_registry(
        __name__,
        "SAMPLERS",
        "SamplerConfig",
        lambda: by_kind(OWN, "graphcond.samplers", NeighborSamplerConfig, SceneSamplerConfig),
    )
