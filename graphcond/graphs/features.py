"""Vectors of nodes that come with a graph's files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from graphcond.errors import InputError, did_you_mean
from graphcond.graphs.detect import Format, detect
from graphcond.graphs.formats.dgl import dgl_features
from graphcond.graphs.formats.dgl_csv import dgl_csv_features
from graphcond.graphs.formats.mm_graph import mm_graph_features
from graphcond.graphs.formats.ogb import ogb_features
from graphcond.graphs.formats.pyg import pyg_features
from graphcond.graphs.groups.features import VectorReaders

_ELSEWHERE = "give a file of one embedding per node as --features"

_FINDERS: dict[Format, Callable[[Path], VectorReaders]] = {
    Format.DGL_CSV: dgl_csv_features,
    Format.OGB: ogb_features,
    Format.MM_GRAPH: mm_graph_features,
    Format.PYG: pyg_features,
    Format.DGL: dgl_features,
}


def find_features(path: Path | str) -> VectorReaders:
    """The vectors that come with a graph: their name, and what reads them.

    Rows are those of the graph that `read_source` gives; types of nodes without such vectors get zeros.

    Raises:
        InputError: ``path`` is broken, or of a format whose vectors are not with its nodes.
    """
    path = Path(path)
    kind = detect(path)
    if kind not in _FINDERS:
        raise InputError(f"vectors of nodes are not read from {kind.value}", place=path, remedy=_ELSEWHERE)
    return _FINDERS[kind](path)


def read_features(path: Path | str, name: str | None = None) -> Float[np.ndarray, "nodes d"]:
    """The vectors ``name`` that come with a graph, in float16 or float32; the only ones if there is no name.

    Raises:
        InputError: there are none of that name, several without it, or they are not one row a node.
    """
    found = find_features(path)
    if name is None and len(found) == 1:
        return next(iter(found.values()))()
    if name not in found:
        raise InputError(
            f"has no vectors '{name}'" if name else f"has {len(found)} vectors for each node",
            place=path,
            remedy=did_you_mean(name or "", found) if found else _ELSEWHERE,
        )
    return found[name]()
