"""PyG's `Data` and `HeteroData`, in memory and in ``.pt`` files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphcond.errors import InputError
from graphcond.files import atomic_file
from graphcond.graphs.formats.pyg_dict import dict_of
from graphcond.graphs.formats.pyg_groups import KEYS, groups_of
from graphcond.graphs.groups.features import VectorReaders, embeddings_of, readers_of
from graphcond.graphs.groups.source import source_of
from graphcond.graphs.reading.optional import optional
from graphcond.graphs.source import GraphSource
from graphcond.torch_files import load_torch_file
from graphcond.types import AttributedGraph, NodeEmbeddings, NodeTable

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
            called in it, where they differ from `graphcond.graphs.formats.pyg_groups.KEYS`.
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
