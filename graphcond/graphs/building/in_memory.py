"""Turns a list of edges into sorted rows without repeats, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import pyarrow.compute as pc
from jaxtyping import Bool, Float32, Int, Int64, UInt8, UInt64

from graphcond.attributed_graph import ABSENT, AttributedGraph, EdgeList, NodeTable
from graphcond.errors import InputError
from graphcond.graphs.columns import first_repeat, to_arrow
from graphcond.io.tally import Tally

MAX_NODES = 2**32
"""A key of an arc has 32 bits for either end."""
MAX_EDGE_TYPES = 256

_HALF = np.uint64(32)
_LOWER = np.uint64(2**32 - 1)


@dataclass(frozen=True)
class Arcs:
    """Directed edges; ``keys`` hold the row in their upper 32 bits and the column in the lower.

    One sort of such keys puts arcs in the order of the CSR: by row, and by column within a row.
    """

    keys: UInt64[np.ndarray, " arcs"]
    weights: Float32[np.ndarray, " arcs"] | None = None
    types: UInt8[np.ndarray, " arcs"] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def columns(self, nodes: int) -> Int[np.ndarray, " arcs"]:
        """The nodes that the arcs lead to, in the index dtype of a graph with that many nodes."""
        return (self.keys & _LOWER).astype(index_dtype(nodes))

    def degrees(self, first: int, end: int) -> Int64[np.ndarray, " rows"]:
        """The number of arcs of each row from ``first`` to before ``end``; no arc may start elsewhere."""
        return np.bincount((self.keys >> _HALF).astype(np.int64) - first, minlength=end - first)

    def take(self, which: Int[np.ndarray, " chosen"] | Bool[np.ndarray, " arcs"]) -> Arcs:
        """The arcs named by ``which``."""
        return Arcs(
            self.keys[which],
            None if self.weights is None else self.weights[which],
            None if self.types is None else self.types[which],
        )

    def sorted(self) -> Arcs:
        """The arcs by key; those of one key stay in their order."""
        if self.weights is None and self.types is None:
            return Arcs(np.sort(self.keys))
        return self.take(np.argsort(self.keys, kind="stable"))

    def lost_types(self) -> int:
        """The sorted arcs that `merged` merges with an arc of another type."""
        if self.types is None or not len(self):
            return 0
        is_first = np.append(True, self.keys[1:] != self.keys[:-1])
        starts, repeats = np.flatnonzero(is_first), np.flatnonzero(~is_first)
        first = starts[np.searchsorted(starts, repeats) - 1]
        return int((self.types[repeats] != self.types[first]).sum())

    def merged(self) -> Arcs:
        """Sorted arcs without repeats: the weights of a key are summed in float64, its first type stays.

        Arcs whose weight is 0 after that are dropped.

        Raises:
            InputError: a sum is too large for float32.
        """
        if not len(self):
            return self
        is_first = np.append(True, self.keys[1:] != self.keys[:-1])
        merged = Arcs(self.keys, None, self.types).take(is_first)
        if self.weights is None:
            return merged
        sums = np.add.reduceat(self.weights.astype(np.float64), np.flatnonzero(is_first))
        if sums.max() > np.finfo(np.float32).max:
            problem = f"the weights of a repeated edge sum to {sums.max():.3g}"
            raise InputError(problem, remedy="scale the weights down")
        weights = sums.astype(np.float32)
        return Arcs(merged.keys, weights, merged.types).take(weights > 0)


def index_dtype(nodes: int) -> np.dtype:
    """The dtype of ``indices`` in a graph of that many nodes: int32, or int64 where that is too small."""
    return np.dtype(np.int32 if nodes <= np.iinfo(np.int32).max else np.int64)


def check_count(nodes: int) -> None:
    """Refuse more nodes than keys can hold.

    Raises:
        InputError: there are more than 2^32.
    """
    if nodes > MAX_NODES:
        raise InputError(f"there are more than {MAX_NODES} nodes", remedy="leave some out")


def arcs_of(edges: EdgeList, types: UInt8[np.ndarray, " edges"] | None, *, directed: bool) -> Arcs:
    """The arcs of ``edges`` without self-loops and edges of weight 0; an undirected edge gives two.

    Arcs of one key are in the order of their edges, whichever end of an undirected edge comes first.

    Args:
        edges: pairs of rows below `MAX_NODES`.
        types: the edges' types as numbers.
        directed: keep the direction of the edges.
    """
    kept = edges.sources != edges.targets
    kept &= True if edges.weights is None else edges.weights > 0
    ends = edges.sources[kept].astype(np.uint64), edges.targets[kept].astype(np.uint64)
    if not directed:
        # All edges of a pair point one way before they are turned around, which keeps repeats in order.
        ends = np.minimum(*ends), np.maximum(*ends)
    keys = [left << _HALF | right for left, right in ([ends] if directed else [ends, ends[::-1]])]
    return Arcs(
        np.concatenate(keys),
        None if edges.weights is None else np.tile(edges.weights[kept], len(keys)),
        None if types is None else np.tile(types[kept], len(keys)),
    )


def join_arcs(parts: Sequence[Arcs]) -> Arcs:
    """The arcs of all parts, one part after the other; there must be a part."""
    weights, types = [part.weights for part in parts], [part.types for part in parts]
    return Arcs(
        np.concatenate([part.keys for part in parts]),
        None if weights[0] is None else np.concatenate(cast(list[np.ndarray], weights)),
        None if types[0] is None else np.concatenate(cast(list[np.ndarray], types)),
    )


class TypeNumbers:
    """Numbers for the types of edges, in the order of their first appearance.

    Edges are read in pieces, so the sorted numbers of the finished graph are known only at the end.
    """

    def __init__(self) -> None:
        self._met: list[str] = []

    @property
    def names(self) -> tuple[str, ...]:
        """The types met so far, sorted: a graph's ``edge_type_names``."""
        return tuple(sorted(self._met))

    def of(self, types: Sequence[str]) -> UInt8[np.ndarray, " edges"]:
        """The number of each type.

        Raises:
            InputError: there are more than 256 types.
        """
        encoded = to_arrow(types).dictionary_encode()
        found = encoded.dictionary.to_pylist()
        self._met += [name for name in found if name not in self._met]
        if len(self._met) > MAX_EDGE_TYPES:
            problem = f"there are more than {MAX_EDGE_TYPES} edge types"
            raise InputError(problem, remedy="merge rare types, or leave the column out")
        numbers = np.array([self._met.index(name) for name in found], np.uint8)
        return numbers[np.asarray(encoded.indices)] if found else np.empty(0, np.uint8)

    def places(self, numbers: UInt8[np.ndarray, " arcs"]) -> UInt8[np.ndarray, " arcs"]:
        """The place of each number's type in `names`; to be called after the last type was met."""
        return np.array([self.names.index(name) for name in self._met], np.uint8)[numbers]


