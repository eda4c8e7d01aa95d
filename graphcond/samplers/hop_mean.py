"""Means of the embeddings one step away, two steps away and so on: a control without parameters."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from graphcond.attributed_graph import AttributedGraph, LazyRows
from graphcond.config import checked
from graphcond.context import NeighborContext
from graphcond.samplers.config import HopMeanSamplerConfig
from graphcond.samplers.khop import SteppingSampler, drawn
from graphcond.samplers.ranking import Ranking, best_first

DEFAULT = HopMeanSamplerConfig.model_construct()


@checked(HopMeanSamplerConfig)
class HopMeanSampler(SteppingSampler):
    """Gives encoders one mean embedding for each number of steps from the target, the nearest first.

    GWM-E (Feng et al., ICML 2025) gives a frozen model such parameter-free multi-hop averages. There they
    are powers of the adjacency matrix, which lead back to the target and its picture; here a node counts
    once, at the fewest steps that lead to it, and the target never.

    Each step has a share of ``neighbors``: all its nodes are averaged, or that number of them, drawn
    uniformly. What a near step does not use goes to those behind it. At most ``neighbors`` nodes of a
    step, also drawn uniformly, lead on to the next, so a target reads at most ``hops * neighbors`` rows of
    edges, however large the graph is. Weights are not read.

    Args:
        graph: where neighbors come from.
        neighbors: how many to average at most, over all steps.
        **choices: further arguments of `SteppingSampler`.
    """

    averages: bool = True

    def __init__(
        self,
        graph: AttributedGraph,
        *,
        neighbors: int = DEFAULT.neighbors,
        hops: int = DEFAULT.hops,
        require_picture: bool = DEFAULT.require_picture,
        forbidden: Int64[np.ndarray, " f"] | None = None,
    ) -> None:
        super().__init__(
            graph, neighbors=neighbors, hops=hops, require_picture=require_picture, forbidden=forbidden
        )

    def read(
        self, context: NeighborContext, table: Float[np.ndarray, "nodes d"] | LazyRows
    ) -> tuple[Float32[np.ndarray, "b hops d"], Bool[np.ndarray, "b hops"]]:
        """The mean embedding of each step; absent if no neighbor is that number of steps away."""
        return hop_means(context, table, self._hops)

    def choose(self, target: int, draws: np.random.Generator) -> Ranking:
        """The nodes of all steps."""
        nodes, scores = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
        missing = self._neighbors
        ring = seen = np.array([target])
        for hop in range(1, self._hops + 1):
            # The ring of nodes at this many steps from the target.
            ring = np.setdiff1d(self.around(drawn(ring, self._neighbors, draws)), seen)
            if not len(ring):
                break
            seen = np.union1d(seen, ring)
            share = -(-missing // (self._hops - hop + 1))
            nodes.append(drawn(ring[self._allowed[ring]], share, draws))
            scores.append(np.full(len(nodes[-1]), 1 / hop, np.float32))
            missing -= len(nodes[-1])
        return best_first(np.concatenate(nodes), np.concatenate(scores), self._neighbors)


def hop_means(
    context: NeighborContext, table: Float[np.ndarray, "nodes d"] | LazyRows, hops: int
) -> tuple[Float32[np.ndarray, "b hops d"], Bool[np.ndarray, "b hops"]]:
    """The mean of the neighbors with score 1, of those with score 1/2, and so on to 1 / ``hops``.

    Args:
        context: neighbors with a score of 1 / steps.
        table: embeddings of all nodes.
        hops: number of means for each target.

    Returns:
        The means, zero where there is no neighbor to average, and a mask of those that have one.
    """
    means = np.zeros((len(context.targets), hops, table.shape[1]), np.float32)
    present = np.zeros(means.shape[:2], np.bool_)
    for hop in range(hops):
        of_hop = context.present & (context.scores == np.float32(1 / (hop + 1)))
        present[:, hop] = of_hop.any(axis=1)
        for row in np.flatnonzero(present[:, hop]).tolist():
            chosen = table[context.neighbors[row, of_hop[row]]]
            means[row, hop] = chosen.mean(axis=0, dtype=np.float32)
    return means, present
