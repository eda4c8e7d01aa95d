"""The similarities: cosines with a text, a picture or another embedding, and a blend of one with PageRank."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Float, Float32

from graphcond.attributed_graph import Column, NodeEmbeddings
from graphcond.context import NeighborContext
from graphcond.errors import InputError
from graphcond.samplers.ranking import Ranking
from graphcond.samplers.similarity.base import Similarity

if TYPE_CHECKING:
    from graphcond.samplers.similarity.gathered import Gathered


class RowSimilarity(Similarity):
    """The target's row of the embeddings ``queries_from`` against the candidates' rows of ``keys_from``."""

    queries_from: ClassVar[Column]

    def __init__(self, embeddings: NodeEmbeddings) -> None:
        super().__init__(embeddings)
        self._rows = self._needed(embeddings, self.queries_from)
        widths = self._rows.shape[1], self.keys.shape[1]
        if widths[0] != widths[1]:
            raise InputError(
                f"{self.queries_from} are {widths[0]} wide and {self.keys_from} {widths[1]}",
                place=type(self).__name__,
                remedy="embed both by one model such as CLIP",
            )
        if len(self._rows) != len(self.keys):
            raise InputError(
                f"there are {len(self._rows)} {self.queries_from} and {len(self.keys)} {self.keys_from}",
                place=type(self).__name__,
                remedy="give one row of each for every node",
            )

    def query(self, target: int, candidates: Ranking) -> Float[np.ndarray, " d"]:
        """The target's own row."""
        return self._rows[target]

    def _queries(self, context: NeighborContext, candidates: Gathered) -> Float[np.ndarray, "b d"]:
        return self._rows[context.targets]


class TextImageSimilarity(RowSimilarity):
    """The target's text against the candidates' pictures, as in InstructG2I.

    The target's own picture is the one to be made, so it is never read.
    """

    queries_from: ClassVar[Column] = "texts"


class TextTextSimilarity(RowSimilarity):
    """The target's text against the candidates' texts, for graphs whose pictures are not informative.

    Pictures are not read, so candidates without one can be compared as well.
    """

    queries_from: ClassVar[Column] = "texts"
    keys_from: ClassVar[Column] = "texts"


class ConsensusSimilarity(Similarity):
    """The candidates' pictures against their mean, each weighted by its score as a candidate.

    Most neighbors in a useful graph resemble the target, so candidates near the mean are preferred to
    outliers. Neither the target's picture nor its text is read.
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

    The target's picture is read: use this for retrieval and analysis, not to generate that picture.
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


class EmbeddingSimilarity(RowSimilarity):
    """The target's row of any precomputed node embedding against the candidates' rows.

    If that embedding was computed from the target's picture, then this reads it too.
    """

    queries_from: ClassVar[Column] = "extra"
    keys_from: ClassVar[Column] = "extra"


class BlendSimilarity(Similarity):
    """A weighted sum of a candidate's PageRank and another similarity.

    The score is (1 - pagerank) * cosine + pagerank * (the candidate's PageRank / the best candidate's).
    PageRank itself shrinks as the graph grows, and would be negligible beside a cosine; divided by that of
    the best candidate it lies in 0..1, and does not change with the number of candidates.

    Args:
        similarity: gives the cosines.
        pagerank: the weight of PageRank, 0..1; at 0 the score is the similarity's own.
    """

    needs_candidates: ClassVar[bool] = True

    def __init__(self, similarity: Similarity, pagerank: float) -> None:
        if not 0 <= pagerank <= 1:
            raise InputError(f"pagerank is {pagerank}", place="blend", remedy="use a weight from 0 to 1")
        self.keys, self._similarity, self._pagerank = similarity.keys, similarity, pagerank

    def query(self, target: int, candidates: Ranking) -> Float[np.ndarray, " d"]:
        """The blended similarity's query."""
        return self._similarity.query(target, candidates)

    def scores(self, context: NeighborContext) -> Float32[np.ndarray, "b k"]:
        """The weighted sum for each candidate; 0 where there is none."""
        best = context.scores.max(axis=1, keepdims=True, initial=0)
        mass = context.scores / np.where(best > 0, best, 1)
        cosines = self._similarity.scores(context)
        return np.float32(1 - self._pagerank) * cosines + np.float32(self._pagerank) * mass
