"""The nodes with the highest personalized PageRank where shared attributes are edges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import numpy as np
from jaxtyping import Int64
from pydantic import Field

from graphcond.samplers.affiliation import AffiliationGraph
from graphcond.samplers.base import NeighborSampler, NeighborSamplerConfig
from graphcond.samplers.ranking import Ranking, answer_each, choosable
from graphcond.samplers.walk import RandomWalk
from graphcond.types import AttributedGraph, NeighborContext, NodeEmbeddings


class AffiliationPPRSampler(NeighborSampler):
    """Ranks nodes by personalized PageRank from the target, over edges that shared attributes imply.

    p = (1 - alpha) P^T p + alpha e_target, exact to ``tolerance`` (see `AffiliationPowerIteration`). No
    implied edge is stored. Nodes that the walk does not reach are never chosen, so a target that shares
    nothing has none. Many nodes tie here, all that have the same values: of equal scores (in float32) the
    lower row comes first. Thus a large group always gives its lowest rows; add a finer attribute, or
    stored edges, where that matters.

    Args:
        graph: where neighbors come from.
        attributes: columns of the nodes, and the weight of an edge between nodes that share a value.
        separator: stands between the values of a cell.
        edges: multiplies the weights of the stored edges, which are added; 0 leaves them out.
        neighbors: how many to choose at most.
        alpha: probability of the walk to return to the target.
        tolerance: bound on the sum of absolute errors of all nodes' PageRank.
        degree_normalized: divide by the weight of a node's incoming edges.
        require_picture: choose only nodes that have a picture.
        forbidden: rows that are never chosen; the walk may pass through them.

    Raises:
        InputError: an attribute does not exist or has no values, a weight is out of range, the graph's arrays
            do not fit together, or a forbidden row does not exist.
    """

    def __init__(
        self,
        graph: AttributedGraph,
        *,
        attributes: Mapping[str, float],
        separator: str = "|",
        edges: float = 0.0,
        neighbors: int = 5,
        alpha: float = 0.15,
        tolerance: float = 1e-6,
        degree_normalized: bool = False,
        require_picture: bool = True,
        forbidden: Int64[np.ndarray, " f"] | None = None,
    ) -> None:
        # Imported here: numba takes half a second, which commands that sample nothing should not wait.
        from graphcond.samplers.affiliation_power import AffiliationPowerIteration

        implied = AffiliationGraph.from_nodes(graph.nodes, attributes, separator=separator)
        self._pagerank = AffiliationPowerIteration(
            implied,
            alpha=alpha,
            tolerance=tolerance,
            walk=RandomWalk.on(graph) if edges else None,
            edges=edges,
        )
        self._nodes, self._neighbors = len(graph), neighbors
        self._allowed = choosable(graph, forbidden, require_picture=require_picture)
        self._divisor = self._pagerank.incoming if degree_normalized else None

    def sample(self, targets: Int64[np.ndarray, " b"], generator: np.random.Generator) -> NeighborContext:
        """Choose the best neighbors of ``targets``; nothing is drawn from ``generator``."""
        return answer_each(targets, self.rank, nodes=self._nodes, neighbors=self._neighbors)

    def rank(self, target: int) -> Ranking:
        """The neighbors of one target, which must be a row of the graph, with their scores."""
        return self._pagerank.best(target, self._neighbors, self._allowed, self._divisor)


Weight = Annotated[float, Field(ge=0)]


class AffiliationPPRSamplerConfig(NeighborSamplerConfig):
    """Neighbors with the highest personalized PageRank where shared attributes are edges."""

    component: ClassVar = AffiliationPPRSampler
    kind: Literal["affiliation_ppr"] = "affiliation_ppr"

    attributes: dict[str, Weight] = Field(default_factory=dict)
    """Columns of the nodes, each with the weight of an edge between nodes that share a value."""

    separator: str = Field("|", min_length=1)
    """Stands between the values of a cell that holds several."""

    edges: Weight = 0.0
    """Multiplies the weights of the graph's stored edges, which are added; 0 leaves them out."""

    alpha: float = Field(0.15, gt=0, lt=1)
    """Probability that the walk returns to the target; higher stays closer to it."""

    tolerance: float = Field(1e-6, ge=1e-14, le=1e-2)
    """Bound on the sum of absolute errors of all nodes' PageRank; higher is faster."""

    degree_normalized: bool = False
    """Divide PageRank by the weight of the candidate's edges, which takes hubs back."""

    def build(
        self,
        *,
        graph: AttributedGraph,
        embeddings: NodeEmbeddings | None = None,
        forbidden: Int64[np.ndarray, " nodes"] | None = None,
    ) -> AffiliationPPRSampler:
        """The sampler over ``graph``; ``embeddings`` are not read."""
        return AffiliationPPRSampler(graph, forbidden=forbidden, **self.model_dump(exclude={"kind"}))
