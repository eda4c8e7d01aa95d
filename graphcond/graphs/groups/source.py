"""Makes a `GraphSource` of groups: nodes come type after type, and keep their order within a type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

from graphcond.attributed_graph import NodeEmbeddings, NodeTable
from graphcond.errors import InputError, did_you_mean
from graphcond.graphs.groups.base import (
    MASK,
    PLAIN,
    Groups,
    NodeGroup,
    edge_list,
    is_mirrored,
    of_nodes,
    text_column,
)
from graphcond.graphs.reading.arrays import as_array, check_finite
from graphcond.graphs.source import NODE_COLUMNS, GraphSource

VectorReaders: TypeAlias = dict[str, Callable[[], Float[np.ndarray, "nodes d"]]]
"""Functions that read vectors in the order of the nodes, by the name of the vectors."""


def feature_keys(groups: Groups) -> list[str]:
    """The columns that hold a vector for each node of a type."""
    found: dict[str, None] = {}
    for group in groups.nodes.values():
        for key, values in group.columns.items():
            shape = tuple(getattr(values, "shape", ()))
            if len(shape) == 2 and shape[0] == group.count:
                found[key] = None
    return list(found)


def readers_of(groups: Groups, place: object) -> VectorReaders:
    """Readers of the columns that hold a vector for each node of a type."""
    return {key: partial(feature_rows, groups, key, place) for key in feature_keys(groups)}


def embeddings_of(groups: Groups, keys: Mapping[str, str]) -> NodeEmbeddings:
    """Read the parts of `NodeEmbeddings`; ``keys`` are their names in the groups.

    Raises:
        InputError: none of them exists, or as `feature_rows`.
    """
    found = {part: key for part, key in keys.items() if _having(groups, key)}
    if not found:
        raise InputError(
            f"no nodes have {' or '.join(map(repr, keys.values()))}",
            remedy=f"choose among their vectors: {', '.join(feature_keys(groups)) or 'there are none'}",
        )
    return NodeEmbeddings(**{part: feature_rows(groups, key) for part, key in found.items()})


def feature_rows(groups: Groups, key: str, place: object = None) -> Float[np.ndarray, "nodes d"]:
    """The vectors ``key`` of all nodes, zero for types that have none; one type at least must have them.

    Returns:
        float16 or float32; other numbers become float32.

    Raises:
        InputError: a type does not have one row for each node, a number is not finite, or types have
            different widths.
    """
    rows: dict[str, Float[np.ndarray, "n d"]] = {}
    for kind, group in _having(groups, key).items():
        array = as_array(group.columns[key], f"'{key}'", place)
        if array.ndim != 2 or len(array) != group.count:
            raise InputError(
                f"'{key}' has the shape {array.shape} for {group.count} nodes{of_nodes(kind)}",
                place=place,
                remedy="give one row of numbers for each node",
            )
        rows[kind] = array if array.dtype in (np.float16, np.float32) else array.astype(np.float32)
        check_finite(rows[kind], f"{place or 'graph'}, '{key}'{of_nodes(kind)}")
    widths = {kind: array.shape[1] for kind, array in rows.items()}
    if len(set(widths.values())) > 1:
        listed = ", ".join(f"'{kind}' {width}" for kind, width in widths.items())
        raise InputError(
            f"'{key}' has several widths: {listed}", place=place, remedy="bring them to one width first"
        )
    zeros = np.zeros((1, next(iter(widths.values()))), np.result_type(*rows.values()))
    return np.concatenate(
        [
            rows[kind] if kind in rows else np.broadcast_to(zeros, (group.count, zeros.shape[1]))
            for kind, group in groups.nodes.items()
        ]
    ).astype(zeros.dtype, copy=False)


def _having(groups: Groups, key: str) -> dict[str, NodeGroup]:
    return {kind: group for kind, group in groups.nodes.items() if group.columns.get(key) is not None}


def source_of(
    groups: Groups,
    keys: Mapping[str, str],
    columns: Mapping[str, str] | None = None,
    *,
    nodes: NodeTable | None = None,
    root: Path | None = None,
    place: object = None,
) -> GraphSource:
    """Join the groups into one table of nodes and one list of edges.

    Args:
        groups: the nodes and edges.
        keys: the names of the columns of `OWN_NAMES` in the groups. Any other column with one string or
            number for each node becomes an attribute.
        columns: the user's names of these columns, where they differ.
        nodes: the node table, if it is not in the groups.
        root: the folder that pictures are in.
        place: the place in errors.

    Raises:
        InputError: ``columns`` names an unknown column, a column has another length than its nodes or edges,
            masks overlap, an edge has an unknown end, a weight is not a finite number >= 0, or ``nodes`` has
            another length.
    """
    found = {key for group in groups.nodes.values() for key in group.columns}
    found |= {key for edge_group in groups.edges.values() for key in edge_group.columns}
    for name, theirs in (columns or {}).items():
        if name not in keys:
            raise InputError(f"there is no column '{name}' to rename", remedy=did_you_mean(name, keys))
        if theirs not in found:
            raise InputError(
                f"no column is called '{theirs}' (there is {', '.join(sorted(found)) or 'none'})",
                place=place,
                remedy=f"mend '{name}={theirs}'",
            )
    names = {**keys, **(columns or {})}
    total = sum(group.count for group in groups.nodes.values())
    if nodes is not None and len(nodes) != total:
        raise InputError(f"the node table has {len(nodes)} rows for {total} nodes", place=place)
    table = _node_table(groups.nodes, names, place) if nodes is None else nodes
    edges = edge_list(groups, names, place)
    return GraphSource(table, edges, root, mirrored=is_mirrored(edges))


def _node_table(groups: Mapping[str, NodeGroup], names: Mapping[str, str], place: object) -> NodeTable:
    parts = [_texts(kind, group, names, place) for kind, group in groups.items()]
    total = sum(group.count for group in groups.values())
    known = dict.fromkeys(chain.from_iterable(parts))

    def column(name: str) -> list[str] | None:
        if name not in known:
            return None
        pairs = zip(parts, groups.values(), strict=True)
        return list(chain.from_iterable(part.get(name, [""] * group.count) for part, group in pairs))

    ids: list[str] = []
    for part, (kind, group) in zip(parts, groups.items(), strict=True):
        prefix = f"{kind}:" if len(groups) > 1 else ""
        ids += part.get("id") or [f"{prefix}{row}" for row in range(group.count)]
    return NodeTable(
        ids=ids,
        texts=column("text") or [""] * total,
        pictures=[picture or None for picture in column("image") or [""] * total],
        types=column("type"),
        splits=column("split"),
        attributes={name: column(name) or [] for name in known if name not in NODE_COLUMNS},
    )


def _texts(kind: str, group: NodeGroup, names: Mapping[str, str], place: object) -> dict[str, list[str]]:
    """The columns of one group under our names, as text."""
    found: dict[str, list[str]] = {}
    ours = {theirs: name for name, theirs in names.items() if name in NODE_COLUMNS}
    for key, values in group.columns.items():
        if key in ours and values is not None:
            found[ours[key]] = text_column(values, key, group.count, of_nodes(kind), place)
        elif key not in NODE_COLUMNS and not key.endswith(MASK) and _is_attribute(values, group.count):
            found[key] = text_column(values, key, group.count, of_nodes(kind), place)
    if "split" not in found and any(key.endswith(MASK) for key in group.columns):
        found["split"] = _splits(group, of_nodes(kind), place)
    return found | ({"type": [kind] * group.count} if kind != PLAIN else {})


def _splits(group: NodeGroup, of: str, place: object) -> list[str]:
    """The split of each node by the masks of its group, "" without one."""
    splits = np.full(group.count, "", object)
    for key in group.columns:
        if not key.endswith(MASK):
            continue
        mask = as_array(group.columns[key], f"'{key}'", place)
        if mask.shape != (group.count,):
            raise InputError(
                f"'{key}' has the shape {mask.shape} for {group.count} nodes{of}",
                place=place,
                remedy="keep one truth value for each node",
            )
        mask = mask.astype(bool)
        if (splits[mask] != "").any():
            row = int(np.flatnonzero(mask & (splits != ""))[0])
            raise InputError(
                f"node {row}{of} is in the splits '{splits[row]}' and '{key.removesuffix(MASK)}'",
                place=place,
                remedy="put every node in one",
            )
        splits[mask] = key.removesuffix(MASK)
    return splits.tolist()


def _is_attribute(values: Any, count: int) -> bool:
    """Return True for one string or number for each node."""
    if isinstance(values, list | tuple):
        return len(values) == count and all(
            isinstance(value, str | int | float) or value is None for value in values
        )
    return tuple(getattr(values, "shape", ())) == (count,)
