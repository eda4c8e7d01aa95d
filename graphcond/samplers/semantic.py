"""The most similar nodes of the whole graph; edges are not read."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from graphcond.attributed_graph import AttributedGraph
from graphcond.config import checked
from graphcond.context import NeighborContext
from graphcond.samplers.base import ChoosingSampler
from graphcond.samplers.config import SemanticSamplerConfig, no_candidates
from graphcond.samplers.ranking import Ranking, answer_each, best_first, known_rows
from graphcond.samplers.similarity.base import Similarity, check_rows, dots, unit_rows

DEFAULT = SemanticSamplerConfig.model_construct()

NODES_AT_ONCE = 8192
QUERIES_AT_ONCE = 64
ROUNDING = 1e-4
"""Two ways of computing a cosine in float32 differ by less."""

NO_CANDIDATES = Ranking(np.empty(0, np.int64), np.empty(0, np.float32))


@checked(SemanticSamplerConfig)
class SemanticSampler(ChoosingSampler):
    """Ranks all nodes by their similarity to the target (the "semantic only" ablation of InstructG2I).

    Nodes are compared in blocks, so that memory does not grow with the graph. The score is the similarity, a
    cosine.

    Args:
        graph: its nodes are the candidates.
        similarity: compares the target with them; it must not need candidates from a graph.
        **choices: further arguments of `ChoosingSampler`.

    Raises:
        InputError: a forbidden row does not exist, the embeddings belong to another graph, or the
            similarity needs candidates from a graph.
    """

    def __init__(
        self,
        graph: AttributedGraph,
        similarity: Similarity,
        *,
        neighbors: int = DEFAULT.neighbors,
        require_picture: bool = DEFAULT.require_picture,
        forbidden: Int64[np.ndarray, " f"] | None = None,
    ) -> None:
        check_rows(similarity, len(graph))
        if similarity.needs_candidates:
            raise no_candidates()
        super().__init__(graph, neighbors=neighbors, require_picture=require_picture, forbidden=forbidden)
        self._similarity, self._rows = similarity, np.flatnonzero(self._allowed)

    def sample(self, targets: Int64[np.ndarray, " b"], generator: np.random.Generator) -> NeighborContext:
        """Choose the best neighbors of ``targets``; nothing is drawn from ``generator``."""
        answers: dict[int, Ranking] = {}
        nodes = len(self._graph)
        distinct = np.unique(known_rows(targets, nodes)).tolist()
        for start in range(0, len(distinct), QUERIES_AT_ONCE):
            answers |= self._rank(distinct[start : start + QUERIES_AT_ONCE])
        return answer_each(targets, answers.__getitem__, nodes=nodes, neighbors=self._neighbors)

    def _rank(self, targets: list[int]) -> dict[int, Ranking]:
        count = self._neighbors
        queries = unit_rows(np.stack([self._similarity.query(target, NO_CANDIDATES) for target in targets]))
        answers = dict.fromkeys(targets, NO_CANDIDATES)
        for start in range(0, len(self._rows), NODES_AT_ONCE):
            nodes = self._rows[start : start + NODES_AT_ONCE]
            keys = unit_rows(self._similarity.keys[nodes])
            # A matrix product is fast, but its last bits depend on where a row stands, and so would the order
            # of equal nodes. So it only narrows the choice to all that may be among the best once rounding
            # is allowed for; these are compared again by `dots`.
            rough = keys @ queries.T
            for column, target in enumerate(targets):
                cosines = np.where(nodes == target, -np.inf, rough[:, column])
                near = np.isfinite(cosines)
                if len(nodes) > count:
                    near &= cosines >= np.partition(cosines, -count)[-count] - ROUNDING
                best = answers[target]
                answers[target] = best_first(
                    np.concatenate([best.nodes, nodes[near]]),
                    np.concatenate([best.scores, dots(keys[near], queries[column])]),
                    count,
                )
        return answers
