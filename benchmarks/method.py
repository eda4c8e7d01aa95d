"""The common interface of all methods in the benchmark's table, graphcond's and the peers'."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int64
from truth import BEST

from graphcond.attributed_graph import AttributedGraph

Rank = Callable[[Int64[np.ndarray, " b"], Any], list[Int64[np.ndarray, " k"]]]
Prepare = Callable[[AttributedGraph, float], Rank]


@dataclass(frozen=True)
class Method:
    """One row of the table.

    Args:
        prepare: gives the method for a graph and an alpha.
        imports: modules whose memory is counted apart.
        settings: from cheap to dear.
        label: how a setting is shown.
        batch: targets that it takes at once.
        graphs: the graphs it is tried on, all if empty.
        threads: how many it may use.
        beside: a method that is timed in turns with it in the same process.
        weighted: it reads weights.
        directed: it reads directions.
    """

    prepare: Prepare
    imports: tuple[str, ...] = ()
    settings: tuple[Any, ...] = (None,)
    label: str = ""
    batch: int = 1
    graphs: tuple[str, ...] = ()
    threads: int = 1
    beside: str = ""
    weighted: bool = True
    directed: bool = True

    def takes(self, name: str, graph: AttributedGraph) -> bool:
        """True if it can rank the nodes of ``graph``, the one called ``name``."""
        read = (self.weighted or graph.weights is None) and (self.directed or not graph.directed)
        return read and (not self.graphs or name in self.graphs)


def best(values: Float[np.ndarray, " nodes"], target: int) -> Int64[np.ndarray, " k"]:
    """The 50 nodes of the highest values, ``target`` left out."""
    values[target] = 0
    top = np.argpartition(values, -BEST)[-BEST:]
    return top[values[top] > 0]


def best_of(pairs: np.ndarray, target: int) -> Int64[np.ndarray, " k"]:
    """As `best`, from rows of node and value."""
    pairs = pairs[pairs[:, 0] != target]
    return pairs[np.argsort(-pairs[:, 1])[:BEST], 0].astype(np.int64)


def each(one: Callable[[int, Any], Int64[np.ndarray, " k"]]) -> Rank:
    return lambda targets, setting: [one(target, setting) for target in targets.tolist()]
