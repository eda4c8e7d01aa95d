"""Nodes and edges in groups, one for each type, as PyG and DGL hold them, and how a graph is made of them.

Nodes come type after type, and keep their order within a type.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import psutil
from jaxtyping import Bool, Float, Float32, Int64

from graphcond.attributed_graph import EdgeList, NodeEmbeddings, NodeTable
from graphcond.errors import InputError, at, did_you_mean
from graphcond.graphs.reading.arrays import as_array, check_finite
from graphcond.graphs.source import NODE_COLUMNS, GraphSource, node_table
from graphcond.graphs.usual import take_usual
from graphcond.io.tally import Tally

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
    taken: dict[str, str] = {}
    for name in columns or {}:
        if name not in keys:
            raise InputError(f"there is no column '{name}' to rename", remedy=did_you_mean(name, keys))
    with at(place):
        for name, theirs in (columns or {}).items():
            if theirs not in found:
                there = ", ".join(sorted(found)) or "none"
                problem = f"no column is called '{theirs}' (there is {there})"
                raise InputError(problem, remedy=f"correct '{name}={theirs}'")
        names = {**keys, **(columns or {})}
        total = sum(group.count for group in groups.nodes.values())
        if nodes is not None and len(nodes) != total:
            raise InputError(f"the node table has {len(nodes)} rows for {total} nodes")
        table = _node_table(groups.nodes, names, taken) if nodes is None else nodes
        edges = edge_list(groups, names)
    return GraphSource(table, edges, root, mirrored=is_mirrored(edges), tally=Tally(columns=taken))


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
    with at(place):
        for kind, group in _having(groups, key).items():
            array = as_array(group.columns[key], f"'{key}'")
            if array.ndim != 2 or len(array) != group.count:
                raise InputError(
                    f"'{key}' has the shape {array.shape} for {group.count} nodes{of_nodes(kind)}",
                    remedy="give one row of numbers for each node",
                )
            rows[kind] = array if array.dtype in (np.float16, np.float32) else array.astype(np.float32)
        widths = {kind: array.shape[1] for kind, array in rows.items()}
        if len(set(widths.values())) > 1:
            listed = ", ".join(f"'{kind}' {width}" for kind, width in widths.items())
            raise InputError(f"'{key}' has several widths: {listed}", remedy="bring them to one width first")
    for kind, array in rows.items():
        check_finite(array, f"{place or 'graph'}, '{key}'{of_nodes(kind)}")
    zeros = np.zeros((1, next(iter(widths.values()))), np.result_type(*rows.values()))
    return np.concatenate(
        [
            rows[kind] if kind in rows else np.broadcast_to(zeros, (group.count, zeros.shape[1]))
            for kind, group in groups.nodes.items()
        ]
    ).astype(zeros.dtype, copy=False)


def _having(groups: Groups, key: str) -> dict[str, NodeGroup]:
    return {kind: group for kind, group in groups.nodes.items() if group.columns.get(key) is not None}


def _node_table(
    groups: Mapping[str, NodeGroup], names: Mapping[str, str], taken: dict[str, str]
) -> NodeTable:
    """The nodes; ``taken`` gets the usual columns that were taken for ours."""
    parts = [_texts(kind, group, names) for kind, group in groups.items()]
    for part, (kind, group) in zip(parts, groups.items(), strict=True):
        strings = {
            key
            for key, values in group.columns.items()
            if key in part
            and isinstance(values, list | tuple)
            and all(isinstance(value, str) or is_missing(value) for value in values)
        }
        taken |= take_usual(part, ("text", "image", "split"), strings)
        prefix = f"{kind}:" if len(groups) > 1 else ""
        part["id"] = part.get("id") or [f"{prefix}{row}" for row in range(group.count)]
    columns: dict[str, list[str]] = {name: [] for part in parts for name in part}
    for part, group in zip(parts, groups.values(), strict=True):
        for name, column in columns.items():
            column += part.get(name) or [""] * group.count
    return node_table(columns | {"id": columns.get("id", [])}, sum(group.count for group in groups.values()))


def _texts(kind: str, group: NodeGroup, names: Mapping[str, str]) -> dict[str, list[str]]:
    """The columns of one group under our names, as text."""
    found: dict[str, list[str]] = {}
    ours = {theirs: name for name, theirs in names.items() if name in NODE_COLUMNS}
    masks = [key for key in group.columns if key.endswith(MASK)]
    for key, values in group.columns.items():
        if key in ours and values is not None:
            found[ours[key]] = text_column(values, key, group.count, of_nodes(kind))
            continue
        if isinstance(values, list | tuple):
            plain = all(isinstance(value, str | int | float) or value is None for value in values)
            attribute = plain and len(values) == group.count
        else:
            attribute = tuple(getattr(values, "shape", ())) == (group.count,)
        if attribute and key not in NODE_COLUMNS and key not in masks:
            found[key] = text_column(values, key, group.count, of_nodes(kind))
    if "split" not in found and masks:
        found["split"] = _splits({key: group.columns[key] for key in masks}, group.count, of_nodes(kind))
    return found | ({"type": [kind] * group.count} if kind != PLAIN else {})


def _splits(masks: Mapping[str, Any], count: int, of: str) -> list[str]:
    """The split of each node by masks, "" without one."""
    splits = np.full(count, "", object)
    for key, values in masks.items():
        mask = as_array(values, f"'{key}'")
        if mask.shape != (count,):
            problem = f"'{key}' has the shape {mask.shape} for {count} nodes{of}"
            raise InputError(problem, remedy="keep one truth value for each node")
        mask = mask.astype(bool)
        twice = np.flatnonzero(mask & (splits != ""))
        if len(twice):
            both = f"'{splits[twice[0]]}' and '{key.removesuffix(MASK)}'"
            raise InputError(f"node {twice[0]}{of} is in the splits {both}", remedy="put every node in one")
        splits[mask] = key.removesuffix(MASK)
    return splits.tolist()


def attribute_keys(nodes: NodeTable, taken: Collection[str]) -> dict[str, str]:
    """The names of attributes in another library: their own, after ``attribute_`` where they are taken."""
    return {name: f"attribute_{name}" if name in taken else name for name in nodes.attributes}


def text_column(values: Any, key: str, count: int, of: str, things: str = "nodes") -> list[str]:
    """One text for each node or edge."""
    if not isinstance(values, list | tuple):
        values = as_array(values, f"'{key}'")
        values = values.reshape(-1).tolist() if values.shape == (count, 1) else values.tolist()
    if not isinstance(values, list | tuple) or len(values) != count:
        entries = len(values) if isinstance(values, list | tuple) else 1
        problem = f"'{key}' has {entries} entries for {count} {things}{of}"
        raise InputError(problem, remedy=f"give one entry for each of the {things}")
    return ["" if is_missing(value) else str(value) for value in values]


def is_missing(value: object) -> bool:
    """Whether a value of another library stands for none: None, NaN, or pandas' NA and NaT."""
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def check_room(nodes: int) -> int:
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
            remedy="correct that number, or number the nodes in the edges from 0 without gaps",
        )
    return nodes


