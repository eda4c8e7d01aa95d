"""The nodes with the highest personalized PageRank where shared attributes are edges."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int64

from graphcond.attributed_graph import AttributedGraph
from graphcond.config import checked
from graphcond.context import NeighborContext
from graphcond.samplers.affiliation.graph import AffiliationGraph
from graphcond.samplers.base import NeighborSampler
from graphcond.samplers.config import AffiliationPPRSamplerConfig
from graphcond.samplers.pagerank.walk import RandomWalk
from graphcond.samplers.ranking import RankingConstraints, choosable, known_rows

DEFAULT = AffiliationPPRSamplerConfig.model_construct()


@checked(AffiliationPPRSamplerConfig)
class AffiliationPPRSampler(NeighborSampler):
    """Ranks nodes by personalized PageRank from the target, over edges that shared attributes imply.

    p = (1 - alpha) P^T p + alpha e_target. Implied edges are not stored. The equation is solved exactly if at
    most some thousands of values (genres, years) link all others (`AffiliationSolver`); otherwise, and with
    stored edges, it is iterated to ``tolerance`` (`AffiliationIteration`).

    Nodes that the walk does not reach are never chosen, so a target that shares no value has no neighbors.
    All nodes with the same values have the same score, and of equal scores (in float32) the lower row comes
    first. So a large group always gives its lowest rows; add a finer attribute, or stored edges, if that
    matters.

    Args:
        graph: where neighbors come from.
        forbidden: rows that are never chosen; the walk may pass through them.
        **settings: those of `AffiliationPPRSamplerConfig`.

    Raises:
        InputError: an attribute does not exist or has no values, a weight is out of range, the graph's arrays
            do not fit together, or a forbidden row does not exist.
    """

    def __init__(
        self,
        graph: AttributedGraph,
        *,
        attributes: Mapping[str, float],
        separator: str = DEFAULT.separator,
        edges: float = DEFAULT.edges,
        neighbors: int = DEFAULT.neighbors,
        alpha: float = DEFAULT.alpha,
        tolerance: float = DEFAULT.tolerance,
        degree_normalized: bool = DEFAULT.degree_normalized,
        threads: int = DEFAULT.threads,
        require_picture: bool = DEFAULT.require_picture,
        forbidden: Int64[np.ndarray, " f"] | None = None,
    ) -> None:
        # Imported here: numba takes half a second, which commands that sample nothing should not wait.
        from graphcond.samplers.affiliation.direct import AffiliationSolver
        from graphcond.samplers.affiliation.iteration import AffiliationIteration

        implied = AffiliationGraph.from_nodes(graph.nodes, attributes, separator=separator)
        direct = None if edges else AffiliationSolver.on(implied, alpha=alpha)
        self._pagerank = direct or AffiliationIteration(
            implied,
            alpha=alpha,
            tolerance=tolerance,
            walk=RandomWalk.on(graph) if edges else None,
            edges=edges,
        )
        self._nodes, self._threads = len(graph), threads
        self._wanted = RankingConstraints(
            neighbors,
            choosable(graph, forbidden, require_picture=require_picture),
            self._pagerank.incoming if degree_normalized else None,
        )

    def sample(self, targets: Int64[np.ndarray, " b"], generator: np.random.Generator) -> NeighborContext:
        """Choose the best neighbors of ``targets``; nothing is drawn from ``generator``."""
        targets = known_rows(targets, self._nodes)
        return self._pagerank.rank(targets, self._wanted, threads=self._threads)
