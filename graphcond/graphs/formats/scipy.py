"""Adjacency matrices of scipy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from graphcond.attributed_graph import AttributedGraph, NodeTable
from graphcond.errors import InputError, at
from graphcond.graphs.groups import OWN_NAMES, PLAIN, EdgeGroup, Groups, NodeGroup, check_room, source_of
from graphcond.io.optional import optional


def from_scipy(
    matrix: Any, nodes: NodeTable | None = None, *, directed: bool = False, root: Path | None = None
) -> AttributedGraph:
    """A graph of a sparse adjacency matrix: entry (i, j) is the weight of the edge from node i to node j.

    A matrix of ones and zeros gives edges without weights. Where the matrix is not symmetric, an undirected
    graph has the sum of both directions.

    Args:
        matrix: any of scipy's sparse arrays or matrices, of shape (nodes, nodes).
        nodes: the node table; without it, ids are row numbers, and there are no texts and pictures.
        directed: keep edges in the one direction they have.
        root: the folder that pictures are in.

    Raises:
        InputError: the matrix is not sparse or not square, a weight is not a finite number >= 0, ``nodes``
            has another length, or the nodes do not fit into memory.
    """
    sparse = optional("scipy.sparse", "scipy")
    if not sparse.issparse(matrix):
        raise InputError(
            f"expected a sparse matrix, got {type(matrix).__name__}",
            remedy="use scipy.sparse.csr_array(matrix)",
        )
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InputError(
            f"expected a square adjacency matrix, got the shape {matrix.shape}", remedy="give (nodes, nodes)"
        )
    with at("the matrix"):
        count = check_room(matrix.shape[0])
    entries = matrix.tocoo()
    weights = {} if (entries.data == 1).all() else {"weight": entries.data}
    edges = EdgeGroup(entries.row.astype(np.int64), entries.col.astype(np.int64), weights)
    groups = Groups({PLAIN: NodeGroup(count, {})}, {(PLAIN, PLAIN, PLAIN): edges})
    return source_of(groups, OWN_NAMES, nodes=nodes, root=root).graph(directed=directed)


def to_scipy(graph: AttributedGraph) -> Any:
    """The adjacency matrix as a `scipy.sparse.csr_array` of float32: weights, or ones without weights.

    Raises:
        InputError: scipy is missing.
    """
    sparse = optional("scipy.sparse", "scipy")
    data = np.ones(len(graph.indices), np.float32) if graph.weights is None else graph.weights
    return sparse.csr_array((data, graph.indices, graph.indptr), shape=(len(graph), len(graph)))
