"""Neighbors that ``graphcond sample-all`` sampled in advance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Int64

from graphcond.attributed_graph import ABSENT, AttributedGraph
from graphcond.config import checked
from graphcond.context import NeighborContext
from graphcond.errors import InputError
from graphcond.samplers.base import NeighborSampler
from graphcond.samplers.config import PrecomputedSamplerConfig
from graphcond.samplers.neighbor_file import NeighborFile, graph_identity, read_neighbors
from graphcond.samplers.ranking import choosable, known_rows

DEFAULT = PrecomputedSamplerConfig.model_construct()

WRITE_AGAIN = "write it again with graphcond sample-all"


@checked(PrecomputedSamplerConfig)
class PrecomputedSampler(NeighborSampler):
    """Takes the first neighbors of each target from a neighbor file, with their scores and relations.

    The file is held in memory: 12 bytes per stored neighbor, 14 with relations.

    Args:
        graph: the graph that the file was sampled from.
        path: the file; see `graphcond.samplers.neighbor_file`.
        neighbors: how many to take at most.
        require_picture: take only nodes that have a picture.
        forbidden: rows that are never taken; later neighbors move up, so store more than are needed.

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
        path = Path(path)
        stored = read_neighbors(path)
        _check_graph(stored, graph, path)
        _check_enough(stored, path, neighbors, require_picture=require_picture)
        self._ids, self._path, self._count = graph.nodes.ids, path, neighbors
        self._stored = stored.context
        self._place = np.full(len(graph), ABSENT, np.int64)
        self._place[self._stored.targets] = np.arange(len(self._stored.targets))
        self._allowed = choosable(graph, forbidden, require_picture=require_picture)

    def sample(self, targets: Int64[np.ndarray, " b"], generator: np.random.Generator) -> NeighborContext:
        """Take the stored neighbors of ``targets``; nothing is drawn from ``generator``.

        Raises:
            InputError: a target is not a row of the graph, or not in the file.
        """
        targets = known_rows(targets, len(self._place))
        places = self._place[targets]
        missing = targets[places == ABSENT]
        if len(missing):
            raise InputError(
                f"the file has no neighbors of '{self._ids[missing[0]]}'",
                place=self._path,
                remedy=f"{WRITE_AGAIN}, without --split",
            )
        stored = self._stored.take(places)
        return stored.keep(stored.present & self._allowed[stored.neighbors]).first(self._count)


def _check_graph(stored: NeighborFile, graph: AttributedGraph, path: Path) -> None:
    identity = graph_identity(graph)
    if stored.about.get("ids") != identity["ids"]:
        raise InputError(
            "the file belongs to a graph with other nodes",
            place=path,
            remedy=f"give its graph, or {WRITE_AGAIN}",
        )
    if stored.about.get("graph") != identity["graph"]:
        raise InputError(
            "the file belongs to a graph with other edges, pictures or attributes",
            place=path,
            remedy=f"give its graph, or {WRITE_AGAIN}",
        )
    context = stored.context
    known_rows(context.targets, len(graph), name=f"{path}: target")
    known_rows(context.neighbors[context.present], len(graph), name=f"{path}: neighbor")
    relations = np.empty(0, np.int16) if context.relations is None else context.relations
    known_rows(relations.ravel(), len(graph.relation_names) + 1, name=f"{path}: relation")


def _check_enough(stored: NeighborFile, path: Path, neighbors: int, *, require_picture: bool) -> None:
    if stored.about.get("sampler", {}).get("kind") == "hop_mean":
        raise InputError(
            "the file holds nodes that 'hop_mean' averages, not neighbors",
            place=path,
            remedy="sample with hop_mean",
        )
    width = stored.context.neighbors.shape[1]
    if neighbors > width:
        raise InputError(
            f"expected at least {neighbors} neighbors per target, got {width}",
            place=path,
            remedy=f"ask for {width} at most, or {WRITE_AGAIN} --set neighbors={neighbors}",
        )
    if stored.about.get("sampler", {}).get("require_picture", True) and not require_picture:
        raise InputError(
            "the file holds only neighbors with a picture",
            place=path,
            remedy=f"leave require_picture out, or {WRITE_AGAIN} --set require_picture=false",
        )
