"""Nodes and edges as PyG and DGL hold them: a group for every type of node and of edge."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeAlias

import numpy as np
import psutil
from jaxtyping import Bool, Float32, Int64

from graphcond.attributed_graph import EdgeList, NodeTable
from graphcond.errors import InputError
from graphcond.graphs.reading.arrays import as_array
from graphcond.graphs.source import NODE_COLUMNS

EdgeType: TypeAlias = tuple[str, str, str]
"""Type of the sources, relation, type of the targets."""

OWN_NAMES = {name: name for name in (*NODE_COLUMNS, "weight", "edge_type")}
"""The names of our columns in formats that have no other names for them."""

MASK = "_mask"
"""Ending of the names of masks; ``train_mask`` is True for the nodes of the split ``train``."""

PLAIN = ""
"""The type of nodes, and the relation of edges, of a graph that does not tell types apart."""

NODE = 96
"""Least bytes of memory for a node: its id, and its place in the columns."""


@dataclass(frozen=True)
class NodeGroup:
    """The ``count`` nodes of one type with their columns, of which some may have another length."""

    count: int
    columns: Mapping[str, Any]


@dataclass(frozen=True)
class EdgeGroup:
    """The edges of one type, as positions among the nodes of both ends' types, with their columns."""

    sources: Int64[np.ndarray, " edges"]
    targets: Int64[np.ndarray, " edges"]
    columns: Mapping[str, Any]


@dataclass(frozen=True)
class Groups:
    """All nodes and edges by their types. ``relations`` are the names of numbers in ``edge_type``."""

    nodes: Mapping[str, NodeGroup]
    edges: Mapping[EdgeType, EdgeGroup]
    relations: Sequence[str] | None = None


def attribute_keys(nodes: NodeTable, taken: Collection[str]) -> dict[str, str]:
    """The names of attributes in another library: their own, after ``attribute_`` where they are taken."""
    return {name: f"attribute_{name}" if name in taken else name for name in nodes.attributes}


def text_column(
    values: Any, key: str, count: int, of: str, place: object, things: str = "nodes"
) -> list[str]:
    """One text for each node or edge."""
    if not isinstance(values, list | tuple):
        values = as_array(values, f"'{key}'", place)
        values = values.reshape(-1).tolist() if values.shape == (count, 1) else values.tolist()
    if not isinstance(values, list | tuple) or len(values) != count:
        raise InputError(
            f"'{key}' has {len(values) if isinstance(values, list | tuple) else 1} entries "
            f"for {count} {things}{of}",
            place=place,
            remedy=f"give one entry for each of the {things}",
        )
    return ["" if value is None else str(value) for value in values]


def check_room(nodes: int, place: object) -> int:
    """Return ``nodes`` if so many nodes fit into memory.

    A wrong count, or one wrong id in the edges, asks for billions of nodes. Each format checks the number as
    soon as it knows it, before it allocates something for each node.

    Raises:
        InputError: the nodes do not fit.
    """
    free = psutil.virtual_memory().available
    if nodes * NODE > free:
        raise InputError(
            f"there are {nodes} nodes, and {free / 2**30:.1f} GiB of memory do not hold so many",
            place=place,
            remedy="mend that number, or number the nodes in the edges from 0 without gaps",
        )
    return nodes


def mask_of(
    rows: Int64[np.ndarray, " rows"], count: int, what: str, place: object
) -> Bool[np.ndarray, " nodes"]:
    """True for the nodes ``rows`` of ``count``; ``what`` is the name of the rows in errors.

    Raises:
        InputError: a row is not that of a node.
    """
    if len(rows) and not (rows.min() >= 0 and rows.max() < count):
        raise InputError(
            f"'{what}' names nodes {rows.min()} to {rows.max()}, and there are {count}",
            place=place,
            remedy="fetch the file again",
        )
    mask = np.zeros(count, bool)
    mask[rows] = True
    return mask


def of_nodes(kind: str) -> str:
    """The type in an error, to stand after "nodes"; empty for `PLAIN`."""
    return f" of '{kind}'" if kind != PLAIN else ""


