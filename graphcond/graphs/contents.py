"""Which pictures of a graph are there, which are whole, and which are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from os.path import isfile
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Int64

from graphcond.errors import InputError
from graphcond.pictures import open_picture
from graphcond.progress import Progress
from graphcond.types import ABSENT, AttributedGraph

Item = TypeVar("Item")


def missing_pictures(graph: AttributedGraph) -> list[int]:
    """Rows whose picture is no file on disk."""
    return [row for row, path in _paths(graph).items() if not isfile(path)]


def undecodable_pictures(graph: AttributedGraph, progress: Progress | None = None) -> dict[int, str]:
    """Rows whose picture is a file that cannot be decoded, with the reason; decodes every picture."""
    broken = {}
    paths = _paths(graph)
    for row, path in _counted(paths.items(), progress):
        try:
            if isfile(path):
                open_picture(path)
        except InputError as error:
            broken[row] = error.problem
    return broken


def same_pictures(graph: AttributedGraph, progress: Progress | None = None) -> Int64[np.ndarray, " nodes"]:
    """For every node the first node whose picture is the same byte for byte; `ABSENT` without picture.

    Only files that share their size with another are read.
    """
    first = np.full(len(graph), ABSENT, np.int64)
    present = {row: path for row, path in _paths(graph).items() if isfile(path)}
    rows = np.array(list(present), np.int64)
    first[rows] = rows
    sizes = np.array([path.stat().st_size for path in present.values()], np.int64)
    _, group, count = np.unique(sizes, return_inverse=True, return_counts=True)
    suspects = rows[count[group] > 1].tolist()
    seen: dict[bytes, int] = {}
    for row in _counted(suspects, progress):
        first[row] = seen.setdefault(_digest(present[row]), row)
    return first


def _counted(items: Collection[Item], progress: Progress | None) -> Iterator[Item]:
    for done, item in enumerate(items):
        if progress is not None:
            progress(done, len(items))
        yield item
    if progress is not None:
        progress(len(items), len(items))


def _paths(graph: AttributedGraph) -> dict[int, Path]:
    root = graph.root or Path()
    return {row: root / picture for row, picture in enumerate(graph.nodes.pictures) if picture is not None}


def _digest(path: Path) -> bytes:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").digest()
