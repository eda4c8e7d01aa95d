"""Nodes within a few steps, the nearest first, drawn at random among equals."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Int64
from pydantic import Field

from graphcond.samplers.base import NeighborSamplerConfig
from graphcond.samplers.ranking import Ranking, best_first
from graphcond.samplers.steps import SteppingSampler
from graphcond.types import AttributedGraph, NodeEmbeddings


class KHopSampler(SteppingSampler):
    """Takes the nodes one step away, then two steps, and so on; the last step is drawn uniformly.

    Arguments are those of `SteppingSampler`.
    """

    def _choose(self, target: int, draws: np.random.Generator) -> Ranking:
        seen = frontier = np.array([target])
        nodes, scores = np.empty(0, np.int64), np.empty(0)
        for hop in range(1, self._hops + 1):
            frontier = np.setdiff1d(self._around(frontier), seen)
            seen = np.union1d(seen, frontier)
            found = frontier[self._allowed[frontier]]
            missing = self._neighbors - len(nodes)
            found = found if len(found) <= missing else draws.choice(found, missing, replace=False)
            nodes = np.concatenate([nodes, found])
            scores = np.concatenate([scores, np.full(len(found), 1 / hop)])
            if len(nodes) == self._neighbors or not len(frontier):
                break
        return best_first(nodes, scores, self._neighbors)


class KHopSamplerConfig(NeighborSamplerConfig):
    """Neighbors at random among the nodes within a few steps, the nearest first."""

    component: ClassVar = KHopSampler
    kind: Literal["khop"] = "khop"

    hops: int = Field(1, ge=1)
    """How many steps away from the target a neighbor may be."""

    def build(
        self,
        *,
        graph: AttributedGraph,
        embeddings: NodeEmbeddings | None = None,
        forbidden: Int64[np.ndarray, " nodes"] | None = None,
    ) -> KHopSampler:
        """The sampler over ``graph``; ``embeddings`` are not read."""
        return KHopSampler(graph, forbidden=forbidden, **self.model_dump(exclude={"kind"}))
