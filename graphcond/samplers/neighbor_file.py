"""Neighbors that were sampled ahead, in one safetensors file that says what they follow from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphcond.attributed_graph import AttributedGraph
from graphcond.context import NeighborContext
from graphcond.errors import InputError
from graphcond.io.files import atomic_file
from graphcond.io.fingerprint import fingerprint

METADATA_KEY = "graphcond"
"""One key for all metadata: safetensors keeps no order among several, and equal runs give equal bytes."""

DTYPES = {"targets": np.int64, "neighbors": np.int64, "scores": np.float32, "relations": np.int16}
NEEDED = ("targets", "neighbors", "scores")
"""What every neighbor file holds; only those of graphs with edge types hold relations."""


@dataclass(frozen=True)
class NeighborFile:
    """The neighbors of some targets, and what they were sampled from."""

    context: NeighborContext
    about: Mapping[str, Any]


def graph_identity(graph: AttributedGraph) -> dict[str, str]:
    """Everything of a graph that neighbors follow from: ``ids`` for the nodes, ``graph`` for the rest."""
    has_picture = np.array([picture is not None for picture in graph.nodes.pictures], bool)
    edges = (graph.indptr, graph.indices, graph.weights, graph.edge_types, graph.edge_type_names)
    attributes = sorted((name, fingerprint(*column)) for name, column in graph.nodes.attributes.items())
    return {
        "graph": fingerprint(*edges, graph.directed, graph.given, has_picture, attributes),
        "ids": fingerprint(*graph.nodes.ids),
    }


def write_neighbors(path: Path, context: NeighborContext, about: Mapping[str, Any]) -> None:
    """Write a neighbor file, atomically; the same content gives the same bytes.

    Raises:
        WriteError: the place refuses, or its disk is full.
    """
    from safetensors.numpy import save_file

    arrays = {
        name: np.ascontiguousarray(array, dtype=DTYPES[name])
        for name, array in vars(context).items()
        if array is not None
    }
    with atomic_file(path) as temporary:
        save_file(arrays, temporary, metadata={METADATA_KEY: json.dumps(about, sort_keys=True)})


def read_neighbors(path: Path) -> NeighborFile:
    """Read a neighbor file.

    Raises:
        InputError: the file is missing, cut short or no neighbor file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            about = json.loads((file.metadata() or {})[METADATA_KEY])
            arrays = {name: file.get_tensor(name) for name in DTYPES if name in {*NEEDED, *file.keys()}}
    except FileNotFoundError:
        raise InputError("no such file", place=path, remedy="write it with graphcond sample-all") from None
    except (OSError, SafetensorError, KeyError, ValueError):
        raise _damaged(path) from None
    count, shape = len(arrays["targets"]), arrays["neighbors"].shape
    right = all(array.dtype == DTYPES[name] for name, array in arrays.items())
    whole = all(array.shape == shape for name, array in arrays.items() if name != "targets")
    if not (right and whole and len(shape) == 2 and shape[0] == count and isinstance(about, dict)):
        raise _damaged(path)
    return NeighborFile(NeighborContext(**arrays), about)


def _damaged(path: Path) -> InputError:
    return InputError(
        "is no neighbor file, or cut short",
        place=path,
        remedy="delete it and write it with graphcond sample-all",
    )
