"""The nodes with the highest personalized PageRank."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Int64
from pydantic import Field

from graphcond.samplers.base import NeighborSampler, NeighborSamplerConfig
from graphcond.samplers.ranking import Ranking, answer_each, choosable
from graphcond.samplers.walk import RandomWalk
from graphcond.types import AttributedGraph, NeighborContext, NodeEmbeddings


class PPRSampler(NeighborSampler):
    """Ranks nodes by personalized PageRank from the target: p = (1 - alpha) P^T p + alpha e_target.

    P = D^-1 A follows the edges' direction and weights; where no edge leaves a node the walk returns to
    the target. Nodes that the walk does not reach are never chosen, so a target without edges has none.
    The score is the node's PageRank, divided by the weight of its incoming edges if ``degree_normalized``.

    Args:
        graph: where neighbors come from.
        neighbors: how many to choose at most.
        alpha: probability of the walk to return to the target.
        method: ``push`` is fast and accurate to ``epsilon`` (see `ForwardPush`); ``exact`` is slow.
        epsilon: largest residual per degree that ``push`` leaves.
        degree_normalized: divide by the degree, which keeps hubs from being everyone's neighbor.
        require_picture: choose only nodes that have a picture.
        forbidden: rows that are never chosen; the walk may pass through them.

    Raises:
        InputError: the graph's arrays do not fit together, or a forbidden row does not exist.
    """

    def __init__(
        self,
        graph: AttributedGraph,
        *,
        neighbors: int = 5,
        alpha: float = 0.15,
        method: Literal["push", "exact"] = "push",
        epsilon: float = 1e-6,
        degree_normalized: bool = False,
        require_picture: bool = True,
        forbidden: Int64[np.ndarray, " f"] | None = None,
    ) -> None:
        # Imported here: numba takes half a second, which commands that sample nothing should not wait.
        from graphcond.samplers.power import PowerIteration
        from graphcond.samplers.push import ForwardPush

        walk = RandomWalk.on(graph)
        self._pagerank = (
            ForwardPush(walk, alpha=alpha, epsilon=epsilon)
            if method == "push"
            else PowerIteration(walk, alpha=alpha)
        )
        self._nodes, self._neighbors = len(graph), neighbors
        self._allowed = choosable(graph, forbidden, require_picture=require_picture)
        self._divisor = walk.incoming if degree_normalized else None

    def sample(self, targets: Int64[np.ndarray, " b"], generator: np.random.Generator) -> NeighborContext:
        """Choose the best neighbors of ``targets``; nothing is drawn from ``generator``."""
        return answer_each(targets, self.rank, nodes=self._nodes, neighbors=self._neighbors)

    def rank(self, target: int) -> Ranking:
        """The neighbors of one target, which must be a row of the graph, with their scores."""
        return self._pagerank.best(target, self._neighbors, self._allowed, self._divisor)


class PPRFields(NeighborSamplerConfig):
    """The choices that `ppr` and `semantic_ppr` share."""

    alpha: float = Field(0.15, gt=0, lt=1)
    """Probability that the walk returns to the target; higher stays closer to it."""

    method: Literal["push", "exact"] = "push"
    """How PageRank is computed: `push` is fast, `exact` iterates over the whole graph."""

    epsilon: float = Field(1e-6, ge=1e-12, le=1e-2)
    """Largest residual per degree that `push` leaves; lower is slower and more accurate."""

    degree_normalized: bool = False
    """Divide PageRank by the candidate's degree, which keeps hubs from being everyone's neighbor."""


class PPRSamplerConfig(PPRFields):
    """Neighbors with the highest personalized PageRank."""

    component: ClassVar = PPRSampler
    kind: Literal["ppr"] = "ppr"

    def build(
        self,
        *,
        graph: AttributedGraph,
        embeddings: NodeEmbeddings | None = None,
        forbidden: Int64[np.ndarray, " nodes"] | None = None,
    ) -> PPRSampler:
        """The sampler over ``graph``; ``embeddings`` are not read."""
        return PPRSampler(graph, forbidden=forbidden, **self.model_dump(exclude={"kind"}))
