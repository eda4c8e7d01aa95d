"""Nodes and edges as PyG and DGL hold them: a group for every type of node and of edge."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import psutil
from jaxtyping import Bool, Int64

from graphcond.errors import InputError
from graphcond.graphs.reading.arrays import as_array
from graphcond.graphs.source import NODE_COLUMNS
from graphcond.types import NodeTable

EdgeType: TypeAlias = tuple[str, str, str]
"""Type of the sources, relation, type of the targets."""

OWN_NAMES = {name: name for name in (*NODE_COLUMNS, "weight", "edge_type")}
"""What formats call the columns that have no names for them."""

MASK = "_mask"
"""What the names of masks end in; ``train_mask`` is True for the nodes of the split ``train``."""

PLAIN = ""
"""The type of nodes, and the relation of edges, where there is one and it has no name."""

NODE = 96
"""Bytes that a node takes at least: its id, and its place in the columns."""


@dataclass(frozen=True)
class NodeGroup:
    """The ``count`` nodes of one type, and what is known of them; some of it may be of other lengths."""

    count: int
    columns: Mapping[str, Any]


@dataclass(frozen=True)
class EdgeGroup:
    """The edges of one type: positions among the nodes of both ends' types, and what is known of them."""

    sources: Int64[np.ndarray, " edges"]
    targets: Int64[np.ndarray, " edges"]
    columns: Mapping[str, Any]


@dataclass(frozen=True)
class Groups:
    """All nodes and edges by their types. ``relations`` names what numbers in ``edge_type`` mean."""

    nodes: Mapping[str, NodeGroup]
    edges: Mapping[EdgeType, EdgeGroup]
    relations: Sequence[str] | None = None


def attribute_keys(nodes: NodeTable, taken: Collection[str]) -> dict[str, str]:
    """What each attribute is called elsewhere: as here, or with ``attribute_`` before it if that is taken."""
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
    """``nodes``, where so many fit the memory: a wrong count, or one wrong id in the edges, names billions.

    Called by each format as soon as it knows the number, before anything is made for each node.

    Raises:
        InputError: they do not fit.
    """
    free = psutil.virtual_memory().available
    if nodes * NODE > free:
        raise InputError(
            f"has {nodes} nodes, and {free / 2**30:.1f} GiB of memory do not hold so many",
            place=place,
            remedy="mend that number, or number the nodes in the edges from 0 without gaps",
        )
    return nodes


def mask_of(
    rows: Int64[np.ndarray, " rows"], count: int, what: str, place: object
) -> Bool[np.ndarray, " nodes"]:
    """True for the nodes ``rows`` of ``count``; errors call the rows ``what``.

    Raises:
        InputError: a row is no node's.
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
    """What an error says after nodes."""
    return f" of '{kind}'" if kind != PLAIN else ""


def of_edges(kind: EdgeType) -> str:
    """What an error says after edges."""
    return f" of {named(kind)}" if kind[1] != PLAIN else ""


def named(kind: EdgeType) -> str:
    """An edge type as errors write it."""
    return f"'{' '.join(kind)}'"
