"""Semantic PPR: structure proposes candidates, similarity decides among them."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Int64
from pydantic import Field

from graphcond.samplers.base import NeighborSampler
from graphcond.samplers.ppr import PPRFields, PPRSampler
from graphcond.samplers.ranking import Ranking, answer_each, best_first
from graphcond.samplers.similarity import Similarity, SimilarityConfig, TextImageConfig, check_rows
from graphcond.types import AttributedGraph, NeighborContext, NodeEmbeddings


class SemanticPPRSampler(NeighborSampler):
    """Semantic PPR-based neighbor sampling of InstructG2I (arXiv 2410.07157, section 3.2).

    The nodes with the highest personalized PageRank are candidates; those most similar to the target are
    its neighbors. The score is the similarity, a cosine.

    Args:
        graph: where neighbors come from.
        similarity: compares the target with its candidates.
        candidates: how many nodes PageRank proposes.
        neighbors: how many of them to choose at most.
        **pagerank: further arguments of `PPRSampler`: ``alpha``, ``method``, ``epsilon``,
            ``degree_normalized``, ``require_picture``, ``forbidden``.

    Raises:
        InputError: the graph's arrays do not fit together, a forbidden row does not exist, or the
            embeddings belong to another graph.
    """

    def __init__(
        self,
        graph: AttributedGraph,
        similarity: Similarity,
        *,
        candidates: int = 50,
        neighbors: int = 5,
        **pagerank: Any,
    ) -> None:
        check_rows(similarity, len(graph))
        self._proposer = PPRSampler(graph, neighbors=candidates, **pagerank)
        self._similarity, self._nodes, self._neighbors = similarity, len(graph), neighbors

    def sample(self, targets: Int64[np.ndarray, " b"], generator: np.random.Generator) -> NeighborContext:
        """Choose the best neighbors of ``targets``; nothing is drawn from ``generator``."""
        return answer_each(targets, self._choose, nodes=self._nodes, neighbors=self._neighbors)

    def _choose(self, target: int) -> Ranking:
        candidates = self._proposer.rank(target)
        return best_first(candidates.nodes, self._similarity.scores(target, candidates), self._neighbors)


class SemanticPPRSamplerConfig(PPRFields):
    """Neighbors most similar to the target among those with the highest personalized PageRank."""

    reads_embeddings: ClassVar[bool] = True

    component: ClassVar = SemanticPPRSampler
    kind: Literal["semantic_ppr"] = "semantic_ppr"

    candidates: int = Field(50, ge=1)
    """How many nodes PageRank proposes to the similarity."""

    similarity: SimilarityConfig = TextImageConfig()
    """How candidates are compared with the target."""

    def build(
        self,
        *,
        graph: AttributedGraph,
        embeddings: NodeEmbeddings | None = None,
        forbidden: Int64[np.ndarray, " nodes"] | None = None,
    ) -> SemanticPPRSampler:
        """The sampler over ``graph`` and ``embeddings``."""
        return SemanticPPRSampler(
            graph,
            self.similarity.build(embeddings),
            forbidden=forbidden,
            **self.model_dump(exclude={"kind", "similarity"}),
        )
