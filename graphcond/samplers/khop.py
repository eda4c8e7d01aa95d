"""Nodes within a few steps, the nearest first, drawn at random among equals."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from jaxtyping import Int64

from graphcond.attributed_graph import AttributedGraph
from graphcond.config import checked
from graphcond.context import NeighborContext
from graphcond.samplers.base import ChoosingSampler
from graphcond.samplers.config import KHopSamplerConfig
from graphcond.samplers.pagerank.walk import check_edges
from graphcond.samplers.ranking import Ranking, best_first, draw_each

DEFAULT = KHopSamplerConfig.model_construct()


class SteppingSampler(ChoosingSampler):
    """Follows edges in their direction, also through nodes that cannot be chosen. The score is 1 / steps.

    Args:
        graph: where neighbors come from.
        hops: how many steps away a neighbor may be.
        **choices: further arguments of `ChoosingSampler`.

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
        super().__init__(graph, neighbors=neighbors, require_picture=require_picture, forbidden=forbidden)
        self._hops = hops

    def check_graph(self, graph: AttributedGraph) -> None:
        """Check that all edges lead to nodes."""
        check_edges(len(graph), graph.indptr, graph.indices)

    def sample(self, targets: Int64[np.ndarray, " b"], generator: np.random.Generator) -> NeighborContext:
        """Choose for each of ``targets``; one seed is drawn from ``generator``."""
        return draw_each(targets, self.choose, generator, nodes=len(self._graph), neighbors=self._neighbors)

    @abstractmethod
    def choose(self, target: int, draws: np.random.Generator) -> Ranking:
        """The neighbors of one target."""

    def around(self, nodes: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " m"]:
        """The nodes that the edges of ``nodes``, at least one, lead to."""
        return np.concatenate([self._graph.neighbors(node) for node in nodes.tolist()]).astype(np.int64)


def drawn(nodes: Int64[np.ndarray, " n"], count: int, draws: np.random.Generator) -> Int64[np.ndarray, " m"]:
    """``count`` of the nodes, drawn uniformly, or all if there are no more."""
    return nodes if len(nodes) <= count else draws.choice(nodes, count, replace=False)


@checked(KHopSamplerConfig)
class KHopSampler(SteppingSampler):
    """Takes the nodes one step away, then two steps, and so on; the last step is drawn uniformly.

    Arguments are those of `SteppingSampler`.
    """

    def choose(self, target: int, draws: np.random.Generator) -> Ranking:
        """The nearest nodes."""
        seen = frontier = np.array([target])
        nodes, scores = np.empty(0, np.int64), np.empty(0)
        for hop in range(1, self._hops + 1):
            frontier = np.setdiff1d(self.around(frontier), seen)
            seen = np.union1d(seen, frontier)
            found = drawn(frontier[self._allowed[frontier]], self._neighbors - len(nodes), draws)
            nodes = np.concatenate([nodes, found])
            scores = np.concatenate([scores, np.full(len(found), 1 / hop)])
            if len(nodes) == self._neighbors or not len(frontier):
                break
        return best_first(nodes, scores, self._neighbors)
