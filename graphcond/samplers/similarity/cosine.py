"""Similarities that are one cosine: of a text, a picture or any embedding of the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Float, Float32

from graphcond.attributed_graph import NodeEmbeddings
from graphcond.context import NeighborContext
from graphcond.errors import InputError
from graphcond.samplers.ranking import Ranking
from graphcond.samplers.similarity.base import Column, Similarity

if TYPE_CHECKING:
    from graphcond.samplers.similarity.gathered import Gathered


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
        if len(self._texts) != len(self.keys):
            raise InputError(
                f"there are {len(self._texts)} texts and {len(self.keys)} pictures",
                place=type(self).__name__,
                remedy="give one row of each for every node",
            )

    def query(self, target: int, candidates: Ranking) -> Float[np.ndarray, " d"]:
        """The target's text embedding."""
        return self._texts[target]


class TextTextSimilarity(Similarity):
    """The target's text against the candidates' texts, for graphs whose pictures say little.

    No picture is read, so candidates without one can be compared as well.
    """

    keys_from: ClassVar[Column] = "texts"

    def query(self, target: int, candidates: Ranking) -> Float[np.ndarray, " d"]:
        """The target's text embedding."""
        return self.keys[target]


class ConsensusSimilarity(Similarity):
    """The candidates' pictures against their mean, each weighted by its score as a candidate.

    What most candidates agree on is what the graph says about the target; outliers fall behind. Neither
    the target's picture nor its text is read.
    """

    needs_candidates: ClassVar[bool] = True

    def query(self, target: int, candidates: Ranking) -> Float32[np.ndarray, " d"]:
        """The weighted mean of the candidates' picture embeddings, each scaled to length 1."""
        from graphcond.samplers.similarity.gathered import Gathered

        return Gathered.of(self.keys, candidates.nodes[None]).weighted_sums(candidates.scores[None])[0]

    def _queries(self, context: NeighborContext, candidates: Gathered) -> Float32[np.ndarray, "b d"]:
        return candidates.weighted_sums(context.scores)


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

    keys_from: ClassVar[Column] = "extra"

    def query(self, target: int, candidates: Ranking) -> Float[np.ndarray, " d"]:
        """The target's own row."""
        return self.keys[target]
