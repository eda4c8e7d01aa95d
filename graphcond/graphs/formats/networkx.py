"""Graphs of networkx."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphcond.attributed_graph import AttributedGraph
from graphcond.graphs.groups.base import PLAIN, EdgeGroup, Groups, NodeGroup, attribute_keys
from graphcond.graphs.groups.source import source_of
from graphcond.graphs.reading.arrays import optional

KEYS = {
    "id": "id",
    "text": "text",
    "image": "image",
    "split": "split",
    "type": "type",
    "weight": "weight",
    "edge_type": "type",
}
"""Our columns, and the attributes of nodes and edges that they are in networkx."""


def from_networkx(
    graph: Any, columns: Mapping[str, str] | None = None, *, root: Path | None = None
) -> AttributedGraph:
    """A graph of networkx; directed if it is.

    Ids are the nodes as text, unless ``columns`` names an attribute for them. Further attributes of nodes
    that are strings or numbers become attributes, others (arrays, say) are left out. Edges without a weight
    have 1 where others have one. Parallel edges of a multigraph become one edge with the sum of their weights
    and the type of the first.

    Args:
        graph: the graph.
        columns: what ``id``, ``text``, ``image``, ``split``, ``type``, ``weight`` and ``edge_type`` are
            called among the attributes of nodes and edges, where they differ.
        root: the folder that ``image`` is relative to.

    Raises:
        InputError: two nodes have the same text, or a weight is no finite number >= 0.
    """
    weight = (columns or {}).get("weight", KEYS["weight"])
    rows = {node: row for row, node in enumerate(graph)}
    pairs = [(rows[start], rows[end]) for start, end in graph.edges()]
    ends = np.array(pairs, np.int64).reshape(-1, 2)
    edges = _columns([found for _, _, found in graph.edges(data=True)], fill={weight: 1.0})
    nodes = _columns([found for _, found in graph.nodes(data=True)], fill={})
    ids = [str(node) for node in graph]
    groups = Groups(
        {PLAIN: NodeGroup(len(rows), {**nodes, "id": ids})},
        {(PLAIN, PLAIN, PLAIN): EdgeGroup(ends[:, 0], ends[:, 1], edges)},
    )
    return source_of(groups, KEYS, columns, root=root).graph(directed=graph.is_directed())


def to_networkx(graph: AttributedGraph) -> Any:
    """The graph as a `networkx.Graph`, or a `DiGraph` where it is directed; `from_networkx` reads it back.

    Nodes are the ids; what is known of nodes and edges are their attributes. Neighbors that the source chose
    itself are left out.

    Raises:
        InputError: networkx is missing.
    """
    networkx = optional("networkx", "networkx")
    made = networkx.DiGraph() if graph.directed else networkx.Graph()
    table = graph.nodes
    columns: dict[str, Sequence[str | None]] = {"text": table.texts, "image": table.pictures}
    columns |= {"split": table.splits} if table.splits is not None else {}
    columns |= {"type": table.types} if table.types is not None else {}
    keys = attribute_keys(table, KEYS)
    columns |= {key: table.attributes[name] for name, key in keys.items()}
    for node_id, *values in zip(table.ids, *columns.values(), strict=True):
        found = zip(columns, values, strict=True)
        made.add_node(node_id, **{key: value for key, value in found if value is not None})
    made.add_edges_from(_edges(graph))
    return made


def _columns(rows: Sequence[Mapping[str, Any]], fill: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Attributes row by row as columns; what a row lacks is filled."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return {key: [row.get(key, fill.get(key)) for row in rows] for key in keys if isinstance(key, str)}


def _edges(graph: AttributedGraph) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each edge once, with its attributes."""
    for node, node_id in enumerate(graph.nodes.ids):
        for edge in range(graph.indptr[node], graph.indptr[node + 1]):
            other = int(graph.indices[edge])
            if graph.directed or node < other:
                found: dict[str, Any] = {}
                if graph.weights is not None:
                    found["weight"] = float(graph.weights[edge])
                if graph.edge_types is not None:
                    found["type"] = graph.edge_type_names[graph.edge_types[edge]]
                yield node_id, graph.nodes.ids[other], found
