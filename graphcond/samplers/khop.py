"""Nodes within a few steps, the nearest first, drawn at random among equals."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from jaxtyping import Int64

from graphcond.attributed_graph import AttributedGraph
from graphcond.config import checked
from graphcond.context import NeighborContext
from graphcond.samplers.base import NeighborSampler
from graphcond.samplers.config import KHopSamplerConfig
from graphcond.samplers.pagerank.walk import check_edges
from graphcond.samplers.ranking import Ranking, best_first, choosable, draw_each

DEFAULT = KHopSamplerConfig.model_construct()


class SteppingSampler(NeighborSampler):
    """Follows edges in their direction, also through nodes that cannot be chosen. The score is 1 / steps.

    Args:
        graph: where neighbors come from.
        neighbors: how many to choose at most.
        hops: how many steps away a neighbor may be.
        require_picture: choose only nodes that have a picture.
        forbidden: rows that are never chosen.

    Raises:
        InputError: an edge leads nowhere, or a forbidden row does not exist.
    """

    def __init__(
        self,
        graph: AttributedGraph,
        *,
        neighbors: int = DEFAULT.neighbors,
        hops: int = DEFAULT.hops,
        require_picture: bool = DEFAULT.require_picture,
        forbidden: Int64[np.ndarray, " f"] | None = None,
    ) -> None:
        check_edges(len(graph), graph.indptr, graph.indices)
        self._graph, self._neighbors, self._hops = graph, neighbors, hops
        self._allowed = choosable(graph, forbidden, require_picture=require_picture)

    def sample(self, targets: Int64[np.ndarray, " b"], generator: np.random.Generator) -> NeighborContext:
        """Choose for each of ``targets``; one seed is drawn from ``generator``."""
        return draw_each(targets, self._choose, generator, nodes=len(self._graph), neighbors=self._neighbors)

    @abstractmethod
    def _choose(self, target: int, draws: np.random.Generator) -> Ranking:
        """The neighbors of one target."""

    def _around(self, nodes: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " m"]:
        """The nodes that the edges of ``nodes``, at least one, lead to."""
        return np.concatenate([self._graph.neighbors(node) for node in nodes.tolist()]).astype(np.int64)


@checked(KHopSamplerConfig)
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