SELF_LOOPS, NO_WEIGHT, LOST_TYPES = "self-loops", "weight 0", "merged with an edge of another type"
"""The reasons for which edges are left out."""


class EdgeCount(NamedTuple):
    """Counts of edges that are read: all, those that join a node to itself, and others of weight 0."""

    read: int = 0
    self_loops: int = 0
    weightless: int = 0

    @classmethod
    def of(cls, edges: EdgeList) -> EdgeCount:
        """The counts of some edges."""
        loops = edges.sources == edges.targets
        weightless = 0 if edges.weights is None else int((~loops & (edges.weights == 0)).sum())
        return cls(len(edges), int(loops.sum()), weightless)

    def plus(self, other: EdgeCount) -> EdgeCount:
        """The counts of both."""
        return EdgeCount(*map(sum, zip(self, other, strict=True)))

    def tally(self, kept: int, lost_types: int) -> Tally:
        """The tally of edges.

        Args:
            kept: the edges of the graph.
            lost_types: those that were merged with one of another type.
        """
        merged = self.read - self.self_loops - self.weightless - kept - lost_types
        reasons = {SELF_LOOPS: self.self_loops, NO_WEIGHT: self.weightless, LOST_TYPES: lost_types}
        left_out = {reason: count for reason, count in reasons.items() if count}
        lost = {"edges": left_out} if left_out else {}
        return Tally({"edges": self.read}, lost, {"edges": merged} if merged else {})


