"""From the ids of nodes to their rows, batch after batch."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from graphcond.types import ABSENT

SPARSE = 8
"""Numbers up to so many times the number of nodes are looked up in an array; beyond, a hash is smaller."""


class NodeIds:
    """Ids in the order of their rows, all in memory: text, and the array or hash that finds it again.

    Args:
        ids: large strings, each once.
    """

    def __init__(self, ids: pa.Array) -> None:
        self.array = ids
        self._places: np.ndarray | None = np.empty(0, np.int64)
        """For each number its row, if all ids are numbers."""
        self._place(ids, 0)

    def __len__(self) -> int:
        return len(self.array)

    def rows(self, ids: pa.Array) -> Int64[np.ndarray, " ids"]:
        """The row of each id, `ABSENT` where there is none."""
        numbers = None if self._places is None else _numbers(ids)
        if self._places is None or numbers is None:
            return _index(ids, self.array)
        return self._places[np.minimum(numbers, len(self._places) - 1)]

    def met(self, sources: pa.Array, targets: pa.Array) -> Int64[np.ndarray, "edges 2"]:
        """The rows of both ends of edges; ids not met before are added, row by row, sources first."""
        rows = np.stack([self.rows(sources), self.rows(targets)], axis=1)
        new = np.flatnonzero(rows == ABSENT)
        if len(new):
            ends = pa.concat_arrays([sources, targets]).take(pa.array(new % 2 * len(sources) + new // 2))
            fresh = pc.unique(ends)
            rows.reshape(-1)[new] = len(self) + _index(ends, fresh)
            self._place(fresh, len(self))
            self.array = pa.concat_arrays([self.array, fresh])
        return rows

    def _place(self, ids: pa.Array, first: int) -> None:
        if self._places is None:
            return
        numbers = _numbers(ids)
        size = 0 if numbers is None else int(numbers.max(initial=-1)) + 2  # the last stands for all beyond
        if numbers is None or size > SPARSE * (first + len(ids)) + 2:
            self._places = None
            return
        if size > len(self._places):
            longer = np.full(max(size, len(self._places) * 3 // 2), ABSENT, np.int64)
            longer[: len(self._places)] = self._places
            self._places = longer
        self._places[numbers] = np.arange(first, first + len(ids))


def _numbers(ids: pa.Array) -> Int64[np.ndarray, " ids"] | None:
    """``ids`` as numbers >= 0, if each is one and written as numbers are; '007' and '7' are two ids."""
    try:
        numbers = ids.cast(pa.int64())
    except pa.ArrowInvalid:
        return None
    values = numbers.to_numpy()
    return values if values.min(initial=0) >= 0 and numbers.cast(ids.type).equals(ids) else None


def _index(ids: pa.Array, among: pa.Array) -> Int64[np.ndarray, " ids"]:
    return pc.fill_null(pc.index_in(ids, value_set=among), ABSENT).to_numpy().astype(np.int64)
