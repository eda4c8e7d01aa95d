"""Limit the number of neighbors of each node type and of each relation to the target."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int, Int64

from graphcond.attributed_graph import AttributedGraph
from graphcond.context import NeighborContext
from graphcond.errors import InputError, at, did_you_mean
from graphcond.graphs.columns import to_arrow
from graphcond.samplers.base import NeighborSampler
from graphcond.samplers.edge_types import with_relations

CELLS = 1 << 22
"""Most neighbors in memory at once; with more, targets are answered in parts."""


class Extensible(NeighborSampler):
    """A deterministic sampler that can be asked for more neighbors than it was made for."""

    @abstractmethod
    def with_count(self, neighbors: int) -> NeighborSampler:
        """The same sampler for another number of neighbors."""


class Categories(NamedTuple):
    """The category of each node or relation, and the quota of each category; category 0 has no limit."""

    of: Int[np.ndarray, " things"]
    most: Int64[np.ndarray, " categories"]


class QuotaSampler(NeighborSampler):
    """The best neighbors of another sampler, within a quota for each node type and each relation.

    Neighbors are taken best first; one whose quota is used up is skipped. If too few are left, the other
    sampler is asked for twice as many, until it has no more: the result is that of its full ranking, which
    mostly need not be computed.

    Args:
        sampler: the other sampler.
        graph: the graph that it chooses from.
        neighbors: how many to choose at most.
        first: how many to ask the other sampler for at first, at least ``neighbors``.
        node_types: most neighbors of a node type; types that are not named have no limit.
        relations: most neighbors in a relation to the target, by ``graph.relation_names``; relations that are
            not named have no limit.

    Raises:
        InputError: a quota is below 0, or names a type or relation that the graph does not have.
    """

    def __init__(
        self,
        sampler: Extensible,
        graph: AttributedGraph,
        *,
        neighbors: int,
        first: int,
        node_types: Mapping[str, int],
        relations: Mapping[str, int],
    ) -> None:
        self._sampler, self._graph = sampler, graph
        self._neighbors, self._first = neighbors, max(first, neighbors)
        self._node_types: Categories | None = None
        self._relations: Categories | None = None
        if node_types:
            types = None if graph.nodes.types is None else to_arrow(graph.nodes.types)
            with at("quotas.node_types"):
                most = _most(node_types, () if types is None else pc.unique(types).to_pylist(), "node")
            listed = pc.index_in(types, value_set=pa.array(node_types, pa.large_string()))
            self._node_types = Categories(np.asarray(pc.fill_null(listed, -1)) + 1, most)
        if relations:
            with at("quotas.relations"):
                most = _most(relations, graph.relation_names, "edge")
            number = {name: place for place, name in enumerate(relations, start=1)}
            # Relation 0 means that there is no edge.
            of = np.array([0, *(number.get(name, 0) for name in graph.relation_names)])
            self._relations = Categories(of, most)

    def sample(self, targets: Int64[np.ndarray, " b"], generator: np.random.Generator) -> NeighborContext:
        """Choose the best neighbors of ``targets`` within the quotas; nothing is drawn from ``generator``."""
        return self._ask(np.asarray(targets), self._first, generator)

    def _ask(
        self, targets: Int64[np.ndarray, " b"], count: int, generator: np.random.Generator
    ) -> NeighborContext:
        most = max(CELLS // count, 1)
        if len(targets) > most:
            parts = range(0, len(targets), most)
            return NeighborContext.join(
                [self._ask(targets[part : part + most], count, generator) for part in parts]
            )
        found = with_relations(self._graph, self._sampler.with_count(count).sample(targets, generator))
        chosen = found.keep(self._within(found)).first(self._neighbors)
        # Only rows that the other sampler filled, and quotas emptied, can gain from asking for more.
        short = np.flatnonzero(found.present[:, -1] & ~chosen.present[:, -1])
        if len(short):
            more = self._ask(targets[short], 2 * count, generator)
            chosen.neighbors[short], chosen.scores[short] = more.neighbors, more.scores
            if chosen.relations is not None:
                chosen.relations[short] = more.relations
        return chosen

    def _within(self, found: NeighborContext) -> Bool[np.ndarray, "b k"]:
        """True for the neighbors that are taken: place by place, best first, for all targets at once."""
        counted = []
        if self._node_types is not None:
            counted.append((self._node_types.of[found.neighbors], self._node_types.most))
        if self._relations is not None and found.relations is not None:
            counted.append((self._relations.of[found.relations], self._relations.most))
        rows, kept = np.arange(len(found.targets)), found.present
        left = [np.tile(most, (len(rows), 1)) for _, most in counted]
        for place in range(kept.shape[1]):
            here = [(rows, categories[:, place]) for categories, _ in counted]
            for cells, free in zip(here, left, strict=True):
                kept[:, place] &= free[cells] > 0
            # Quotas are used up only once all of them allow the neighbor.
            for cells, free in zip(here, left, strict=True):
                free[cells] -= kept[:, place]
        return kept


def _most(
    quotas: Mapping[str, int], known: Sequence[str], of: Literal["node", "edge"]
) -> Int64[np.ndarray, " categories"]:
    """The quota of each category; ``known`` are the types of nodes, or the relations of edges."""
    if not known:
        raise InputError(
            f"the {of}s of the graph have no types",
            remedy=f"leave it out, or give the {of}s a column of types",
        )
    for name, most in quotas.items():
        if name not in known:
            what = "node type" if of == "node" else "relation"
            raise InputError(f"the graph has no {what} '{name}'", remedy=did_you_mean(name, known))
        if most < 0:
            raise InputError(f"the quota of '{name}' is {most}", remedy="use 0 or more")
    return np.array([np.iinfo(np.int64).max, *quotas.values()])