def tally_of_nodes(nodes: NodeTable) -> Tally:
    """How many nodes there are, how many of them have a text, and how many name a picture."""
    texts = int(pc.sum(pc.not_equal(to_arrow(nodes.texts), "")).as_py() or 0)
    pictures = len(nodes) - to_arrow(nodes.pictures).null_count
    return Tally({"nodes": len(nodes), "texts": texts, "pictures": pictures})


def build_graph(
    nodes: NodeTable,
    edges: EdgeList,
    *,
    directed: bool = False,
    root: Path | None = None,
    given: Int64[np.ndarray, "nodes k"] | None = None,
    tally: Tally | None = None,
) -> AttributedGraph:
    """Put ``edges`` in CSR form: sorted, without repeats, self-loops and edges of weight 0.

    Repeats become one edge with the sum of their weights and the type of the first. An undirected graph
    stores each edge in both rows, and there ``(i, j)`` and ``(j, i)`` are repeats of each other. Nodes
    without edges stay.

    Args:
        nodes: the node table.
        edges: pairs of its rows, in any order.
        directed: keep edges in the one row they start from.
        root: the folder that picture paths are relative to.
        given: neighbors that the source chose itself, padded with `ABSENT`.
        tally: what the reader left out; the graph's own counts are added.

    Raises:
        InputError: ids repeat, columns differ in length, an edge ends at no node, a weight is negative or
            not finite, or too large in sum, ``given`` names no node, or there are more than 256 edge types.
    """
    _check(nodes, edges, given)
    numbers = TypeNumbers()
    types = None if edges.types is None else numbers.of(edges.types)
    arcs = arcs_of(edges, types, directed=directed).sorted()
    lost_types, arcs = arcs.lost_types(), arcs.merged()
    copies = 1 if directed else 2
    counted = EdgeCount.of(edges).tally(len(arcs) // copies, lost_types // copies)
    return AttributedGraph(
        nodes=nodes,
        indptr=np.append(0, np.cumsum(arcs.degrees(0, len(nodes)))),
        indices=arcs.columns(len(nodes)),
        weights=arcs.weights,
        edge_types=None if arcs.types is None else numbers.places(arcs.types),
        edge_type_names=numbers.names,
        directed=directed,
        root=root,
        given=given,
        tally=(tally or Tally()) + tally_of_nodes(nodes) + counted,
    )


def _check(nodes: NodeTable, edges: EdgeList, given: Int64[np.ndarray, "rows k"] | None) -> None:
    check_count(len(nodes))
    columns = {"texts": nodes.texts, "pictures": nodes.pictures, "types": nodes.types, "splits": nodes.splits}
    for name, column in {**columns, **nodes.attributes}.items():
        if column is not None and len(column) != len(nodes):
            raise InputError(f"the column '{name}' has {len(column)} entries for {len(nodes)} nodes")
    repeat = first_repeat(to_arrow(nodes.ids))
    if repeat is not None:
        problem = f"the node id '{nodes.ids[repeat]}' occurs more than once"
        raise InputError(problem, remedy="give every node its own id")
    if given is not None and len(given) != len(nodes):
        raise InputError(f"there are {len(given)} rows of given neighbors for {len(nodes)} nodes")
    if given is not None and given.size and (given.min() < ABSENT or given.max() >= len(nodes)):
        raise InputError(
            f"given neighbors reach from {given.min()} to {given.max()}, and there are {len(nodes)} nodes"
        )
    for name, values in {"targets": edges.targets, "weights": edges.weights, "types": edges.types}.items():
        if values is not None and len(values) != len(edges):
            raise InputError(f"there are {len(values)} {name} for {len(edges)} edges")
    for ends in (edges.sources, edges.targets):
        outside = np.flatnonzero((ends < 0) | (ends >= len(nodes)))
        if len(outside):
            edge = outside[0]
            raise InputError(f"edge {edge} ends at node {ends[edge]}, and there are {len(nodes)} nodes")
    if edges.weights is not None:
        wrong = np.flatnonzero(~(np.isfinite(edges.weights) & (edges.weights >= 0)))
        if len(wrong):
            problem = f"edge {wrong[0]} has the weight {edges.weights[wrong[0]]}"
            raise InputError(problem, remedy="use finite weights >= 0")
