"""From a list of edges to sorted rows without repeats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int, Int64, UInt8

from graphcond.errors import InputError
from graphcond.graphs.columns import first_repeat, to_arrow
from graphcond.types import ABSENT, AttributedGraph, EdgeList, NodeTable

MAX_EDGE_TYPES = 256


def build_graph(
    nodes: NodeTable,
    edges: EdgeList,
    *,
    directed: bool = False,
    root: Path | None = None,
    given: Int64[np.ndarray, "nodes k"] | None = None,
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

    Raises:
        InputError: ids repeat, columns differ in length, an edge ends at no node, a weight is negative or
            not finite, or too large in sum, ``given`` names no node, or there are more than 256 edge types.
    """
    _check_nodes(nodes)
    _check_edges(edges, len(nodes))
    _check_given(given, len(nodes))
    codes, names = _encode(edges.types)
    arcs = _Arcs(edges.sources, edges.targets, edges.weights, codes)
    arcs = _merge(arcs.take(arcs.rows != arcs.columns), len(nodes), directed)
    if not directed:
        arcs = _mirror(arcs, len(nodes))
    return AttributedGraph(
        nodes=nodes,
        indptr=np.searchsorted(arcs.rows, np.arange(len(nodes) + 1)).astype(np.int64),
        indices=arcs.columns.astype(np.int32 if len(nodes) <= np.iinfo(np.int32).max else np.int64),
        weights=arcs.weights,
        edge_types=arcs.types,
        edge_type_names=names,
        directed=directed,
        root=root,
        given=given,
    )


@dataclass(frozen=True)
class _Arcs:
    """Edges with their direction; types as numbers."""

    rows: Int64[np.ndarray, " arcs"]
    columns: Int64[np.ndarray, " arcs"]
    weights: Float32[np.ndarray, " arcs"] | None
    types: UInt8[np.ndarray, " arcs"] | None

    def take(self, which: Int[np.ndarray, " chosen"] | Bool[np.ndarray, " arcs"]) -> _Arcs:
        return _Arcs(
            self.rows[which],
            self.columns[which],
            None if self.weights is None else self.weights[which],
            None if self.types is None else self.types[which],
        )


def _merge(arcs: _Arcs, nodes: int, directed: bool) -> _Arcs:
    rows, columns = arcs.rows, arcs.columns
    if not directed:
        rows, columns = np.minimum(rows, columns), np.maximum(rows, columns)
    keys, first, group = np.unique(rows * nodes + columns, return_index=True, return_inverse=True)
    merged = _Arcs(*np.divmod(keys, max(nodes, 1)), None, None if arcs.types is None else arcs.types[first])
    if arcs.weights is None:
        return merged
    sums = np.bincount(group, arcs.weights, minlength=len(keys))
    if len(sums) and sums.max() > np.finfo(np.float32).max:
        raise InputError(
            f"the weights of a repeated edge sum to {sums.max():.3g}", remedy="scale the weights down"
        )
    sums = sums.astype(np.float32)
    return _Arcs(merged.rows, merged.columns, sums, merged.types).take(sums > 0)


def _mirror(arcs: _Arcs, nodes: int) -> _Arcs:
    rows = np.concatenate([arcs.rows, arcs.columns])
    columns = np.concatenate([arcs.columns, arcs.rows])
    order = np.argsort(rows * nodes + columns)
    both = arcs.take(order % max(len(arcs.rows), 1))
    return _Arcs(rows[order], columns[order], both.weights, both.types)


def _encode(types: Sequence[str] | None) -> tuple[UInt8[np.ndarray, " edges"] | None, tuple[str, ...]]:
    if types is None:
        return None, ()
    encoded = to_arrow(types).dictionary_encode()
    found = encoded.dictionary.to_pylist()
    if len(found) > MAX_EDGE_TYPES:
        raise InputError(
            f"there are {len(found)} edge types and at most {MAX_EDGE_TYPES} are possible",
            remedy="merge rare types, or leave the column out",
        )
    names = sorted(found)
    place = np.array([names.index(name) for name in found], np.uint8)
    return place[np.asarray(encoded.indices)] if found else np.empty(0, np.uint8), tuple(names)


def _check_nodes(nodes: NodeTable) -> None:
    columns = {"texts": nodes.texts, "pictures": nodes.pictures, "types": nodes.types, "splits": nodes.splits}
    for name, column in {**columns, **nodes.attributes}.items():
        if column is not None and len(column) != len(nodes):
            raise InputError(f"the column '{name}' has {len(column)} entries for {len(nodes)} nodes")
    repeat = first_repeat(to_arrow(nodes.ids))
    if repeat is not None:
        raise InputError(
            f"the node id '{nodes.ids[repeat]}' occurs more than once", remedy="give every node its own id"
        )


def _check_edges(edges: EdgeList, nodes: int) -> None:
    for name, column in {"targets": edges.targets, "weights": edges.weights, "types": edges.types}.items():
        if column is not None and len(column) != len(edges):
            raise InputError(f"there are {len(column)} {name} for {len(edges)} edges")
    for ends in (edges.sources, edges.targets):
        outside = np.flatnonzero((ends < 0) | (ends >= nodes))
        if len(outside):
            raise InputError(
                f"edge {outside[0]} ends at node {ends[outside[0]]}, and there are {nodes} nodes"
            )
    if edges.weights is not None:
        wrong = np.flatnonzero(~(np.isfinite(edges.weights) & (edges.weights >= 0)))
        if len(wrong):
            raise InputError(
                f"edge {wrong[0]} has the weight {edges.weights[wrong[0]]}", remedy="use finite weights >= 0"
            )


def _check_given(given: Int64[np.ndarray, "nodes k"] | None, nodes: int) -> None:
    if given is None:
        return
    if len(given) != nodes:
        raise InputError(f"there are {len(given)} rows of given neighbors for {nodes} nodes")
    if given.size and (given.min() < ABSENT or given.max() >= nodes):
        raise InputError(
            f"given neighbors reach from {given.min()} to {given.max()}, and there are {nodes} nodes"
        )
