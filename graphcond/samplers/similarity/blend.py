"""Every similarity by its kind, and the weighted sum of PageRank with another one."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from jaxtyping import Float, Float32

from graphcond.context import NeighborContext
from graphcond.errors import InputError
from graphcond.samplers.ranking import Ranking
from graphcond.samplers.similarity.base import Similarity


class BlendSimilarity(Similarity):
    """A weighted sum of what structure and another similarity say of a candidate.

    The score is (1 - pagerank) * cosine + pagerank * (the candidate's PageRank / the best candidate's).
    PageRank itself shrinks as the graph grows, and would weigh nothing beside a cosine; divided by the
    best candidate's it is 1 for that one, and does not change with the number of candidates.

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
