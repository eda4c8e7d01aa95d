"""PyG's `Data` and `HeteroData`, in memory and in ``.pt`` files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int, Int64, Shaped

from graphcond.attributed_graph import AttributedGraph, NodeEmbeddings, NodeTable
from graphcond.errors import InputError, at
from graphcond.graphs.columns import to_arrow
from graphcond.graphs.formats.dgl import SAVED, is_dgl_file
from graphcond.graphs.groups import (
    MASK,
    OWN_NAMES,
    PLAIN,
    EdgeGroup,
    EdgeType,
    Groups,
    NodeGroup,
    VectorReaders,
    attribute_keys,
    check_room,
    embeddings_of,
    readers_of,
    source_of,
)
from graphcond.graphs.reading.arrays import as_array, as_rows
from graphcond.graphs.source import GraphFormat, GraphSource
from graphcond.io.files import atomic_file
from graphcond.io.optional import optional
from graphcond.io.tensors import load_torch_file

KEYS = {**OWN_NAMES, "type": "node_type", "weight": "edge_weight"}
"""The names of our columns in a PyG graph."""

FEATURES = {"extra": "x", "pictures": "picture_x", "texts": "text_x"}
"""The names of the parts of `NodeEmbeddings` in a PyG graph."""

RELATIONS = "edge_type_names"
"""Key of the names of the numbers in ``edge_type``."""

UNTYPED = "to"
"""PyG's relation of edges without a type between nodes with types."""

_GLOBAL = "_global_store"
_REVERSE = "rev_"


def groups_of(mapping: Mapping[Any, Any], place: object = None) -> Groups:
    """Read a dict of a `Data` or a `HeteroData`.

    A relation ``rev_r`` from b to a, which `ToUndirected` adds to a relation ``r`` from a to b, is left out.

    Raises:
        InputError: ``mapping`` is not such a dict, ``edge_index`` is missing or of another shape, or the
            number of nodes is unknown.
    """
    with at(place):
        if not isinstance(mapping, Mapping):
            problem = f"expected a graph, got {type(mapping).__name__}"
            raise InputError(problem, remedy="save `data.to_dict()`")
        if _GLOBAL in mapping or any(isinstance(key, tuple) for key in mapping):
            return _hetero_groups(mapping)
        node_columns = {key: value for key, value in mapping.items() if not str(key).startswith("edge_")}
        edge_columns = {key: value for key, value in mapping.items() if str(key).startswith("edge_")}
        sources, targets = _ends(mapping)
        count = _count(node_columns, (sources, targets))
    node_columns.pop("num_nodes", None)
    relations = edge_columns.pop(RELATIONS, None)
    return Groups(
        {PLAIN: NodeGroup(count, node_columns)},
        {(PLAIN, PLAIN, PLAIN): EdgeGroup(sources, targets, edge_columns)},
        relations,
    )


def _hetero_groups(mapping: Mapping[Any, Any]) -> Groups:
    for key, columns in mapping.items():
        if not isinstance(columns, Mapping):
            raise InputError(f"expected a mapping as '{key}', got {type(columns).__name__}")
    relations = {key: columns for key, columns in mapping.items() if isinstance(key, tuple)}
    untyped = {kind[1:-1] for kind in relations} == {(UNTYPED,)}
    edges: dict[EdgeType, EdgeGroup] = {}
    for kind, columns in relations.items():
        if len(kind) != 3 or not all(isinstance(part, str) for part in kind):
            raise InputError(f"expected (source, relation, target) as an edge type, got {kind}")
        start, relation, end = kind
        if relation.startswith(_REVERSE) and (end, relation.removeprefix(_REVERSE), start) in relations:
            continue
        with at(kind):
            sources, targets = _ends(columns)
        group = EdgeGroup(sources, targets, _without(columns, "edge_index"))
        edges[start, PLAIN if untyped else relation, end] = group
    names = [key for key in mapping if isinstance(key, str) and key != _GLOBAL]
    names += [end for kind in edges for end in (kind[0], kind[2])]
    nodes = {}
    for name in dict.fromkeys(names):
        ends = [group.sources for kind, group in edges.items() if kind[0] == name]
        ends += [group.targets for kind, group in edges.items() if kind[2] == name]
        columns = mapping.get(name, {})
        nodes[name] = NodeGroup(_count(columns, ends), _without(columns, "num_nodes"))
    return Groups(nodes, edges)


def _without(columns: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in columns.items() if name != key}


