"""Semantic PPR: PageRank proposes candidates, and similarity chooses among them."""

from __future__ import annotations

from copy import copy
from typing import Literal

import numpy as np
from jaxtyping import Int64

from graphcond.attributed_graph import ABSENT, AttributedGraph
from graphcond.config import checked
from graphcond.context import NeighborContext
from graphcond.samplers.config import SemanticPPRSamplerConfig
from graphcond.samplers.ppr import PPRSampler
from graphcond.samplers.quotas import Extensible
from graphcond.samplers.shared_work import in_parts
from graphcond.samplers.similarity.base import Similarity, check_rows

DEFAULT = SemanticPPRSamplerConfig.model_construct()

CANDIDATES_AT_ONCE = 2048
"""Number of embeddings that a thread holds in memory and compares at once."""


@checked(SemanticPPRSamplerConfig)
class SemanticPPRSampler(Extensible):
    """Semantic PPR-based neighbor sampling of InstructG2I (arXiv 2410.07157, section 3.2).

    The nodes with the highest personalized PageRank are candidates; those most similar to the target are
    its neighbors. The score is the similarity, a cosine. ``diversity`` also makes the neighbors differ from
    each other; the score is then their marginal relevance, as `marginally_relevant` defines it.

    Args:
        graph: where neighbors come from.
        similarity: compares the target with its candidates.
        candidates: how many nodes PageRank proposes.
        neighbors: how many of them to choose at most.
        diversity: 0..1, weight of the cosine among neighbors against the similarity to the target.
        **pagerank: further arguments of `PPRSampler`.

    Raises:
        InputError: the graph's arrays do not fit together, a forbidden row does not exist, the
            embeddings belong to another graph, or ``diversity`` is out of range.
    """

    def __init__(
        self,
        graph: AttributedGraph,
        similarity: Similarity,
        *,
        candidates: int = DEFAULT.candidates,
        neighbors: int = DEFAULT.neighbors,
        diversity: float = DEFAULT.diversity,
        alpha: float = DEFAULT.alpha,
        precision: float = DEFAULT.precision,
        method: Literal["auto", "push", "exact"] = DEFAULT.method,
        epsilon: float | None = None,
        degree_normalized: bool = DEFAULT.degree_normalized,
        require_picture: bool = DEFAULT.require_picture,
        forbidden: Int64[np.ndarray, " f"] | None = None,
        threads: int = DEFAULT.threads,
    ) -> None:
        check_rows(similarity, len(graph))
        proposed = min(candidates, max(len(graph), 1))
        self._proposer = PPRSampler(
            graph,
            neighbors=proposed,
            alpha=alpha,
            precision=precision,
            method=method,
            epsilon=epsilon,
            degree_normalized=degree_normalized,
            require_picture=require_picture,
            forbidden=forbidden,
            threads=threads,
        )
        self._similarity, self._neighbors, self._diversity = similarity, neighbors, diversity
        self._threads = threads

    def with_count(self, neighbors: int) -> SemanticPPRSampler:
        """The same sampler for another number of neighbors among the same candidates."""
        other = copy(self)
        other._neighbors = neighbors
        return other

    def sample(self, targets: Int64[np.ndarray, " b"], generator: np.random.Generator) -> NeighborContext:
        """Choose the best neighbors of ``targets``; nothing is drawn from ``generator``."""
        proposed = self._proposer.sample(targets, generator)
        count, width = proposed.neighbors.shape
        chosen = np.full((count, self._neighbors), ABSENT, np.int64)
        scores = np.zeros((count, self._neighbors), np.float32)
        kept = min(width, self._neighbors)

        def rerank(rows: slice) -> None:
            candidates = NeighborContext(
                proposed.targets[rows], proposed.neighbors[rows], proposed.scores[rows]
            )
            relevance = self._similarity.scores(candidates)
            if self._diversity:
                # Imported here because of numba: see `PPRSampler`.
                from graphcond.samplers.diversity import marginally_relevant

                columns, reached = marginally_relevant(
                    self._similarity.keys, candidates.neighbors, relevance, kept, self._diversity
                )
            else:
                ranked = np.where(candidates.present, relevance, -np.inf)
                columns = np.lexsort((candidates.neighbors, -ranked))[:, :kept]
                reached = np.take_along_axis(relevance, columns, axis=1)
            # A column of -1 means that there are too few candidates. It reads the last one, which is absent.
            chosen[rows, :kept] = np.take_along_axis(candidates.neighbors, columns, axis=1)
            scores[rows, :kept] = reached

        in_parts(rerank, count, part=max(CANDIDATES_AT_ONCE // width, 1), threads=self._threads)
        return NeighborContext(proposed.targets, chosen, scores)
