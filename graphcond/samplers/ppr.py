"""The nodes with the highest personalized PageRank."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Int64

from graphcond.attributed_graph import AttributedGraph
from graphcond.config import checked
from graphcond.context import NeighborContext
from graphcond.samplers.config import PPRSamplerConfig
from graphcond.samplers.pagerank.walk import RandomWalk
from graphcond.samplers.quotas import Extensible
from graphcond.samplers.ranking import RankingConstraints, choosable, known_rows

if TYPE_CHECKING:
    from graphcond.samplers.pagerank.calibration import PageRank

DEFAULT = PPRSamplerConfig.model_construct()

EPSILON = 1e-6
"""Default of the largest residual per degree that ``push`` leaves."""


@checked(PPRSamplerConfig)
class PPRSampler(Extensible):
    """Ranks nodes by personalized PageRank from the target: p = (1 - alpha) P^T p + alpha e_target.

    P = D^-1 A follows the edges' direction and weights; where no edge leaves a node the walk returns to
    the target. Nodes that the walk does not reach are never chosen, so a target without edges has none.
    The score is the node's PageRank, divided by the weight of its incoming edges if ``degree_normalized``.

    Args:
        graph: where neighbors come from.
        neighbors: how many to choose at most.
        alpha: probability of the walk to return to the target.
        precision: the share of the chosen neighbors that must belong to the exact best, as a mean over
            targets; it is measured on some targets when the sampler is made (see `calibrated`). 1 means
            ``exact``.
        method: ``auto`` takes the cheaper of push and iteration that has this precision; ``push`` is accurate
            to ``epsilon`` (see `ForwardPush`); ``exact`` iterates until errors sum to 1e-12 at most.
        epsilon: largest residual per degree that ``push`` leaves; with ``auto`` it means ``push``.
        degree_normalized: divide by the degree, so that hubs are not the neighbors of all targets.
        require_picture: choose only nodes that have a picture.
        forbidden: rows that are never chosen; the walk may pass through them.
        threads: number of threads; the answer does not depend on it.

    Raises:
        InputError: the graph's arrays do not fit together, or a forbidden row does not exist.
    """

    def __init__(
        self,
        graph: AttributedGraph,
        *,
        neighbors: int = DEFAULT.neighbors,
        alpha: float = DEFAULT.alpha,
        precision: float = DEFAULT.precision,
        method: Literal["auto", "push", "exact"] = DEFAULT.method,
        epsilon: float | None = None,
        degree_normalized: bool = DEFAULT.degree_normalized,
        require_picture: bool = DEFAULT.require_picture,
        forbidden: Int64[np.ndarray, " f"] | None = None,
        threads: int = DEFAULT.threads,
    ) -> None:
        # Imported here: numba takes half a second, which commands that sample nothing should not wait.
        from graphcond.samplers.pagerank.calibration import calibrated
        from graphcond.samplers.pagerank.power import PowerIteration
        from graphcond.samplers.pagerank.push import ForwardPush

        walk = RandomWalk.on(graph)
        allowed = choosable(graph, forbidden, require_picture=require_picture)
        self._wanted = RankingConstraints(neighbors, allowed, walk.incoming if degree_normalized else None)
        self._threads = threads
        self.pagerank: PageRank
        """The method that computes PageRank; its ``repr`` names it."""
        if method == "push" or (method == "auto" and epsilon is not None):
            self.pagerank = ForwardPush(walk, alpha=alpha, epsilon=epsilon or EPSILON)
        elif method == "exact" or precision >= 1:
            self.pagerank = PowerIteration(walk, alpha=alpha)
        else:
            self.pagerank = calibrated(walk, self._wanted, alpha=alpha, precision=precision, threads=threads)

    def with_count(self, neighbors: int) -> PPRSampler:
        """The same sampler for another number of neighbors; calibration is not repeated."""
        other = copy(self)
        other._wanted = replace(self._wanted, count=neighbors)
        return other

    def sample(self, targets: Int64[np.ndarray, " b"], generator: np.random.Generator) -> NeighborContext:
        """Choose the best neighbors of ``targets``; nothing is drawn from ``generator``."""
        targets = known_rows(targets, len(self._wanted.allowed))
        return self.pagerank.rank(targets, self._wanted, threads=self._threads)
