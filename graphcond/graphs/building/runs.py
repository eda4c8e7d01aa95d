"""Sorted runs of arcs in files, and their merge: sorting what does not fit the memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt64

from graphcond.graphs.building.arcs import Arcs, join_arcs
from graphcond.graphs.npy import write_array

COLUMNS: dict[str, np.dtype] = {
    "keys": np.dtype(np.uint64),
    "weights": np.dtype(np.float32),
    "types": np.dtype(np.uint8),
}


class SortedRuns:
    """Arcs on disk, sorted in runs of what fitted the memory (an external merge sort; Knuth, TAOCP 5.4).

    Args:
        folder: an empty one, for files of 8 bytes an arc, 4 for its weight and 1 for its type.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lengths: list[int] = []
        self._has: dict[str, bool] = {}
        self._degrees: Int64[np.ndarray, " rows"] = np.zeros(0, np.int64)

    def has(self, column: str) -> bool:
        """Whether the arcs written have ``weights`` or ``types``."""
        return self._has[column]

    def write(self, arcs: Arcs, nodes: int) -> None:
        """Sort ``arcs``, whose ends are below ``nodes``, into a run; without weights repeats can go at once.

        Raises:
            OSError: the disk is full.
        """
        run = arcs.sorted()
        if run.weights is None:
            run = run.merged()
        degrees = run.degrees(0, nodes)
        degrees[: len(self._degrees)] += self._degrees
        self._degrees = degrees
        for name in COLUMNS:
            column = getattr(run, name)
            self._has[name] = column is not None
            if column is not None:
                with self._file(name, len(self._lengths)).open("wb") as handle:
                    write_array(handle, column)
        self._lengths.append(len(run))

    def merged(self, nodes: int, most: int) -> Iterator[tuple[int, int, Arcs]]:
        """Merge all runs: the arcs from the first row to before the end, sorted and without repeats.

        Args:
            nodes: of the graph.
            most: arcs to hold at once, repeats among them; a single row may have more.

        Yields:
            A first row, an end and the arcs of the rows between, for all rows in turn.
        """
        starts = [0] * len(self._lengths)
        for first, end in _ranges(self._degrees, nodes, most):
            ends = [self._before(run, end) for run in range(len(self._lengths))]
            parts = [self._read(run, starts[run], ends[run]) for run in range(len(self._lengths))]
            yield first, end, join_arcs(parts).sorted().merged()
            starts = ends

    def _before(self, run: int, row: int) -> int:
        """How many arcs of a run start before ``row``."""
        if not self._lengths[run]:
            return 0
        keys: UInt64[np.ndarray, " arcs"] = np.memmap(self._file("keys", run), COLUMNS["keys"], "r")
        return int(np.searchsorted(keys, np.uint64(row << 32))) if row < 2**32 else len(keys)

    def _read(self, run: int, start: int, end: int) -> Arcs:
        # Read, not mapped: pages of a map would count as memory until the end.
        return Arcs(
            **{
                name: np.fromfile(self._file(name, run), dtype, end - start, offset=start * dtype.itemsize)
                for name, dtype in COLUMNS.items()
                if self._has[name]
            }
        )

    def _file(self, name: str, run: int) -> Path:
        return self.folder / f"{run:06d}.{name}"


def _ranges(degrees: Int64[np.ndarray, " rows"], nodes: int, most: int) -> Iterator[tuple[int, int]]:
    """Rows in turn, as many at once as have ``most`` arcs together, but at least one."""
    up_to = np.cumsum(np.append(degrees, np.zeros(nodes - len(degrees), np.int64)))
    first = 0
    while first < nodes:
        done = up_to[first - 1] if first else 0
        end = max(int(np.searchsorted(up_to, done + most, side="right")), first + 1)
        yield first, end
        first = end
