"""From a list of edges to sorted rows without repeats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Int64

from graphcond.errors import InputError
from graphcond.graphs.building.arcs import TypeNumbers, arcs_of, check_count
from graphcond.graphs.columns import first_repeat, to_arrow
from graphcond.types import ABSENT, AttributedGraph, EdgeList, NodeTable


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
    check_count(len(nodes))
    _check_nodes(nodes)
    _check_edges(edges, len(nodes))
    _check_given(given, len(nodes))
    numbers = TypeNumbers()
    types = None if edges.types is None else numbers.of(edges.types)
    arcs = arcs_of(edges, types, directed=directed).sorted().merged()
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
    )


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
