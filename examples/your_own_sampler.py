"""Your own sampler: neighbors over edges of the types that you trust.

Run it after `make demo`:

    python examples/your_own_sampler.py --types same_series same_artist

You see, for a few samplers, how many of the neighbors of held-out paintings are by the same artist. To use
your sampler in a recipe, name its config in your package's pyproject.toml:

    [project.entry-points."graphcond.samplers"]
    edge_type = "mypackage.edge_type:EdgeTypeSamplerConfig"
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from graphcond import (
    AttributedGraph,
    InputError,
    KHopSampler,
    NeighborContext,
    NeighborSampler,
    PPRSampler,
    RandomSampler,
    load_graph,
)
from graphcond.errors import did_you_mean
from graphcond.samplers import NeighborSamplerConfig, Ranking, answer_each, best_first, choosable


class EdgeTypeSampler(NeighborSampler):
    """Takes the nodes that edges of some types lead to, the heaviest edge first. The score is its weight.

    Args:
        graph: its edges have types.
        types: the types that count.
        neighbors: how many to choose at most.
        require_picture: choose only nodes that have a picture.
        forbidden: rows that are never chosen.

    Raises:
        InputError: the graph has no such type.
    """

    def __init__(
        self,
        graph: AttributedGraph,
        types: Sequence[str],
        *,
        neighbors: int = 5,
        require_picture: bool = True,
        forbidden: np.ndarray | None = None,
    ) -> None:
        for name in types:
            if name not in graph.edge_type_names:
                remedy = did_you_mean(name, graph.edge_type_names)
                raise InputError(f"there are no edges of the type '{name}'", place="types", remedy=remedy)
        self._graph, self._neighbors = graph, neighbors
        self._types = [graph.edge_type_names.index(name) for name in types]
        self._allowed = choosable(graph, forbidden, require_picture=require_picture)

    def sample(self, targets: np.ndarray, generator: np.random.Generator) -> NeighborContext:
        """Choose the best neighbors of ``targets``; nothing is drawn from ``generator``."""
        return answer_each(targets, self._choose, nodes=len(self._graph), neighbors=self._neighbors)

    def _choose(self, target: int) -> Ranking:
        graph = self._graph
        edges = np.arange(graph.indptr[target], graph.indptr[target + 1])
        if graph.edge_types is not None:
            edges = edges[np.isin(graph.edge_types[edges], self._types)]
        edges = edges[self._allowed[graph.indices[edges]]]
        weights = np.ones(len(edges)) if graph.weights is None else graph.weights[edges]
        return best_first(graph.indices[edges], weights, self._neighbors)


class EdgeTypeSamplerConfig(NeighborSamplerConfig):
    """Neighbors over edges of some types."""

    component = EdgeTypeSampler
    kind: Literal["edge_type"] = "edge_type"
    types: tuple[str, ...]
    """The types that count."""


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    graph = load_graph(options.graph)
    targets = graph.nodes.in_split("test")
    samplers: dict[str, NeighborSampler] = {
        "random": RandomSampler(graph, forbidden=targets),
        "khop": KHopSampler(graph, forbidden=targets),
        "ppr": PPRSampler(graph, forbidden=targets),
        "edge_type": EdgeTypeSamplerConfig(types=tuple(options.types)).build(graph=graph, forbidden=targets),
    }
    for name, sampler in samplers.items():
        context = sampler.sample(targets, np.random.default_rng(0))
        found = context.present.sum(axis=1).mean()
        print(f"{name:10} {found:.1f} neighbors, {share_of_same(graph, context):.0%} by the same artist")


def share_of_same(graph: AttributedGraph, context: NeighborContext, attribute: str = "artist") -> float:
    """How many of all chosen neighbors have the target's value of an attribute."""
    values = np.array(list(graph.nodes.attributes[attribute]))
    same = values[context.neighbors] == values[context.targets][:, None]
    return float(same[context.present].mean())


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--graph", type=Path, default=Path("outputs/demo/graph"))
    parser.add_argument("--types", nargs="+", default=["same_series", "same_artist"])
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
