"""Nodes drawn at random from the whole graph: a control that every other sampler must beat."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from graphcond.config import checked
from graphcond.context import NeighborContext
from graphcond.samplers.base import ChoosingSampler
from graphcond.samplers.config import RandomSamplerConfig
from graphcond.samplers.ranking import Ranking, best_first, draw_each


@checked(RandomSamplerConfig)
class RandomSampler(ChoosingSampler):
    """Draws nodes uniformly and without repeats; edges are not read. All scores are 1.

    Arguments are those of `ChoosingSampler`.
    """

    def sample(self, targets: Int64[np.ndarray, " b"], generator: np.random.Generator) -> NeighborContext:
        """Draw neighbors for ``targets``; one seed is drawn from ``generator``."""
        rows, count = np.flatnonzero(self._allowed), self._neighbors

        def choose(target: int, draws: np.random.Generator) -> Ranking:
            # One more than needed, in random order: the target may be among them.
            drawn = draws.choice(rows, min(count + 1, len(rows)), replace=False)
            chosen = drawn[drawn != target][:count]
            return best_first(chosen, np.ones(len(chosen)), count)

        return draw_each(targets, choose, generator, nodes=len(self._graph), neighbors=count)
