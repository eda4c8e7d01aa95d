"""Nodes drawn at random from the whole graph: a control that every other sampler must beat."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from graphcond.attributed_graph import AttributedGraph
from graphcond.config import checked
from graphcond.context import NeighborContext
from graphcond.samplers.base import NeighborSampler
from graphcond.samplers.config import RandomSamplerConfig
from graphcond.samplers.ranking import Ranking, best_first, choosable, draw_each

DEFAULT = RandomSamplerConfig.model_construct()


@checked(RandomSamplerConfig)
class RandomSampler(NeighborSampler):
    """Draws nodes uniformly and without repeats; edges are not read. All scores are 1.

    Args:
        graph: its nodes are drawn.
        neighbors: how many to choose at most.
        require_picture: choose only nodes that have a picture.
        forbidden: rows that are never chosen.

    Raises:
        InputError: a forbidden row does not exist.
    """

    def __init__(
        self,
        graph: AttributedGraph,
        *,
        neighbors: int = DEFAULT.neighbors,
        require_picture: bool = DEFAULT.require_picture,
        forbidden: Int64[np.ndarray, " f"] | None = None,
    ) -> None:
        self._nodes, self._neighbors = len(graph), neighbors
        self._rows = np.flatnonzero(choosable(graph, forbidden, require_picture=require_picture))

    def sample(self, targets: Int64[np.ndarray, " b"], generator: np.random.Generator) -> NeighborContext:
        """Draw neighbors for ``targets``; one seed is drawn from ``generator``."""
        return draw_each(targets, self._choose, generator, nodes=self._nodes, neighbors=self._neighbors)

    def _choose(self, target: int, draws: np.random.Generator) -> Ranking:
        # One more than needed, in random order: the target may be among them.
        drawn = draws.choice(self._rows, min(self._neighbors + 1, len(self._rows)), replace=False)
        chosen = drawn[drawn != target][: self._neighbors]
        return best_first(chosen, np.ones(len(chosen)), self._neighbors)
