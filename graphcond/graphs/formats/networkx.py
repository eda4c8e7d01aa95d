"""Graphs of networkx."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphcond.attributed_graph import AttributedGraph
from graphcond.graphs.groups import (
    OWN_NAMES,
    PLAIN,
    EdgeGroup,
    Groups,
    NodeGroup,
    as_number,
    attribute_keys,
    source_of,
)
from graphcond.io.optional import optional

KEYS = {**OWN_NAMES, "edge_type": "type"}
"""The names of our columns among the attributes of networkx's nodes and edges."""


def from_networkx(
    graph: Any, columns: Mapping[str, str] | None = None, *, root: Path | None = None
) -> AttributedGraph:
    """A graph of networkx; directed if it is.

    Ids are the nodes as text, unless ``columns`` names an attribute for them. Further attributes of nodes
    that are strings or numbers become attributes; others, such as arrays, are left out. If some edges have
    weights, the weight of the others is 1. Parallel edges of a multigraph become one edge with the sum of
    their weights and the type of the first.

    Args:
        graph: the graph.
        columns: the names of ``id``, ``text``, ``image``, ``split``, ``type``, ``weight`` and ``edge_type``
            among the attributes of nodes and edges, where they differ.
        root: the folder that ``image`` is relative to.

    Raises:
        InputError: two nodes have the same id, or a weight is not a finite number >= 0.
    """
    weight = (columns or {}).get("weight", KEYS["weight"])
    rows = {node: row for row, node in enumerate(graph)}
    pairs = [(rows[start], rows[end]) for start, end in graph.edges()]
    ends = np.array(pairs, np.int64).reshape(-1, 2)
    edges = _columns([found for _, _, found in graph.edges(data=True)], fill={weight: 1.0})
    for (start, end), value in zip(graph.edges(), edges.get(weight, ()), strict=False):
        as_number(value, f"'{weight}' of the edge ({start}, {end})")
    nodes = _columns([found for _, found in graph.nodes(data=True)], fill={})
    ids = [str(node) for node in graph]
    groups = Groups(
        {PLAIN: NodeGroup(len(rows), {**nodes, "id": ids})},
        {(PLAIN, PLAIN, PLAIN): EdgeGroup(ends[:, 0], ends[:, 1], edges)},
    )
    return source_of(groups, KEYS, columns, root=root).graph(directed=graph.is_directed())


def to_networkx(graph: AttributedGraph) -> Any:
    """The graph as a `networkx.Graph`, or a `DiGraph` if it is directed; `from_networkx` reads it back.

    Nodes are the ids, and columns become attributes of nodes and edges. Neighbors that the source chose
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
    for node, node_id in enumerate(table.ids):
        for edge in range(graph.indptr[node], graph.indptr[node + 1]):
            other = int(graph.indices[edge])
            if not graph.directed and node >= other:
                continue  # the edge was added from its other end
            known: dict[str, Any] = {}
            if graph.weights is not None:
                known["weight"] = float(graph.weights[edge])
            if graph.edge_types is not None:
                known["type"] = graph.edge_type_names[graph.edge_types[edge]]
            made.add_edge(node_id, table.ids[other], **known)
    return made


def _columns(rows: Sequence[Mapping[str, Any]], fill: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Rows of attributes as columns; ``fill`` gives missing values, None by default."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return {key: [row.get(key, fill.get(key)) for row in rows] for key in keys if isinstance(key, str)}
