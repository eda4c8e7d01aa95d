"""Graphs as the dicts that PyG's `Data.from_dict` and `HeteroData.from_dict` take; no PyG is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int, Int64, Shaped

from graphcond.graphs.columns import to_arrow
from graphcond.graphs.formats.pyg_groups import FEATURES, KEYS, RELATIONS, UNTYPED
from graphcond.graphs.groups.base import MASK, attribute_keys
from graphcond.types import AttributedGraph, NodeEmbeddings

_TAKEN = {*KEYS.values(), *FEATURES.values(), "num_nodes", "edge_index"}
"""Keys that an attribute may not have."""


def dict_of(graph: AttributedGraph, embeddings: NodeEmbeddings | None = None) -> dict[Any, Any]:
    """The graph as a dict of tensors and lists: of a `HeteroData` where nodes have types, else of a `Data`.

    An undirected graph has each edge in both directions. Nodes of a type keep their order; neighbors that
    the source chose itself are left out.
    """
    features = _features(embeddings)
    sources = np.repeat(np.arange(len(graph)), graph.degrees)
    if graph.nodes.types is None:
        return {
            **_nodes(graph, np.arange(len(graph)), features),
            **_edges(graph, sources, graph.indices, slice(None)),
            **_types(graph),
        }
    return _hetero(graph, sources, to_arrow(graph.nodes.types).dictionary_encode(), features)


def _hetero(
    graph: AttributedGraph,
    sources: Int64[np.ndarray, " edges"],
    types: pa.DictionaryArray,
    features: Mapping[str, Shaped[np.ndarray, "nodes d"]],
) -> dict[Any, Any]:
    names, code = types.dictionary.to_pylist(), np.asarray(types.indices).astype(np.int64)
    members = [np.flatnonzero(code == number) for number in range(len(names))]
    place = np.empty(len(graph), np.int64)
    for member in members:
        place[member] = np.arange(len(member))
    parts: dict[Any, Any] = {
        name: _nodes(graph, member, features) for name, member in zip(names, members, strict=True)
    }
    relations = graph.edge_type_names or (UNTYPED,)
    shape = (len(names), len(relations), len(names))
    relation = np.zeros(1, np.int64) if graph.edge_types is None else graph.edge_types
    group = np.ravel_multi_index((code[sources], relation, code[graph.indices]), shape)
    for number in np.unique(group):
        start, middle, end = np.unravel_index(number, shape)
        which = np.flatnonzero(group == number)
        parts[(names[start], relations[middle], names[end])] = _edges(
            graph, place[sources[which]], place[graph.indices[which]], which
        )
    return parts


def _nodes(
    graph: AttributedGraph,
    rows: Int64[np.ndarray, " n"],
    features: Mapping[str, Shaped[np.ndarray, "nodes d"]],
) -> dict[str, Any]:
    import torch

    table, taken = graph.nodes, pa.array(rows)
    splits = None if table.splits is None else np.array(_take(table.splits, taken), object)
    attributes = attribute_keys(table, _TAKEN)
    return {
        "num_nodes": len(rows),
        "id": _take(table.ids, taken),
        "text": _take(table.texts, taken),
        "image": _take(table.pictures, taken),
        **{
            f"{split}{MASK}": torch.from_numpy(np.asarray(splits == split))
            for split in dict.fromkeys(table.splits or ())
            if split
        },
        **{key: _numbers(_take(table.attributes[name], taken)) for name, key in attributes.items()},
        **{key: torch.from_numpy(np.array(array[rows])) for key, array in features.items()},
    }


def _edges(
    graph: AttributedGraph,
    sources: Int[np.ndarray, " edges"],
    targets: Int[np.ndarray, " edges"],
    which: slice | Int64[np.ndarray, " edges"],
) -> dict[str, Any]:
    import torch

    index = {"edge_index": torch.from_numpy(np.stack([sources, targets]).astype(np.int64))}
    if graph.weights is None:
        return index
    return index | {KEYS["weight"]: torch.from_numpy(np.array(graph.weights[which]))}


def _types(graph: AttributedGraph) -> dict[str, Any]:
    import torch

    if graph.edge_types is None:
        return {}
    types = torch.from_numpy(graph.edge_types.astype(np.int64))
    return {KEYS["edge_type"]: types, RELATIONS: list(graph.edge_type_names)}


def _take(column: Sequence[str] | Sequence[str | None], rows: pa.Array) -> list[Any]:
    return to_arrow(column).take(rows).to_pylist()


def _numbers(column: list[str]) -> Any:
    """Whole numbers as a tensor, anything else as it is."""
    import torch

    try:
        numbers = [int(value) for value in column]
        return torch.tensor(numbers) if [str(number) for number in numbers] == column else column
    except (ValueError, RuntimeError):  # RuntimeError: beyond 64 bits
        return column


def _features(embeddings: NodeEmbeddings | None) -> dict[str, Shaped[np.ndarray, "nodes d"]]:
    found = {key: getattr(embeddings, part, None) for part, key in FEATURES.items()}
    return {key: array for key, array in found.items() if array is not None}
