"""Tables of edges that are read batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32, Int64

from graphcond.attributed_graph import ABSENT, EdgeList, NodeTable
from graphcond.errors import InputError, respelled
from graphcond.graphs.columns import from_arrow, to_arrow
from graphcond.graphs.reading.tabular import BLOCK, TableBatch, read_batches, row_place
from graphcond.graphs.source import GraphSource
from graphcond.io.tally import BadRows, Tally
from graphcond.progress import Progress

SPARSE = 8
"""Ids below this many times the number of nodes are looked up in an array; beyond, a hash is smaller."""


class NodeIds:
    """Ids in the order of their rows, with the array or hash that finds the row of an id.

    Ids are text. Where all of them are whole numbers that are not too large, an array from number to row is
    several times faster and smaller than a hash of strings.

    Args:
        ids: large strings, each once.
    """

    def __init__(self, ids: pa.Array) -> None:
        self.array = ids
        self._places: np.ndarray | None = np.empty(0, np.int64)
        """The row of each number; None if an id is not a number, or is too large for an array."""
        self._place(ids, 0)

    def __len__(self) -> int:
        return len(self.array)

    def rows(self, ids: pa.Array) -> Int64[np.ndarray, " ids"]:
        """The row of each id, `ABSENT` for unknown ids."""
        numbers = None if self._places is None else _numbers(ids)
        if self._places is None or numbers is None:
            return _index(ids, self.array)
        # The last entry of the array is ABSENT, for all numbers beyond.
        return self._places[np.minimum(numbers, len(self._places) - 1)]

    def met(self, sources: pa.Array, targets: pa.Array) -> Int64[np.ndarray, "edges 2"]:
        """The rows of both ends of edges; new ids are added, edge by edge, the source first."""
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
        size = 0 if numbers is None else int(numbers.max(initial=-1)) + 2  # the last is for all beyond
        if numbers is None or size > SPARSE * (first + len(ids)) + 2:
            self._places = None  # for good: the hash serves from here on
            return
        if size > len(self._places):
            longer = np.full(max(size, len(self._places) * 3 // 2), ABSENT, np.int64)
            longer[: len(self._places)] = self._places
            self._places = longer
        self._places[numbers] = np.arange(first, first + len(ids))


def _numbers(ids: pa.Array) -> Int64[np.ndarray, " ids"] | None:
    """``ids`` as numbers >= 0, or None if one is not a number as Arrow writes it: '007' and '7' differ."""
    try:
        numbers = ids.cast(pa.int64())
    except pa.ArrowInvalid:
        return None
    values = numbers.to_numpy()
    return values if values.min(initial=0) >= 0 and numbers.cast(ids.type).equals(ids) else None


def _index(ids: pa.Array, among: pa.Array) -> Int64[np.ndarray, " ids"]:
    return pc.fill_null(pc.index_in(ids, value_set=among), ABSENT).to_numpy().astype(np.int64)


Item = TypeVar("Item")


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items; a thread reads the next one while the caller works on the current one."""

    def step() -> list[Item]:
        return list(islice(items, 1))  # empty at the end

    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(step)
        while item := coming.result():
            coming = thread.submit(step)
            yield item[0]


EDGE_COLUMNS = ("src", "dst", "type", "weight")
MIB = 2**20


