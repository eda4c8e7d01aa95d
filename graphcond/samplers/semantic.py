"""The most similar nodes of the whole graph; edges are not looked at."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int64

from graphcond.attributed_graph import AttributedGraph
from graphcond.context import NeighborContext
from graphcond.samplers.base import NeighborSampler
from graphcond.samplers.config import no_candidates
from graphcond.samplers.ranking import Ranking, answer_each, best_first, choosable, known_rows
from graphcond.samplers.similarity.base import Similarity, check_rows, dots, unit_rows

NODES_AT_ONCE = 8192
QUERIES_AT_ONCE = 64
ROUNDING = 1e-4
"""More than two ways of computing a cosine in float32 can differ by."""

NOBODY = Ranking(np.empty(0, np.int64), np.empty(0, np.float32))


class SemanticSampler(NeighborSampler):
    """Ranks all nodes by their similarity to the target (the "semantic only" ablation of InstructG2I).

    Nodes are compared in blocks, so that memory stays bounded however large the graph is. The score is
    the similarity, a cosine.

    Args:
        graph: its nodes are the candidates.
        similarity: compares the target with them; it must not need candidates of its own.
        neighbors: how many to choose at most.
        require_picture: choose only nodes that have a picture.
        forbidden: rows that are never chosen.

    Raises:
        InputError: a forbidden row does not exist, the embeddings belong to another graph, or the
            similarity needs candidates from a graph.
    """

    def __init__(
        self,
        graph: AttributedGraph,
        similarity: Similarity,
        *,
        neighbors: int = 5,
        require_picture: bool = True,
        forbidden: Int64[np.ndarray, " f"] | None = None,
    ) -> None:
        check_rows(similarity, len(graph))
        if similarity.needs_candidates:
            raise no_candidates()
        self._similarity, self._nodes, self._neighbors = similarity, len(graph), neighbors
        self._rows = np.flatnonzero(choosable(graph, forbidden, require_picture=require_picture))

    def sample(self, targets: Int64[np.ndarray, " b"], generator: np.random.Generator) -> NeighborContext:
        """Choose the best neighbors of ``targets``; nothing is drawn from ``generator``."""
        answers: dict[int, Ranking] = {}
        distinct = np.unique(known_rows(targets, self._nodes)).tolist()
        for start in range(0, len(distinct), QUERIES_AT_ONCE):
            answers |= self._rank(distinct[start : start + QUERIES_AT_ONCE])
        return answer_each(targets, answers.__getitem__, nodes=self._nodes, neighbors=self._neighbors)

    def _rank(self, targets: list[int]) -> dict[int, Ranking]:
        queries = unit_rows(np.stack([self._similarity.query(target, NOBODY) for target in targets]))
        answers = dict.fromkeys(targets, NOBODY)
        for start in range(0, len(self._rows), NODES_AT_ONCE):
            nodes = self._rows[start : start + NODES_AT_ONCE]
            keys = unit_rows(self._similarity.keys[nodes])
            rough = keys @ queries.T
            for column, target in enumerate(targets):
                near = self._near(np.where(nodes == target, -np.inf, rough[:, column]))
                more = Ranking(nodes[near], dots(keys[near], queries[column]))
                answers[target] = self._merge(answers[target], more)
        return answers

    def _near(self, rough: Float32[np.ndarray, " n"]) -> Int64[np.ndarray, " m"]:
        """All that may be among the best once rounding is accounted for."""
        if len(rough) <= self._neighbors:
            return np.flatnonzero(np.isfinite(rough))
        last = np.partition(rough, -self._neighbors)[-self._neighbors]
        return np.flatnonzero((rough >= last - ROUNDING) & np.isfinite(rough))

    def _merge(self, best: Ranking, more: Ranking) -> Ranking:
        nodes, scores = (np.concatenate(pair) for pair in zip(best, more, strict=True))
        return best_first(nodes, scores, self._neighbors)
