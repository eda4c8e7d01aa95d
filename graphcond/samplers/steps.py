"""What samplers share that choose nodes by how many steps away they are."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from jaxtyping import Int64

from graphcond.samplers.base import NeighborSampler
from graphcond.samplers.pagerank.walk import check_edges
from graphcond.samplers.ranking import Ranking, choosable, draw_each
from graphcond.types import AttributedGraph, NeighborContext


class SteppingSampler(NeighborSampler):
    """Follows edges in their direction, through nodes that cannot be chosen too. The score is 1 / steps.

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
        neighbors: int = 5,
        hops: int = 1,
        require_picture: bool = True,
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
        """Where the edges of ``nodes``, at least one, lead to."""
        return np.concatenate([self._graph.neighbors(node) for node in nodes.tolist()]).astype(np.int64)
