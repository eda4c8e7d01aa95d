"""Vectors of nodes in groups, as rows in the order of the node table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from graphcond.errors import InputError
from graphcond.graphs.groups.base import Groups, NodeGroup, of_nodes
from graphcond.graphs.reading.arrays import as_array, check_finite
from graphcond.types import NodeEmbeddings

VectorReaders: TypeAlias = dict[str, Callable[[], Float[np.ndarray, "nodes d"]]]
"""Name to what reads the vectors, in the order of the nodes."""


def feature_keys(groups: Groups) -> list[str]:
    """The columns that hold a vector for each node of a type."""
    found = (
        key
        for group in groups.nodes.values()
        for key, values in group.columns.items()
        if len(shape := tuple(getattr(values, "shape", ()))) == 2 and shape[0] == group.count
    )
    return list(dict.fromkeys(found))


def readers_of(groups: Groups, place: object) -> VectorReaders:
    """What reads the columns that hold a vector for each node of a type."""
    return {key: partial(feature_rows, groups, key, place) for key in feature_keys(groups)}


def embeddings_of(groups: Groups, keys: Mapping[str, str]) -> NodeEmbeddings:
    """The parts of `NodeEmbeddings` by what they are called in the groups.

    Raises:
        InputError: there is none of them, or as `feature_rows`.
    """
    found = {part: key for part, key in keys.items() if _having(groups, key)}
    if not found:
        raise InputError(
            f"no nodes have {' or '.join(map(repr, keys.values()))}",
            remedy=f"name what they have: {', '.join(feature_keys(groups)) or 'there are no vectors'}",
        )
    return NodeEmbeddings(**{part: feature_rows(groups, key) for part, key in found.items()})


def feature_rows(groups: Groups, key: str, place: object = None) -> Float[np.ndarray, "nodes d"]:
    """The vectors ``key`` of all nodes, of which some type has any; zero for nodes of types that have none.

    Returns:
        float16 or float32; other numbers become float32.

    Raises:
        InputError: they are not one row a node, a number is not finite, or types have different widths.
    """
    rows = {kind: _vectors(group, key, kind, place) for kind, group in _having(groups, key).items()}
    widths = {kind: array.shape[1] for kind, array in rows.items()}
    if len(set(widths.values())) > 1:
        told = ", ".join(f"'{kind}' {width}" for kind, width in widths.items())
        raise InputError(
            f"'{key}' has several widths: {told}", place=place, remedy="bring them to one width first"
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


def _vectors(group: NodeGroup, key: str, kind: str, place: object) -> Float[np.ndarray, "nodes d"]:
    array = as_array(group.columns[key], f"'{key}'", place)
    if array.ndim != 2 or len(array) != group.count:
        raise InputError(
            f"'{key}' has the shape {array.shape} for {group.count} nodes{of_nodes(kind)}",
            place=place,
            remedy="give one row of numbers for each node",
        )
    rows = array if array.dtype in (np.float16, np.float32) else array.astype(np.float32)
    check_finite(rows, f"{place or 'graph'}, '{key}'{of_nodes(kind)}")
    return rows
