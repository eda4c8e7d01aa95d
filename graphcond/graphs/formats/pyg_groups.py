"""Graphs from the dicts that PyG's `Data.to_dict` and `HeteroData.to_dict` give, which need no PyG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import index
from typing import Any

import numpy as np
from jaxtyping import Int64

from graphcond.errors import InputError
from graphcond.graphs.groups.base import MASK, PLAIN, EdgeGroup, EdgeType, Groups, NodeGroup, check_room
from graphcond.graphs.reading.arrays import as_array, as_rows

KEYS = {
    "id": "id",
    "text": "text",
    "image": "image",
    "split": "split",
    "type": "node_type",
    "weight": "edge_weight",
    "edge_type": "edge_type",
}
"""Our columns, and what they are called in a PyG graph."""

FEATURES = {"extra": "x", "pictures": "picture_x", "texts": "text_x"}
"""The parts of `NodeEmbeddings`, and what they are called in a PyG graph."""

RELATIONS = "edge_type_names"
"""Names of the numbers in ``edge_type``."""

UNTYPED = "to"
"""The relation of edges that have no type, between nodes that have one; PyG writes it too."""

_GLOBAL = "_global_store"
_REVERSE = "rev_"


def groups_of(mapping: Mapping[Any, Any], place: object = None) -> Groups:
    """Read a dict of a `Data` or a `HeteroData`.

    A relation ``rev_r`` from b to a, which `ToUndirected` adds to a relation ``r`` from a to b, is left out.

    Raises:
        InputError: it is no such dict, ``edge_index`` is missing or of another shape, or the number of nodes
            cannot be told.
    """
    if not isinstance(mapping, Mapping):
        raise InputError(
            f"holds no graph but {type(mapping).__name__}", place=place, remedy="save `data.to_dict()`"
        )
    if _GLOBAL in mapping or any(isinstance(key, tuple) for key in mapping):
        return _hetero(mapping, place)
    node_columns = {key: value for key, value in mapping.items() if not str(key).startswith("edge_")}
    edge_columns = {key: value for key, value in mapping.items() if str(key).startswith("edge_")}
    sources, targets = _ends(mapping, place)
    count = _count(node_columns, (sources, targets), place)
    node_columns.pop("num_nodes", None)
    relations = edge_columns.pop(RELATIONS, None)
    return Groups(
        {PLAIN: NodeGroup(count, node_columns)},
        {(PLAIN, PLAIN, PLAIN): EdgeGroup(sources, targets, edge_columns)},
        relations,
    )


def _hetero(mapping: Mapping[Any, Any], place: object) -> Groups:
    for key, columns in mapping.items():
        if not isinstance(columns, Mapping):
            raise InputError(f"'{key}' is no mapping but {type(columns).__name__}", place=place)
    edges = dict(_hetero_edges({key: mapping[key] for key in mapping if isinstance(key, tuple)}, place))
    names = [key for key in mapping if isinstance(key, str) and key != _GLOBAL]
    names += [end for kind in edges for end in (kind[0], kind[2])]
    nodes = {}
    for name in dict.fromkeys(names):
        ends = [group.sources for kind, group in edges.items() if kind[0] == name]
        ends += [group.targets for kind, group in edges.items() if kind[2] == name]
        columns = mapping.get(name, {})
        nodes[name] = NodeGroup(_count(columns, ends, place), _without(columns, "num_nodes"))
    return Groups(nodes, edges)


def _hetero_edges(
    groups: Mapping[tuple[Any, ...], Mapping[str, Any]], place: object
) -> Iterator[tuple[EdgeType, EdgeGroup]]:
    untyped = {kind[1:-1] for kind in groups} == {(UNTYPED,)}
    for kind, columns in groups.items():
        if len(kind) != 3 or not all(isinstance(part, str) for part in kind):
            raise InputError(f"the edge type {kind} is no (source, relation, target)", place=place)
        start, relation, end = kind
        if relation.startswith(_REVERSE) and (end, relation.removeprefix(_REVERSE), start) in groups:
            continue
        sources, targets = _ends(columns, f"{place or 'graph'}, {kind}")
        group = EdgeGroup(sources, targets, _without(columns, "edge_index"))
        yield (start, PLAIN if untyped else relation, end), group


def _without(columns: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in columns.items() if name != key}


def _ends(
    columns: Mapping[str, Any], place: object
) -> tuple[Int64[np.ndarray, " edges"], Int64[np.ndarray, " edges"]]:
    if "edge_index" not in columns:
        raise InputError(
            f"there is no 'edge_index' (there is {', '.join(map(str, columns)) or 'nothing'})",
            place=place,
            remedy="give edges as `edge_index` of shape (2, edges)",
        )
    pairs = as_array(columns["edge_index"], "'edge_index'", place)
    if pairs.ndim != 2 or len(pairs) != 2:
        raise InputError(
            f"'edge_index' has the shape {pairs.shape}", place=place, remedy="make it (2, edges)"
        )
    return as_rows(pairs[0], "'edge_index'", place), as_rows(pairs[1], "'edge_index'", place)


def _count(columns: Mapping[str, Any], ends: Sequence[Int64[np.ndarray, " edges"]], place: object) -> int:
    """As PyG counts: what is said, else what a column of the nodes has, else what edges reach."""
    try:
        told = _told(columns)
    except TypeError as error:
        raise InputError(f"its nodes cannot be counted ({error})", place=place, remedy="mend it") from None
    reached = 1 + max((int(rows.max(initial=-1)) for rows in ends), default=-1)
    return check_room(reached if told is None else told, place or "the graph")


def _told(columns: Mapping[str, Any]) -> int | None:
    if columns.get("num_nodes") is not None:
        return index(columns["num_nodes"])
    masks = [key for key in columns if str(key).endswith(MASK)]
    known = (*FEATURES.values(), "y", "id", "text", "image", *masks)
    return next((len(columns[key]) for key in known if columns.get(key) is not None), None)