def mask_of(rows: Int64[np.ndarray, " rows"], count: int, what: str) -> Bool[np.ndarray, " nodes"]:
    """True for the nodes ``rows`` of ``count``; ``what`` is the name of the rows in errors.

    Raises:
        InputError: a row is not that of a node.
    """
    if len(rows) and not (rows.min() >= 0 and rows.max() < count):
        problem = f"'{what}' names nodes {rows.min()} to {rows.max()}, and there are {count}"
        raise InputError(problem, remedy="fetch the file again")
    mask = np.zeros(count, bool)
    mask[rows] = True
    return mask


def of_nodes(kind: str) -> str:
    """The type in an error, after the word "nodes"; empty for `PLAIN`."""
    return f" of '{kind}'" if kind != PLAIN else ""


def of_edges(kind: EdgeType) -> str:
    """The type in an error, after the word "edges"; empty for `PLAIN`."""
    return f" of '{' '.join(kind)}'" if kind[1] != PLAIN else ""


def edge_list(groups: Groups, names: Mapping[str, str]) -> EdgeList:
    """All edges, as rows of the node table.

    Raises:
        InputError: as `source_of`.
    """
    counts = [group.count for group in groups.nodes.values()]
    starts = dict(zip(groups.nodes, accumulate(counts, initial=0), strict=False))
    sources, targets = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for kind, group in groups.edges.items():
        for ends, end, found in ((group.sources, kind[0], sources), (group.targets, kind[2], targets)):
            if end not in groups.nodes:
                raise InputError(f"the edges '{' '.join(kind)}' end at nodes '{end}', which are missing")
            count = groups.nodes[end].count
            outside = np.flatnonzero((ends < 0) | (ends >= count))
            if len(outside):
                edge = outside[0]
                raise InputError(
                    f"edge {edge}{of_edges(kind)} ends at node {ends[edge]}, and there are {count} nodes",
                    remedy="correct the edge, or give all nodes",
                )
            found.append(ends + starts[end])
    return EdgeList(
        np.concatenate(sources),
        np.concatenate(targets),
        weights=_weights(groups.edges, names["weight"]),
        types=_edge_types(groups, names["edge_type"]),
    )


