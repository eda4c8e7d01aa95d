"""The contract of a neighbor sampler."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Int64

from graphcond.types import NeighborContext


class NeighborSampler(ABC):
    """Chooses, for each target node, the neighbors that matter for its picture.

    A sampler does not change the graph, never returns the target itself nor a forbidden node, and
    gives the same answer for a target in whatever batch it comes, given generators in the same state.
    """

    @abstractmethod
    def sample(self, targets: Int64[np.ndarray, " b"], generator: np.random.Generator) -> NeighborContext:
        """Choose neighbors for ``targets`` (rows of the node table), best first.

        Raises:
            InputError: a target is not a row of the graph.
        """
