"""Neighbors that the graph's source chose itself, as in InstructG2I's ``metadata.jsonl`` folders."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from graphcond.attributed_graph import ABSENT, AttributedGraph
from graphcond.config import checked
from graphcond.context import NeighborContext
from graphcond.errors import InputError
from graphcond.samplers.base import NeighborSampler
from graphcond.samplers.config import GivenSamplerConfig
from graphcond.samplers.ranking import Ranking, answer_each, choosable, known_rows

DEFAULT = GivenSamplerConfig.model_construct()


@checked(GivenSamplerConfig)
class GivenSampler(NeighborSampler):
    """Takes the first of each node's ready-made neighbors, in their order. The score is 1 / position.

    Args:
        graph: a graph whose ``given`` is filled.
        neighbors: how many to take at most.
        require_picture: take only nodes that have a picture.
        forbidden: rows that are never taken; later neighbors move up.

    Raises:
        InputError: the graph has no ready-made neighbors or unknown ones, or a forbidden row does not exist.
    """

    def __init__(
        self,
        graph: AttributedGraph,
        *,
        neighbors: int = DEFAULT.neighbors,
        require_picture: bool = DEFAULT.require_picture,
        forbidden: Int64[np.ndarray, " f"] | None = None,
    ) -> None:
        if graph.given is None:
            raise InputError(
                "the graph has no ready-made neighbors",
                place="sampler 'given'",
                remedy="use a sampler that reads edges, such as ppr",
            )
        known_rows(graph.given[graph.given != ABSENT], len(graph), name="ready-made neighbor")
        self._given, self._neighbors = graph.given, neighbors
        self._allowed = choosable(graph, forbidden, require_picture=require_picture)

    def sample(self, targets: Int64[np.ndarray, " b"], generator: np.random.Generator) -> NeighborContext:
        """Take the ready-made neighbors of ``targets``; nothing is drawn from ``generator``."""
        return answer_each(targets, self._choose, nodes=len(self._given), neighbors=self._neighbors)

    def _choose(self, target: int) -> Ranking:
        row = self._given[target]
        row = row[(row != ABSENT) & (row != target)]
        row = row[self._allowed[row]]
        first = np.sort(np.unique(row, return_index=True)[1])
        chosen = row[first][: self._neighbors]
        return Ranking(chosen, (1 / np.arange(1, len(chosen) + 1)).astype(np.float32))
