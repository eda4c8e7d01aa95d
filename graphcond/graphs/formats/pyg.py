"""PyG's `Data` and `HeteroData`, in memory and in ``.pt`` files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int, Int64, Shaped

from graphcond.attributed_graph import AttributedGraph, NodeEmbeddings, NodeTable
from graphcond.errors import InputError
from graphcond.graphs.columns import to_arrow
from graphcond.graphs.formats.dgl import SAVED, is_dgl_file
from graphcond.graphs.groups.base import (
    MASK,
    PLAIN,
    EdgeGroup,
    EdgeType,
    Groups,
    NodeGroup,
    attribute_keys,
    check_room,
)
from graphcond.graphs.groups.source import VectorReaders, embeddings_of, readers_of, source_of
from graphcond.graphs.reading.arrays import as_array, as_rows, optional
from graphcond.graphs.source import GraphFormat, GraphSource
from graphcond.io.files import atomic_file
from graphcond.io.tensors import load_torch_file

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
        return _hetero_groups(mapping, place)
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


def _hetero_groups(mapping: Mapping[Any, Any], place: object) -> Groups:
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


_INSTALL = "'graphcond[pyg]'"


def from_pyg(
    data: Any,
    columns: Mapping[str, str] | None = None,
    *,
    nodes: NodeTable | None = None,
    directed: bool = False,
    root: Path | None = None,
) -> AttributedGraph:
    """A graph of a PyG `Data` or `HeteroData`.

    Nodes come type after type, in PyG's order; see `embeddings_from_pyg` for their features.
    ``docs/formats.md`` says what is read from where.

    Args:
        data: the graph; its edges are ``edge_index``.
        columns: what ``id``, ``text``, ``image``, ``split``, ``type``, ``weight`` and ``edge_type`` are
            called in it, where they differ from `graphcond.graphs.formats.pyg.KEYS`.
        nodes: the node table, where the data do not hold it.
        directed: keep edges in the one direction they have.
        root: the folder that ``image`` is relative to.

    Raises:
        InputError: ``edge_index`` is missing, an edge ends at no node, a column has another length than its
            nodes or edges, masks overlap, or a weight is no finite number >= 0.
    """
    source = source_of(groups_of(data.to_dict()), KEYS, columns, nodes=nodes, root=root)
    return source.graph(directed=directed)


def to_pyg(graph: AttributedGraph, embeddings: NodeEmbeddings | None = None) -> Any:
    """The graph as a PyG `HeteroData` where nodes have types, else as a `Data`; `from_pyg` reads it back.

    An undirected graph has each edge in both directions. In a `HeteroData`, a relation is an edge type
    (``to`` where edges have none) between two types of nodes; in a `Data`, ``edge_type`` are numbers and
    ``edge_type_names`` what they mean.

    Args:
        graph: the graph; neighbors that its source chose itself are left out.
        embeddings: become ``x`` (the part ``extra``), ``picture_x`` and ``text_x``.

    Raises:
        InputError: torch_geometric is missing.
    """
    data = optional("torch_geometric.data", _INSTALL)
    kind = data.Data if graph.nodes.types is None else data.HeteroData
    return kind.from_dict(dict_of(graph, embeddings))


def embeddings_from_pyg(
    data: Any, *, extra: str = "x", pictures: str = "picture_x", texts: str = "text_x"
) -> NodeEmbeddings:
    """The features of a `Data` or `HeteroData` for samplers, in the order of `from_pyg`'s nodes.

    Args:
        data: the graph.
        extra: the key of the part ``extra``; types of nodes without it get zeros.
        pictures: of the part ``pictures``.
        texts: of the part ``texts``.

    Raises:
        InputError: there are none of these keys, or one of them is not one row a node, all of one width.
    """
    return embeddings_of(groups_of(data.to_dict()), {"extra": extra, "pictures": pictures, "texts": texts})


def read_pyg(file: Path | str, columns: Mapping[str, str] | None = None) -> GraphSource:
    """Read a ``.pt`` file with what `Data.to_dict` or `HeteroData.to_dict` gives, or with a `Data` itself.

    Nothing in the file is executed. A file of `torch.save(data)`, or the ``processed/data.pt`` of a dataset
    of one graph, needs PyG to be installed; a file of `torch.save(data.to_dict())` does not.

    Raises:
        InputError: the file holds something else or is damaged, or as `from_pyg`.
    """
    file = Path(file)
    source = source_of(groups_of(load_pyg(file), file), KEYS, columns, root=file.parent, place=file)
    source.check_pictures(file)
    return source


def pyg_features(file: Path) -> VectorReaders:
    """The vectors that a ``.pt`` file has for nodes: their name and what reads them."""
    return readers_of(groups_of(load_pyg(file), file), file)


def load_pyg(file: Path) -> Mapping[Any, Any]:
    """The dict in a ``.pt`` file; a `Data` or `HeteroData` in it becomes one.

    Raises:
        InputError: there is none, the file is damaged or holds other objects, or it needs PyG.
    """
    classes = _pyg_classes()
    try:
        found = load_torch_file(file, classes=classes)
    except InputError as error:
        if classes or not file.is_file():
            raise
        remedy = f"if a PyG graph is in it, `pip install {_INSTALL}`, or save its `to_dict()`"
        raise InputError(error.problem, place=file, remedy=remedy) from None
    if isinstance(found, tuple) and len(found) > 1 and found[1] is None:  # a dataset of one graph
        found = found[0]
    return found if isinstance(found, dict) or not hasattr(found, "to_dict") else found.to_dict()


def write_pyg(graph: AttributedGraph, file: Path | str) -> None:
    """Write ``graph`` as a ``.pt`` file that `read_pyg` and PyG read, whole or not at all.

    `Data.from_dict(torch.load(file))` makes a graph of it, or `HeteroData.from_dict` where nodes have types.

    Raises:
        WriteError: the place refuses, or its disk is full.
    """
    import torch

    with atomic_file(Path(file)) as temporary:
        torch.save(dict_of(graph), temporary)


def _pyg_classes() -> list[type]:
    """What a `Data` or `HeteroData` in a file is made of; nothing where PyG is not installed."""
    try:
        data = optional("torch_geometric.data", _INSTALL)
        storage = optional("torch_geometric.data.storage", _INSTALL)
        parts = optional("torch_geometric.data.data", _INSTALL)
    except InputError:
        return []
    storages = [getattr(storage, f"{kind}Storage") for kind in ("Base", "Global", "Node", "Edge")]
    return [data.Data, data.HeteroData, parts.DataEdgeAttr, parts.DataTensorAttr, *storages]


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


PYG_FILE = GraphFormat(
    name="pyg",
    files="a .pt, .pth or .bin file of a Data or HeteroData",
    signs=lambda path: path.suffix in SAVED and path.is_file() and not is_dgl_file(path),
    read=read_pyg,
    features=pyg_features,
)
