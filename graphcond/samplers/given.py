"""Neighbors that the graph's source chose itself, as in InstructG2I's ``metadata.jsonl`` folders."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from graphcond.attributed_graph import ABSENT, AttributedGraph
from graphcond.config import checked
from graphcond.context import NeighborContext
from graphcond.errors import InputError
from graphcond.samplers.base import ChoosingSampler
from graphcond.samplers.config import GivenSamplerConfig
from graphcond.samplers.ranking import Ranking, answer_each, known_rows


@checked(GivenSamplerConfig)
class GivenSampler(ChoosingSampler):
    """Takes the first of each node's ready-made neighbors, in their order. The score is 1 / position.

    Arguments are those of `ChoosingSampler`; in place of a forbidden neighbor, later ones move up.

    Raises:
        InputError: the graph has no ready-made neighbors or unknown ones, or a forbidden row does not exist.
    """

    def check_graph(self, graph: AttributedGraph) -> None:
        """Check that the graph has ready-made neighbors."""
        if graph.given is None:
            raise InputError(
                "the graph has no ready-made neighbors",
                place="sampler 'given'",
                remedy="use a sampler that reads edges, such as ppr",
            )
        known_rows(graph.given[graph.given != ABSENT], len(graph), name="ready-made neighbor")

    def sample(self, targets: Int64[np.ndarray, " b"], generator: np.random.Generator) -> NeighborContext:
        """Take the ready-made neighbors of ``targets``; nothing is drawn from ``generator``."""
        given = np.asarray(self._graph.given)

        def choose(target: int) -> Ranking:
            row = given[target]
            row = row[(row != ABSENT) & (row != target)]
            row = row[self._allowed[row]]
            first = np.sort(np.unique(row, return_index=True)[1])
            chosen = row[first][: self._neighbors]
            return Ranking(chosen, (1 / np.arange(1, len(chosen) + 1)).astype(np.float32))

        return answer_each(targets, choose, nodes=len(given), neighbors=self._neighbors)