def _ends(columns: Mapping[str, Any]) -> tuple[Int64[np.ndarray, " edges"], Int64[np.ndarray, " edges"]]:
    if "edge_index" not in columns:
        problem = f"there is no 'edge_index' (there is {', '.join(map(str, columns)) or 'nothing'})"
        raise InputError(problem, remedy="give edges as `edge_index` of shape (2, edges)")
    pairs = as_array(columns["edge_index"], "'edge_index'")
    if pairs.ndim != 2 or len(pairs) != 2:
        problem = f"expected 'edge_index' of shape (2, edges), got {pairs.shape}"
        raise InputError(problem, remedy="make it (2, edges)")
    return as_rows(pairs[0], "'edge_index'"), as_rows(pairs[1], "'edge_index'")


def _count(columns: Mapping[str, Any], ends: Sequence[Int64[np.ndarray, " _"]]) -> int:
    """The number of nodes, as PyG counts: ``num_nodes``, else the length of a column, else by the edges."""
    masks = [key for key in columns if str(key).endswith(MASK)]
    known = (*FEATURES.values(), "y", "id", "text", "image", *masks)
    try:
        if columns.get("num_nodes") is not None:
            count = index(columns["num_nodes"])
        elif (key := next((key for key in known if columns.get(key) is not None), None)) is not None:
            count = len(columns[key])
        else:
            count = 1 + max((int(rows.max(initial=-1)) for rows in ends), default=-1)
    except TypeError as error:
        raise InputError(f"the nodes cannot be counted ({error})", remedy="correct it") from None
    return check_room(count)


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
    ``docs/formats.md`` lists the keys that are read.

    Args:
        data: the graph; its edges are ``edge_index``.
        columns: the names of ``id``, ``text``, ``image``, ``split``, ``type``, ``weight`` and ``edge_type``
            in the graph, where they differ from `graphcond.graphs.formats.pyg.KEYS`.
        nodes: the node table, if it is not in the data.
        directed: keep edges in the one direction they have.
        root: the folder that ``image`` is relative to.

    Raises:
        InputError: ``edge_index`` is missing, an edge has an unknown end, a column has another length than
            its nodes or edges, masks overlap, or a weight is not a finite number >= 0.
    """
    source = source_of(groups_of(data.to_dict()), KEYS, columns, nodes=nodes, root=root)
    return source.graph(directed=directed)


def to_pyg(graph: AttributedGraph, embeddings: NodeEmbeddings | None = None) -> Any:
    """The graph as a PyG `HeteroData` if nodes have types, else as a `Data`; `from_pyg` reads it back.

    An undirected graph has each edge in both directions. In a `HeteroData`, a relation is an edge type
    (``to`` for edges without types) between two types of nodes; in a `Data`, ``edge_type`` are numbers and
    ``edge_type_names`` their names.

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

    Each part has its key; types of nodes without it get zeros.

    Raises:
        InputError: none of these keys exist, or one of them does not have one row for each node, or has
            several widths.
    """
    return embeddings_of(groups_of(data.to_dict()), {"extra": extra, "pictures": pictures, "texts": texts})


def read_pyg(file: Path | str, columns: Mapping[str, str] | None = None) -> GraphSource:
    """Read a ``.pt`` file with the dict of a `Data` or `HeteroData`, or with a `Data` itself.

    Nothing in the file is executed. A file of `torch.save(data)`, or the ``processed/data.pt`` of a dataset
    of one graph, needs PyG to be installed; a file of `torch.save(data.to_dict())` does not.

    Raises:
        InputError: the file holds something else or is damaged, or as `from_pyg`.
    """
    file = Path(file)
    source = source_of(groups_of(load_pyg(file), file), KEYS, columns, root=file.parent, place=file)
    return source.with_pictures_inside(file)


def pyg_features(file: Path) -> VectorReaders:
    """The vectors of nodes in a ``.pt`` file, by name."""
    return readers_of(groups_of(load_pyg(file), file), file)


def load_pyg(file: Path) -> Mapping[Any, Any]:
    """The dict in a ``.pt`` file; a `Data` or `HeteroData` in it becomes one.

    Raises:
        InputError: the file is damaged or holds something else, or it needs PyG.
    """
    classes: list[type] = []  # the classes in a pickled `Data` or `HeteroData`
    try:
        data = optional("torch_geometric.data", _INSTALL)
        storage = optional("torch_geometric.data.storage", _INSTALL)
        parts = optional("torch_geometric.data.data", _INSTALL)
        classes += [data.Data, data.HeteroData, parts.DataEdgeAttr, parts.DataTensorAttr]
        classes += [getattr(storage, f"{kind}Storage") for kind in ("Base", "Global", "Node", "Edge")]
    except InputError:
        pass  # a dict can be read without PyG
    try:
        found = load_torch_file(file, classes=classes)
    except InputError as error:
        if classes or not file.is_file():
            raise
        remedy = f"if it holds a PyG graph, `pip install {_INSTALL}`, or save its `to_dict()`"
        raise InputError(error.problem, place=file, remedy=remedy) from None
    if isinstance(found, tuple) and len(found) > 1 and found[1] is None:  # a dataset of one graph
        found = found[0]
    return found if isinstance(found, dict) or not hasattr(found, "to_dict") else found.to_dict()


def write_pyg(graph: AttributedGraph, file: Path | str) -> None:
    """Write ``graph`` as a ``.pt`` file that `read_pyg` and PyG read, whole or not at all.

    `Data.from_dict(torch.load(file))` makes a graph of it, or `HeteroData.from_dict` if nodes have types.

    Raises:
        StorageError: the file cannot be written, or its disk is full.
    """
    import torch

    # Given a path, torch names the archive after it: here after a temporary file, with the process's number.
    with atomic_file(Path(file)) as temporary, temporary.open("wb") as handle:
        torch.save(dict_of(graph), handle)


_TAKEN = {*KEYS.values(), *FEATURES.values(), "num_nodes", "edge_index"}
"""Keys that an attribute may not have."""


def dict_of(graph: AttributedGraph, embeddings: NodeEmbeddings | None = None) -> dict[Any, Any]:
    """The graph as a dict of tensors and lists: of a `HeteroData` if nodes have types, else of a `Data`.

    An undirected graph has each edge in both directions. Nodes of a type keep their order; neighbors that
    the source chose itself are left out.
    """
    import torch

    parts = {key: getattr(embeddings, part, None) for part, key in FEATURES.items()}
    features = {key: array for key, array in parts.items() if array is not None}
    sources = np.repeat(np.arange(len(graph)), graph.degrees)
    if graph.nodes.types is not None:
        return _hetero(graph, sources, to_arrow(graph.nodes.types).dictionary_encode(), features)
    found = _nodes(graph, np.arange(len(graph)), features)
    found |= _edges(graph, sources, graph.indices, slice(None))
    if graph.edge_types is not None:
        found[KEYS["edge_type"]] = torch.from_numpy(graph.edge_types.astype(np.int64))
        found[RELATIONS] = list(graph.edge_type_names)
    return found


def _hetero(
    graph: AttributedGraph,
    sources: Int64[np.ndarray, " edges"],
    types: pa.DictionaryArray,
    features: Mapping[str, Shaped[np.ndarray, "nodes _"]],
) -> dict[Any, Any]:
    """The dict of a `HeteroData`: a part for each type of nodes, and for each relation between two types."""
    names, code = types.dictionary.to_pylist(), np.asarray(types.indices).astype(np.int64)
    members = [np.flatnonzero(code == number) for number in range(len(names))]
    place = np.empty(len(graph), np.int64)  # of each node among those of its type
    for member in members:
        place[member] = np.arange(len(member))
    parts: dict[Any, Any] = {
        name: _nodes(graph, member, features) for name, member in zip(names, members, strict=True)
    }
    relations = graph.edge_type_names or (UNTYPED,)
    # One number for each combination of source type, relation and target type; few of them occur.
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
    features: Mapping[str, Shaped[np.ndarray, "nodes _"]],
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


def _take(column: Sequence[str] | Sequence[str | None], rows: pa.Array) -> list[Any]:
    return to_arrow(column).take(rows).to_pylist()


def _numbers(column: list[str]) -> Any:
    """Whole numbers as a tensor, any other column unchanged."""
    import torch

    try:
        numbers = [int(value) for value in column]
        return torch.tensor(numbers) if [str(number) for number in numbers] == column else column
    except (ValueError, RuntimeError):  # RuntimeError: beyond 64 bits
        return column


PYG_FILE = GraphFormat(
    name="pyg",
    files="a .pt, .pth or .bin file of a Data or HeteroData",
    signs=lambda path: path.suffix in SAVED and path.is_file() and not is_dgl_file(path),
    read=read_pyg,
    features=pyg_features,
)