def _weights(edges: Mapping[EdgeType, EdgeGroup], key: str) -> Float32[np.ndarray, " edges"] | None:
    """The weights of all edges, 1 for types without weights; None if no type has any."""
    if not any(key in group.columns for group in edges.values()):
        return None
    parts = []
    for kind, group in edges.items():
        count, of = len(group.sources), of_edges(kind)
        values = group.columns.get(key, np.ones(count, np.float32))
        if isinstance(values, list | tuple):
            values = [as_number(one, f"'{key}' of edge {edge}{of}") for edge, one in enumerate(values)]
        weights = as_array(values, f"'{key}'")
        if weights.shape not in ((count,), (count, 1)):
            problem = f"'{key}'{of} has the shape {weights.shape} for {count} edges"
            raise InputError(problem, remedy="give one weight for each edge")
        weights = weights.reshape(-1).astype(np.float32)
        wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
        if len(wrong):
            problem = f"edge {wrong[0]}{of} has the weight {weights[wrong[0]]}"
            raise InputError(problem, remedy="use finite weights >= 0")
        parts.append(weights)
    return np.concatenate(parts)


def as_number(value: Any, what: str) -> float:
    """A number in a list, which may be written as text.

    Raises:
        InputError: it is none; ``what`` names it.
    """
    try:
        return float(value)
    except (TypeError, ValueError):
        problem = f"expected a number in {what}, got {value!r:.60}"
        raise InputError(problem, remedy="use finite numbers >= 0") from None


def _edge_types(groups: Groups, key: str) -> list[str] | None:
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
        column = text_column(group.columns[key], key, count, of_edges(kind), "edges")
        if groups.relations is not None:
            named = {str(number): name for number, name in enumerate(groups.relations)}
            for number in dict.fromkeys(column):
                if number not in named:
                    raise InputError(f"'{key}' is {number}, and {len(named)} relations have names")
            column = [named[number] for number in column]
        types += column
    return types


def is_mirrored(edges: EdgeList) -> bool:
    """Return True if edges have weights, and each is stored in both directions with the same weight."""
    if edges.weights is None:
        return False
    there = np.lexsort((edges.weights, edges.targets, edges.sources))
    back = np.lexsort((edges.weights, edges.sources, edges.targets))
    return (
        np.array_equal(edges.sources[there], edges.targets[back])
        and np.array_equal(edges.targets[there], edges.sources[back])
        and np.array_equal(edges.weights[there], edges.weights[back])
    )
