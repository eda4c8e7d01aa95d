"""From groups of edges to one `EdgeList`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from graphcond.errors import InputError
from graphcond.graphs.groups.base import PLAIN, EdgeGroup, EdgeType, Groups, named, of_edges, text_column
from graphcond.graphs.reading.arrays import as_array
from graphcond.types import EdgeList


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
            _check_ends(ends, groups.nodes[end].count, kind, place)
            found.append(ends + starts[end])
    return EdgeList(
        np.concatenate(sources),
        np.concatenate(targets),
        weights=_weights(groups.edges, names["weight"], place),
        types=_edge_types(groups, names["edge_type"], place),
    )


def _check_ends(ends: Int64[np.ndarray, " edges"], count: int, kind: EdgeType, place: object) -> None:
    outside = np.flatnonzero((ends < 0) | (ends >= count))
    if len(outside):
        raise InputError(
            f"edge {outside[0]}{of_edges(kind)} ends at node {ends[outside[0]]}, and there are {count} nodes",
            place=place,
            remedy="mend the edge, or give all nodes",
        )


def _weights(
    edges: Mapping[EdgeType, EdgeGroup], key: str, place: object
) -> Float32[np.ndarray, " edges"] | None:
    if not any(key in group.columns for group in edges.values()):
        return None
    return np.concatenate([_weights_of(group, key, kind, place) for kind, group in edges.items()])


def _weights_of(group: EdgeGroup, key: str, kind: EdgeType, place: object) -> Float32[np.ndarray, " edges"]:
    count = len(group.sources)
    if key not in group.columns:
        return np.ones(count, np.float32)
    weights = as_array(_numbers(group.columns[key]), f"'{key}'", place)
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
    return weights


def _numbers(values: Any) -> Any:
    """Numbers that are written out, as they are in CSV files, or what else it was."""
    try:
        return [float(value) for value in values] if isinstance(values, list | tuple) else values
    except (TypeError, ValueError):
        return values


def _edge_types(groups: Groups, key: str, place: object) -> list[str] | None:
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
        types += column if groups.relations is None else _looked_up(column, groups.relations, key, place)
    return types


def _looked_up(column: list[str], relations: Sequence[str], key: str, place: object) -> list[str]:
    named = {str(number): name for number, name in enumerate(relations)}
    for number in dict.fromkeys(column):
        if number not in named:
            raise InputError(f"'{key}' is {number}, and {len(named)} relations have names", place=place)
    return [named[number] for number in column]


def is_mirrored(edges: EdgeList) -> bool:
    """Whether every edge stands in both directions with one weight; False where edges have no weights."""
    if edges.weights is None:
        return False
    there = np.lexsort((edges.weights, edges.targets, edges.sources))
    back = np.lexsort((edges.weights, edges.sources, edges.targets))
    return (
        np.array_equal(edges.sources[there], edges.targets[back])
        and np.array_equal(edges.targets[there], edges.sources[back])
        and np.array_equal(edges.weights[there], edges.weights[back])
    )