def of_edges(kind: EdgeType) -> str:
    """The type in an error, to stand after "edges"; empty for `PLAIN`."""
    return f" of {named(kind)}" if kind[1] != PLAIN else ""


def named(kind: EdgeType) -> str:
    """An edge type in an error."""
    return f"'{' '.join(kind)}'"


def edge_list(groups: Groups, names: Mapping[str, str], place: object) -> EdgeList:
    """All edges, as rows of the node table.

    Raises:
        InputError: as `graphcond.graphs.groups.source.source_of`.
    """
    counts = [group.count for group in groups.nodes.values()]
    starts = dict(zip(groups.nodes, accumulate(counts, initial=0), strict=False))
    sources, targets = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for kind, group in groups.edges.items():
        for ends, end, found in ((group.sources, kind[0], sources), (group.targets, kind[2], targets)):
            if end not in groups.nodes:
                raise InputError(
                    f"the edges {named(kind)} end at nodes '{end}', which are missing", place=place
                )
            count = groups.nodes[end].count
            outside = np.flatnonzero((ends < 0) | (ends >= count))
            if len(outside):
                edge = outside[0]
                raise InputError(
                    f"edge {edge}{of_edges(kind)} ends at node {ends[edge]}, and there are {count} nodes",
                    place=place,
                    remedy="mend the edge, or give all nodes",
                )
            found.append(ends + starts[end])
    return EdgeList(
        np.concatenate(sources),
        np.concatenate(targets),
        weights=_weights(groups.edges, names["weight"], place),
        types=_edge_types(groups, names["edge_type"], place),
    )


def _weights(
    edges: Mapping[EdgeType, EdgeGroup], key: str, place: object
) -> Float32[np.ndarray, " edges"] | None:
    """The weights of all edges, 1 for types without weights; None if no type has any."""
    if not any(key in group.columns for group in edges.values()):
        return None
    parts = []
    for kind, group in edges.items():
        count = len(group.sources)
        values = group.columns.get(key, np.ones(count, np.float32))
        if isinstance(values, list | tuple):
            with suppress(TypeError, ValueError):  # numbers as text, from CSV files
                values = [float(value) for value in values]
        weights = as_array(values, f"'{key}'", place)
        if weights.shape not in ((count,), (count, 1)):
            raise InputError(
                f"'{key}'{of_edges(kind)} has the shape {weights.shape} for {count} edges",
                place=place,
                remedy="give one weight for each edge",
            )
        weights = weights.reshape(-1).astype(np.float32)
        wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
        if len(wrong):
            raise InputError(
                f"edge {wrong[0]}{of_edges(kind)} has the weight {weights[wrong[0]]}",
                place=place,
                remedy="use finite weights >= 0",
            )
        parts.append(weights)
    return np.concatenate(parts)


def _edge_types(groups: Groups, key: str, place: object) -> list[str] | None:
    """The types of all edges: their column ``key``, else the relation of their group."""
    typed = any(key in group.columns for group in groups.edges.values())
    if not typed and all(relation == PLAIN for _, relation, _ in groups.edges):
        return None
    types: list[str] = []
    for kind, group in groups.edges.items():
        count = len(group.sources)
        if key not in group.columns:
            types += [kind[1]] * count
            continue
        column = text_column(group.columns[key], key, count, of_edges(kind), place, "edges")
        if groups.relations is not None:
            named = {str(number): name for number, name in enumerate(groups.relations)}
            for number in dict.fromkeys(column):
                if number not in named:
                    raise InputError(
                        f"'{key}' is {number}, and {len(named)} relations have names", place=place
                    )
            column = [named[number] for number in column]
        types += column
    return types


def is_mirrored(edges: EdgeList) -> bool:
    """Return True if edges have weights, and each stands in both directions with the same weight."""
    if edges.weights is None:
        return False
    there = np.lexsort((edges.weights, edges.targets, edges.sources))
    back = np.lexsort((edges.weights, edges.sources, edges.targets))
    return (
        np.array_equal(edges.sources[there], edges.targets[back])
        and np.array_equal(edges.targets[there], edges.sources[back])
        and np.array_equal(edges.weights[there], edges.weights[back])
    )