@dataclass(frozen=True)
class EdgeFile:
    """Edges that are read batch by batch; their nodes are in memory.

    Args:
        file: a table of edges.
        names: the file's names of columns, by our names.
        ids: ids of the nodes; those of a lone list of edges are added as they are read.
        table: the nodes, None for a lone list of edges.
        node_columns: our names of the columns in the file of nodes.
        bad: what to do with broken rows; those of the nodes were counted already.
    """

    file: Path
    names: Mapping[str, str]
    ids: NodeIds
    table: NodeTable | None = None
    node_columns: frozenset[str] = frozenset()
    bad: BadRows = field(default_factory=BadRows)

    @property
    def nodes(self) -> NodeTable:
        """The nodes; those of a lone list of edges are complete once all batches are read."""
        if self.table is not None:
            return self.table
        ids = from_arrow(self.ids.array)
        return NodeTable(ids=ids, texts=[""] * len(ids), pictures=[None] * len(ids))

    @property
    def root(self) -> Path | None:
        """The folder that picture paths are relative to."""
        return None if self.table is None else self.file.parent

    def batches(self, *, block: int = BLOCK, progress: Progress | None = None) -> Iterator[EdgeList]:
        """Read the edges once, in order; all batches have the same columns.

        Args:
            block: bytes that are parsed at once; see `read_batches`.
            progress: called with the MiB read so far and the MiB of the file.

        Raises:
            InputError: as `read_tables`.
        """
        ours = {name: self.names[name] for name in EDGE_COLUMNS}
        columns: list[str] = []
        found = read_batches(self.file, ours, ("src", "dst"), block=block, others=False, bad=self.bad)
        for batch in ahead(found):
            if not columns:
                columns = batch.rows.column_names
                present = self.node_columns.union(columns)
                for name, theirs in self.names.items():
                    if name != theirs and name not in present:
                        place = self.file if self.table is None else self.file.parent
                        problem = f"no column is called '{theirs}'"
                        raise InputError(problem, place=place, remedy=f"correct '{name}={theirs}'")
            yield self._edges(batch, columns)
            if progress is not None:
                progress(-(-batch.read // MIB), -(-self.file.stat().st_size // MIB))

    def read(self) -> GraphSource:
        """Read all edges into memory."""
        batches = list(self.batches())
        weights = [batch.weights for batch in batches if batch.weights is not None]
        types = [to_arrow(batch.types) for batch in batches if batch.types is not None]
        edges = EdgeList(
            sources=np.concatenate([batch.sources for batch in batches]),
            targets=np.concatenate([batch.targets for batch in batches]),
            weights=np.concatenate(weights) if weights else None,
            types=from_arrow(pa.concat_arrays(types)) if types else None,
        )
        return GraphSource(self.nodes, edges, self.root, tally=self.tally())

    def tally(self) -> Tally:
        """What was left out of both tables; complete once all batches are read."""
        return self.bad.tally()

    def _edges(self, batch: TableBatch, columns: list[str]) -> EdgeList:
        for name in batch.rows.column_names:
            if name not in columns:
                problem = f"earlier rows have no '{self.names[name]}'"
                place = row_place(self.file, batch.first)
                raise InputError(problem, place=place, remedy="give it to every row or to none")
        # JSON lines may lack a key; its values are empty then.
        absent = pa.repeat(pa.scalar("", pa.large_string()), len(batch.rows))
        found = dict.fromkeys(columns, absent) | {
            name: batch.rows[name].combine_chunks() for name in batch.rows.column_names
        }
        ends = found["src"], found["dst"]
        left_out = np.zeros(len(batch.rows), bool)

        def leave_out(wrong: np.ndarray, column: pa.Array, problem: str, reason: str, remedy: str) -> None:
            """Refuse edges; the value of ``column`` is put into ``problem``."""
            rows = np.flatnonzero(wrong & ~left_out)
            if len(rows):
                problem = problem.replace("{}", column[int(rows[0])].as_py())
                place = row_place(self.file, batch.first + int(rows[0]))
                error = InputError(problem, place=place, remedy=remedy)
                self.bad.refuse("edges", error, reason, len(rows))
                left_out[rows] = True

        for column, name in zip(ends, ("src", "dst"), strict=True):
            if pc.index(column, "").as_py() >= 0:
                empty = np.asarray(pc.equal(column, ""))
                leave_out(empty, column, f"'{self.names[name]}' is empty", "an empty end", "fill it")
        weights = None
        if (texts := found.get("weight")) is not None:
            weights = _weights(texts)
            wrong = ~(np.isfinite(weights) & (weights >= 0))
            leave_out(wrong, texts, "the weight is '{}'", "a wrong weight", "use finite numbers >= 0")
        if self.table is not None:
            rows = np.stack([self.ids.rows(column) for column in ends], axis=1)
            for end, column in enumerate(ends):
                unknown, remedy = rows[:, end] == ABSENT, "add the node or drop the edge"
                if unknown.any() and not self.bad.skip:
                    name = column[int(unknown.argmax())].as_py()
                    remedy = respelled(name, from_arrow(self.ids.array)) or remedy
                leave_out(unknown, column, "there is no node '{}'", "an end that is no node", remedy)
        elif left_out.any():
            rows = np.full((len(batch.rows), 2), ABSENT)
            rows[~left_out] = self.ids.met(*(end.filter(pa.array(~left_out)) for end in ends))
        else:
            rows = self.ids.met(*ends)
        types = found.get("type")
        if left_out.any():
            rows, weights = rows[~left_out], None if weights is None else weights[~left_out]
            types = None if types is None else types.filter(pa.array(~left_out))
        return EdgeList(rows[:, 0], rows[:, 1], weights, None if types is None else from_arrow(types))


def _weights(column: pa.Array) -> Float32[np.ndarray, " edges"]:
    """The weights as numbers; NaN where there is none."""
    try:
        return column.cast(pa.float32()).to_numpy()
    except pa.ArrowInvalid:  # a weight that only Python reads, such as ' 1.5 ', or none at all
        numbers = []
        for text in column.to_pylist():
            try:
                numbers.append(float(text))
            except ValueError:
                numbers.append(float("nan"))
        return np.array(numbers, np.float32)
