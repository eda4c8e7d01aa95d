"""The neighbor file: neighbors sampled in advance, with a record of what they were sampled from."""

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
from graphcond.io.readable import check_readable
from graphcond.io.strict_json import parse_json

METADATA_KEY = "graphcond"
"""All metadata is under one key: safetensors does not order several, and equal runs must give equal bytes."""

CHECKSUM = "checksum"
"""Key of the metadata with the fingerprint of all else in the file."""

DTYPES = {"targets": np.int64, "neighbors": np.int64, "scores": np.float32, "relations": np.int16}
NEEDED = ("targets", "neighbors", "scores")
"""The arrays of every neighbor file; only those of graphs with edge types also hold relations."""


@dataclass(frozen=True)
class NeighborFile:
    """The neighbors of some targets, and a record of what they were sampled from."""

    context: NeighborContext
    about: Mapping[str, Any]


def graph_identity(graph: AttributedGraph) -> dict[str, str]:
    """Hashes of everything in a graph that affects neighbors: ``ids`` of the nodes, ``graph`` of the rest."""
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
        StorageError: the file cannot be written, or the disk is full.
    """
    from safetensors.numpy import save_file

    arrays = {
        name: np.ascontiguousarray(array, dtype=DTYPES[name])
        for name, array in vars(context).items()
        if array is not None
    }
    record = {**about, CHECKSUM: _checksum(about, arrays)}
    with atomic_file(path) as temporary:
        save_file(arrays, temporary, metadata={METADATA_KEY: json.dumps(record, sort_keys=True)})


def read_neighbors(path: Path) -> NeighborFile:
    """Read a neighbor file.

    Raises:
        InputError: the file is missing, incomplete, changed, or not a neighbor file.
    """
    from safetensors import SafetensorError, safe_open

    check_readable(path, missing="write it with graphcond sample-all")
    try:
        with safe_open(path, framework="np") as file:
            about = parse_json((file.metadata() or {})[METADATA_KEY], path, nan=True)
            arrays = {name: file.get_tensor(name) for name in DTYPES if name in {*NEEDED, *file.keys()}}
    except (OSError, SafetensorError, KeyError, InputError, TypeError, AttributeError):
        raise _refused(path) from None  # the last two: numpy has no bfloat16 and no float8
    count, shape = len(arrays["targets"]), arrays["neighbors"].shape
    right = all(array.dtype == DTYPES[name] for name, array in arrays.items())
    whole = all(array.shape == shape for name, array in arrays.items() if name != "targets")
    plain = isinstance(about, dict) and isinstance(about.get("sampler", {}), dict)
    if not (right and whole and len(shape) == 2 and shape[0] == count and plain):
        raise _refused(path)
    if about.pop(CHECKSUM, None) not in (None, _checksum(about, arrays)):  # older files have none
        raise _refused(path, "the file does not have its checksum: it was changed")
    return NeighborFile(NeighborContext(**arrays), about)


def _checksum(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    named = [part for name, array in sorted(arrays.items()) for part in (name, array)]
    return fingerprint(json.dumps(about, sort_keys=True), *named)


def _refused(path: Path, problem: str = "the file is not a neighbor file, or was cut short") -> InputError:
    return InputError(problem, place=path, remedy="delete it and write it with graphcond sample-all")
