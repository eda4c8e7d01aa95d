"""Neighbors that ``graphcond sample-all`` sampled in advance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Int64

from graphcond.attributed_graph import ABSENT, AttributedGraph
from graphcond.config import checked
from graphcond.context import NeighborContext
from graphcond.errors import InputError, at
from graphcond.samplers.base import ChoosingSampler
from graphcond.samplers.config import PrecomputedSamplerConfig
from graphcond.samplers.neighbor_file import NeighborFile, graph_identity, read_neighbors
from graphcond.samplers.ranking import known_rows

DEFAULT = PrecomputedSamplerConfig.model_construct()

WRITE_AGAIN = "write it again with graphcond sample-all"


@checked(PrecomputedSamplerConfig)
class PrecomputedSampler(ChoosingSampler):
    """Takes the first neighbors of each target from a neighbor file, with their scores and relations.

    The file is held in memory: 12 bytes per stored neighbor, 14 with relations.

    Args:
        graph: the graph that the file was sampled from.
        path: the file; see `graphcond.samplers.neighbor_file`.
        **choices: further arguments of `ChoosingSampler`. In place of a forbidden neighbor later ones move
            up, so store more than are needed.

    Raises:
        InputError: the file is missing, damaged, of another graph or of ``hop_mean``, or has too few
            neighbors; a forbidden row does not exist.
    """

    def __init__(
        self,
        graph: AttributedGraph,
        path: str | Path,
        *,
        neighbors: int = DEFAULT.neighbors,
        require_picture: bool = DEFAULT.require_picture,
        forbidden: Int64[np.ndarray, " f"] | None = None,
    ) -> None:
        self._path = Path(path)
        stored = read_neighbors(self._path)
        with at(self._path):
            _check(stored, graph, neighbors, require_picture=require_picture)
        super().__init__(graph, neighbors=neighbors, require_picture=require_picture, forbidden=forbidden)
        self._stored = stored.context
        self._place = np.full(len(graph), ABSENT, np.int64)
        self._place[self._stored.targets] = np.arange(len(self._stored.targets))

    def sample(self, targets: Int64[np.ndarray, " b"], generator: np.random.Generator) -> NeighborContext:
        """Take the stored neighbors of ``targets``; nothing is drawn from ``generator``.

        Raises:
            InputError: a target is not a row of the graph, or not in the file.
        """
        targets = known_rows(targets, len(self._place))
        places = self._place[targets]
        missing = targets[places == ABSENT]
        if len(missing):
            problem = f"the file has no neighbors of '{self._graph.nodes.ids[missing[0]]}'"
            raise InputError(problem, place=self._path, remedy=f"{WRITE_AGAIN}, without --split")
        stored = self._stored.take(places)
        return stored.keep(stored.present & self._allowed[stored.neighbors]).first(self._neighbors)


def _check(stored: NeighborFile, graph: AttributedGraph, neighbors: int, *, require_picture: bool) -> None:
    """Check that the file belongs to the graph and holds what is wanted of it."""
    things = {"ids": "nodes", "graph": "edges, pictures or attributes"}
    for part, identity in sorted(graph_identity(graph).items(), reverse=True):
        if stored.about.get(part) != identity:
            problem = f"the file belongs to a graph with other {things[part]}"
            raise InputError(problem, remedy=f"give its graph, or {WRITE_AGAIN}")
    context, sampler = stored.context, stored.about.get("sampler", {})
    known_rows(context.targets, len(graph))
    known_rows(context.neighbors[context.present], len(graph), name="neighbor")
    relations = np.empty(0, np.int16) if context.relations is None else context.relations
    known_rows(relations.ravel(), len(graph.relation_names) + 1, name="relation")
    if sampler.get("kind") == "hop_mean":
        problem = "the file holds nodes that 'hop_mean' averages, not neighbors"
        raise InputError(problem, remedy="sample with hop_mean")
    width = context.neighbors.shape[1]
    if neighbors > width:
        raise InputError(
            f"expected at least {neighbors} neighbors per target, got {width}",
            remedy=f"ask for {width} at most, or {WRITE_AGAIN} --set neighbors={neighbors}",
        )
    if sampler.get("require_picture", True) and not require_picture:
        raise InputError(
            "the file holds only neighbors with a picture",
            remedy=f"leave require_picture out, or {WRITE_AGAIN} --set require_picture=false",
        )
