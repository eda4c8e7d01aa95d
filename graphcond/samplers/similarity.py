"""How well a candidate fits a target: cosines between a query of the target and the candidates' vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float, Float32

from graphcond.component import ComponentConfig, by_kind, tagged_union
from graphcond.errors import InputError
from graphcond.samplers.ranking import Ranking
from graphcond.types import NodeEmbeddings

_NAMES = {"pictures": "picture embeddings", "texts": "text embeddings", "extra": "precomputed embeddings"}


class Similarity(ABC):
    """Compares a target with candidates by the cosine between its query and their rows of ``keys``.

    Cosines are computed in float32, and are 0 where either vector is zero.
    """

    needs_candidates: ClassVar[bool] = False
    """Whether the query is made from the candidates, so that there is none without them."""

    keys_from: ClassVar[Literal["pictures", "extra"]] = "pictures"
    """The embeddings that candidates are compared by."""

    def __init__(self, embeddings: NodeEmbeddings) -> None:
        self.keys = self._needed(embeddings, self.keys_from)

    @abstractmethod
    def query(self, target: int, candidates: Ranking) -> Float[np.ndarray, " d"]:
        """The vector that candidates for ``target`` are compared with.

        Raises:
            InputError: the target lacks what the query is made from.
        """

    def scores(self, target: int, candidates: Ranking) -> Float32[np.ndarray, " c"]:
        """The cosine of each candidate."""
        return dots(unit_rows(self.keys[candidates.nodes]), unit_rows(self.query(target, candidates)))

    def _needed(
        self, embeddings: NodeEmbeddings, name: Literal["pictures", "texts", "extra"]
    ) -> Float[np.ndarray, "nodes d"]:
        vectors: np.ndarray | None = getattr(embeddings, name)
        if vectors is None:
            raise InputError(
                f"there are no {_NAMES[name]} of the nodes",
                place=type(self).__name__,
                remedy="give a model or a file of embeddings, or use the sampler kind ppr",
            )
        return vectors


class TextImageSimilarity(Similarity):
    """The target's text against the candidates' pictures, as in InstructG2I.

    The target's own picture is what is to be made, so it is never read.
    """

    def __init__(self, embeddings: NodeEmbeddings) -> None:
        super().__init__(embeddings)
        self._texts = self._needed(embeddings, "texts")
        if self._texts.shape[1] != self.keys.shape[1]:
            raise InputError(
                f"texts are {self._texts.shape[1]} wide and pictures {self.keys.shape[1]}",
                place=type(self).__name__,
                remedy="embed both by one model such as CLIP",
            )

    def query(self, target: int, candidates: Ranking) -> Float[np.ndarray, " d"]:
        """The target's text embedding."""
        return self._texts[target]


class ConsensusSimilarity(Similarity):
    """The candidates' pictures against their mean, each weighted by its score as a candidate.

    What most candidates agree on is what the graph says about the target; outliers fall behind. Neither
    the target's picture nor its text is read.
    """

    needs_candidates: ClassVar[bool] = True

    def query(self, target: int, candidates: Ranking) -> Float32[np.ndarray, " d"]:
        """The weighted mean of the candidates' picture embeddings, each scaled to length 1."""
        return candidates.scores @ unit_rows(self.keys[candidates.nodes])


class ImageImageSimilarity(Similarity):
    """The target's picture against the candidates' pictures.

    It looks at the target's picture: use it for retrieval and analysis, not to generate that picture.
    """

    def query(self, target: int, candidates: Ranking) -> Float[np.ndarray, " d"]:
        """The target's picture embedding.

        Raises:
            InputError: the target has no picture.
        """
        picture = self.keys[target]
        if not picture.any():
            raise InputError(
                f"target {target} has no picture to compare with",
                place=type(self).__name__,
                remedy="use text_image or consensus",
            )
        return picture


class EmbeddingSimilarity(Similarity):
    """The target's row of any precomputed node embedding against the candidates' rows.

    Whether that embedding knows the target's picture is up to who computed it.
    """

    keys_from: ClassVar[Literal["pictures", "extra"]] = "extra"

    def query(self, target: int, candidates: Ranking) -> Float[np.ndarray, " d"]:
        """The target's own row."""
        return self.keys[target]


class SimilarityFields(ComponentConfig):
    """Config of a similarity."""

    compares: ClassVar[type[Similarity]]

    def build(self, embeddings: NodeEmbeddings | None) -> Similarity:
        """The similarity over ``embeddings``.

        Raises:
            InputError: there are no embeddings, or not those that the similarity reads.
        """
        return self.compares(embeddings or NodeEmbeddings())


class TextImageConfig(SimilarityFields):
    """The target's text against the candidates' pictures."""

    compares = TextImageSimilarity
    kind: Literal["text_image"] = "text_image"


class ConsensusConfig(SimilarityFields):
    """The candidates' pictures against their weighted mean."""

    compares = ConsensusSimilarity
    kind: Literal["consensus"] = "consensus"


class ImageImageConfig(SimilarityFields):
    """The target's picture against the candidates' pictures; for retrieval, not for generation."""

    compares = ImageImageSimilarity
    kind: Literal["image_image"] = "image_image"


class EmbeddingConfig(SimilarityFields):
    """The target's row of a precomputed node embedding against the candidates' rows."""

    compares = EmbeddingSimilarity
    kind: Literal["embedding"] = "embedding"


SIMILARITIES = by_kind(
    (TextImageConfig, ConsensusConfig, ImageImageConfig, EmbeddingConfig), "graphcond.similarities"
)
"""Config of every similarity by its kind, those of other packages included."""

SimilarityConfig = tagged_union(SIMILARITIES)
"""Any similarity's config, told apart by ``kind``."""


def unit_rows(vectors: Float[np.ndarray, "*rows d"]) -> Float32[np.ndarray, "*rows d"]:
    """Vectors scaled to length 1 in float32; zero stays zero.

    Raises:
        InputError: a vector is not finite.
    """
    vectors = np.asarray(vectors, np.float32)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not np.isfinite(lengths).all():
        raise InputError("an embedding is not finite", remedy="compute the embeddings again without NaN")
    return vectors / np.where(lengths > 0, lengths, 1)


def dots(rows: Float32[np.ndarray, "n d"], query: Float32[np.ndarray, " d"]) -> Float32[np.ndarray, " n"]:
    """The products of each row with ``query``: the same for equal rows, wherever they stand.

    A matrix product is faster, but its last bits change with a row's place, and with them the order.
    """
    return np.einsum("nd,d->n", rows, query)


def check_rows(similarity: Similarity, nodes: int) -> None:
    """Refuse embeddings of another graph.

    Raises:
        InputError: there is not one row for each of the graph's ``nodes``.
    """
    if len(similarity.keys) != nodes:
        raise InputError(
            f"there are {len(similarity.keys)} embeddings for {nodes} nodes",
            remedy="embed the nodes of this graph",
        )
