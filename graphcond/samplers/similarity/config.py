"""Configs of the similarities, as a recipe has them. Nothing here imports numba or torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from pydantic import Field

from graphcond.attributed_graph import Column, NodeEmbeddings
from graphcond.config import ComponentConfig, by_kind, tagged_union

if TYPE_CHECKING:
    from graphcond.samplers.similarity.base import Similarity


class SimilarityFields(ComponentConfig):
    """Config of a similarity."""

    needs_candidates: ClassVar[bool] = False
    """True if scores depend on the set of candidates, so that they need a graph to propose it."""

    reads: ClassVar[frozenset[Column]] = frozenset()
    """The parts of `NodeEmbeddings` that are compared; not known where a plug-in does not say it."""

    def columns(self) -> frozenset[Column]:
        """The parts of `NodeEmbeddings` that are compared, or may be."""
        return self.requires() or frozenset({"pictures", "texts"})

    def requires(self) -> frozenset[Column]:
        """The parts of `NodeEmbeddings` without which `build` fails, as far as that is known."""
        return self.reads

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Accept plug-ins from before 0.1, which call their component ``compares``."""
        super().__pydantic_init_subclass__(**kwargs)
        if "compares" in vars(cls):
            cls.component = vars(cls)["compares"]

    def build(self, embeddings: NodeEmbeddings | None) -> Similarity:
        """The similarity over ``embeddings``.

        Raises:
            InputError: there are no embeddings, or not those that the similarity reads.
        """
        return self.make(embeddings=embeddings or NodeEmbeddings())


class TextImageConfig(SimilarityFields):
    """The target's text against the candidates' pictures."""

    component = "graphcond.samplers.similarity.cosine:TextImageSimilarity"
    reads = frozenset({"pictures", "texts"})
    kind: Literal["text_image"] = "text_image"


class TextTextConfig(SimilarityFields):
    """The target's text against the candidates' texts."""

    component = "graphcond.samplers.similarity.cosine:TextTextSimilarity"
    reads = frozenset({"texts"})
    kind: Literal["text_text"] = "text_text"


class ConsensusConfig(SimilarityFields):
    """The candidates' pictures against their weighted mean."""

    component = "graphcond.samplers.similarity.cosine:ConsensusSimilarity"
    needs_candidates = True
    reads = frozenset({"pictures"})
    kind: Literal["consensus"] = "consensus"


class ImageImageConfig(SimilarityFields):
    """The target's picture against the candidates' pictures; for retrieval, not for generation."""

    component = "graphcond.samplers.similarity.cosine:ImageImageSimilarity"
    reads = frozenset({"pictures"})
    kind: Literal["image_image"] = "image_image"


class EmbeddingConfig(SimilarityFields):
    """The target's row of a precomputed node embedding against the candidates' rows."""

    component = "graphcond.samplers.similarity.cosine:EmbeddingSimilarity"
    reads = frozenset({"extra"})
    kind: Literal["embedding"] = "embedding"


GROUP = "graphcond.similarities"
"""The entry point under which other packages offer similarities."""

SIMPLE = (TextImageConfig, TextTextConfig, ConsensusConfig, ImageImageConfig, EmbeddingConfig)

if TYPE_CHECKING:
    SimpleSimilarityConfig: TypeAlias = SimilarityFields
else:
    SimpleSimilarityConfig = tagged_union(by_kind(SIMPLE, GROUP, SimilarityFields))
"""Any of these similarities' configs, or another package's, distinguished by ``kind``."""


class BlendConfig(SimilarityFields):
    """A weighted sum of PageRank and another similarity."""

    component = "graphcond.samplers.similarity.cosine:BlendSimilarity"
    needs_candidates = True
    kind: Literal["blend"] = "blend"

    similarity: SimpleSimilarityConfig = TextImageConfig()
    """The other similarity, of any kind but `blend`."""

    pagerank: float = Field(0.1, ge=0, le=1)
    """Weight of PageRank, as a share of the best candidate's; the similarity has the rest. CLIP's cosines of
    texts with pictures lie close together, so a small weight changes much."""

    def requires(self) -> frozenset[Column]:
        """Those of the other similarity."""
        return self.similarity.requires()

    def build(self, embeddings: NodeEmbeddings | None) -> Similarity:
        """The weighted sum over ``embeddings``."""
        return self.make(similarity=self.similarity.build(embeddings))


SIMILARITIES = by_kind((*SIMPLE, BlendConfig), GROUP, SimilarityFields)
"""Config of every similarity by its kind, those of other packages included."""

if TYPE_CHECKING:
    SimilarityConfig: TypeAlias = SimilarityFields
else:
    SimilarityConfig = tagged_union(SIMILARITIES)
"""Any similarity's config, distinguished by ``kind``."""
