"""Builds a graph folder from files, with edges that need not fit into memory."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
from jaxtyping import Int64, UInt64
from pydantic import ByteSize, TypeAdapter

from graphcond.attributed_graph import AttributedGraph, NodeTable
from graphcond.errors import InputError
from graphcond.graphs.building.in_memory import (
    Arcs,
    EdgeCount,
    TypeNumbers,
    arcs_of,
    check_count,
    index_dtype,
    join_arcs,
    tally_of_nodes,
)
from graphcond.graphs.load import detect
from graphcond.graphs.reading.edge_file import EdgeFile, ahead
from graphcond.graphs.store import (
    check_replaceable,
    file_name,
    npy_file,
    open_graph,
    save_graph,
    write_array,
    write_graph,
)
from graphcond.io.files import atomic_folder
from graphcond.progress import Progress, Watch, silent
from graphcond.splits import held_out_at_random

COLUMNS: dict[str, np.dtype] = {
    "keys": np.dtype(np.uint64),
    "weights": np.dtype(np.float32),
    "types": np.dtype(np.uint8),
}


class SortedRuns:
    """Arcs on disk, in sorted runs that each fitted into memory (an external merge sort; Knuth, TAOCP 5.4).

    Args:
        folder: an empty folder for the runs: 8 bytes for each arc, 4 for its weight and 1 for its type.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lost_types = 0
        """Arcs that were merged with an arc of another type; complete when `merged` ends."""
        self._lengths: list[int] = []
        self.has: dict[str, bool] = {}
        """Whether the written arcs have a column, ``weights`` or ``types``."""
        self._degrees: Int64[np.ndarray, " rows"] = np.zeros(0, np.int64)

    def write(self, arcs: Arcs, nodes: int) -> None:
        """Sort ``arcs``, whose ends are below ``nodes``, into a run.

        Raises:
            OSError: the disk is full.
        """
        run = arcs.sorted()
        if run.weights is None and run.types is None:
            # Repeats may go at once. With weights they stay, because only the final merge may sum them: a
            # sum kept in a run would be rounded once more than in `build_graph`. With types they stay to be
            # counted, since a type is lost with them.
            run = run.merged()
        degrees = run.degrees(0, nodes)
        degrees[: len(self._degrees)] += self._degrees
        self._degrees = degrees
        for name in COLUMNS:
            column = getattr(run, name)
            self.has[name] = column is not None
            if column is not None:
                with self._file(name, len(self._lengths)).open("wb") as handle:
                    write_array(handle, column)
        self._lengths.append(len(run))

    def merged(self, nodes: int, most: int) -> Iterator[tuple[int, int, Arcs]]:
        """Merge all runs into sorted arcs without repeats, some rows at a time.

        Each step takes the rows that fit from every run, joins them and sorts them again. The arcs of a row
        keep the order of the runs, in which they were read.

        Args:
            nodes: number of nodes of the graph.
            most: arcs to hold at once, with their repeats; a single row may have more.

        Yields:
            A first row, an end and the arcs of the rows from the first to before the end, for all rows.
        """
        up_to = np.cumsum(np.append(self._degrees, np.zeros(nodes - len(self._degrees), np.int64)))
        starts = [0] * len(self._lengths)
        first = 0
        while first < nodes:
            done = up_to[first - 1] if first else 0
            end = max(int(np.searchsorted(up_to, done + most, side="right")), first + 1)
            parts = []
            for run, start in enumerate(starts):
                stop = self._lengths[run]
                if stop and end < 2**32:  # a key holds the row of an arc in its upper half
                    file = self._file("keys", run)
                    keys: UInt64[np.ndarray, " arcs"] = np.memmap(file, COLUMNS["keys"], "r")
                    stop = int(np.searchsorted(keys, np.uint64(end << 32)))
                # Read, not mapped: the pages of a map would count as memory of the process until its end.
                columns = {
                    name: np.fromfile(
                        self._file(name, run), dtype, stop - start, offset=start * dtype.itemsize
                    )
                    for name, dtype in COLUMNS.items()
                    if self.has[name]
                }
                parts.append(Arcs(**columns))
                starts[run] = stop
            arcs = join_arcs(parts).sorted()
            self.lost_types += arcs.lost_types()
            yield first, end, arcs.merged()
            first = end

    def _file(self, name: str, run: int) -> Path:
        return self.folder / f"{run:06d}.{name}"


LEAST = 1 << 26
"""Bytes of memory that a build needs besides its nodes."""
ARC = 64
"""Bytes of memory for an arc with weight and type while it is sorted and merged: copies, order, sums."""
TEXT = 64
"""Bytes of memory for a byte of text while it is parsed and the next block is read."""


@dataclass(frozen=True)
class Room:
    """The sizes of the pieces in which a build works.

    Args:
        block: bytes of text that are parsed at once.
        arcs: arcs that are sorted or merged at once.
    """

    block: int
    arcs: int

    def arcs_beside(self, nodes: int) -> int:
        """The arcs that fit beside the nodes read so far, which take the room of 2 each, but at most 3/4."""
        return max(self.arcs - 2 * nodes, self.arcs // 4, 1)


def room_within(memory: int) -> Room:
    """Divide the rest of ``memory``, half for text and half for arcs.

    Args:
        memory: bytes that the whole process may take, with those that it has already.

    Raises:
        InputError: too little is left.
    """
    used = psutil.Process().memory_info().rss
    left = memory - used
    if left < LEAST:
        problem = f"{memory / 2**20:,.0f} MiB of memory are not enough"
        remedy = f"give at least {(used + LEAST) / 2**20 + 1:.0f}MiB: the program and the nodes need it"
        raise InputError(problem, place="--memory", remedy=remedy)
    return Room(block=min(left // 2 // TEXT, 2**28), arcs=left // 2 // ARC)


def default_memory() -> int:
    """Half of the free memory, in bytes."""
    return int(psutil.virtual_memory().available // 2)


def parse_memory(text: str) -> int:
    """Parse a size such as ``2GiB``, ``512 MB`` or ``1.5g`` into bytes.

    Raises:
        InputError: ``text`` is not a number with a unit of bytes.
    """
    try:
        if not re.fullmatch(r"\d+(\.\d+)? *[kmgt](i?b)?", text.strip(), re.IGNORECASE):
            raise ValueError
        return int(TypeAdapter(ByteSize).validate_python(text.strip()))
    except ValueError:
        problem, remedy = f"expected a size, got '{text}'", "write a number and a unit, such as 2GiB"
        raise InputError(problem, place="--memory", remedy=remedy) from None


@dataclass(frozen=True)
class Built:
    """A graph whose folder was built, with the counts of edges and self-loops that were read for it."""

    graph: AttributedGraph
    edges_read: int
    self_loops: int


def build_folder(
    source: Path | str,
    folder: Path | str,
    *,
    columns: Mapping[str, str] | None = None,
    directed: bool = False,
    memory: int | None = None,
    hold_out: float | None = None,
    skip_bad_rows: bool = False,
    watch: Watch = silent,
) -> Built:
    """Build a graph folder, whole or not at all; `build_graph` and `save_graph` give the same bytes.

    Edges of a table are sorted on disk, beside ``folder``. Besides the graph itself this takes 16 bytes for
    each edge, and 10 more with weight and type. Nodes and their ids stay in memory. Other formats are read
    whole.

    Args:
        source: what `read_source` takes.
        folder: a new folder, or a graph folder to replace.
        columns: the names of the format's columns in the files, where they differ.
        directed: keep edges in the one row they start from.
        memory: bytes that the process may take in all, for tables only; by default half of the free memory.
        hold_out: the share of the nodes that becomes the split ``test`` of a graph without splits.
        skip_bad_rows: leave broken rows out and count them, in place of an error.
        watch: reports the MiB that are read, and the nodes whose edges are merged.

    Raises:
        InputError: as `read_source` and `build_graph`; the memory is too little for the nodes, or given for
            a format that is read whole; ``hold_out`` is out of bounds, or the nodes have splits.
        StorageError: the folder cannot be written, or its disk is full.
    """
    folder, kind = Path(folder), detect(source)
    check_replaceable(folder)  # once before the long reading, and again when the pictures' folder is known
    arguments = kind.given(Path(source), columns, skip_bad_rows=skip_bad_rows)
    if kind.stream is None:
        if memory is not None:
            raise InputError(
                f"only tables of edges are built within a given memory; the format {kind.name} is read whole",
                place="--memory",
                remedy="leave the option out, or write the graph as nodes.* and edges.*",
            )
        read = kind.read(*arguments)
        graph = read.graph(directed=directed)
        graph = replace(graph, nodes=_held_out(graph.nodes, hold_out))
        save_graph(graph, folder)
        return Built(graph, graph.tally.read["edges"], EdgeCount.of(read.edges).self_loops)
    edges = kind.stream(*arguments)
    check_replaceable(folder, edges.root)
    memory = memory or default_memory()
    with atomic_folder(folder) as temporary:
        (temporary / "runs").mkdir()
        runs = SortedRuns(temporary / "runs")
        reading = watch(f"reading {edges.file.name} (MiB)")
        counted, types = spill_runs(edges, runs, room_within(memory), directed=directed, progress=reading)
        nodes = _held_out(edges.nodes, hold_out)  # those of a lone list of edges are known now
        merging = watch("merging edges of nodes")
        room = room_within(memory)  # smaller than before: the nodes are in memory by now
        arrays = merge_runs(runs, len(nodes), types, temporary, room, progress=merging)
        shutil.rmtree(runs.folder)
        copies = 1 if directed else 2
        graph = AttributedGraph(
            nodes,
            **arrays,
            edge_type_names=types.names,
            directed=directed,
            root=edges.root,
            tally=edges.tally()
            + tally_of_nodes(nodes)
            + counted.tally(len(arrays["indices"]) // copies, runs.lost_types // copies),
        )
        write_graph(graph, temporary, folder)
    return Built(open_graph(folder), graph.tally.read["edges"], counted.self_loops)


def _held_out(nodes: NodeTable, share: float | None) -> NodeTable:
    if share is None:
        return nodes
    known = [split for split in dict.fromkeys(nodes.splits or ()) if split]
    if known:
        problem = f"the nodes have the splits {', '.join(known)} already"
        remedy = "leave the option out, or remove their column of splits"
        raise InputError(problem, place="--hold-out", remedy=remedy)
    return replace(nodes, splits=held_out_at_random(nodes.pictures, share, place="--hold-out"))


def spill_runs(
    table: EdgeFile, runs: SortedRuns, room: Room, *, directed: bool, progress: Progress | None = None
) -> tuple[EdgeCount, TypeNumbers]:
    """Read a table of edges once and write its arcs as sorted runs; give their counts and types.

    Raises:
        InputError: as `EdgeFile.batches`; there are more than 256 edge types or 2^32 nodes.
        OSError: the disk is full.
    """
    types, counted = TypeNumbers(), EdgeCount()
    held: list[Arcs] = []
    for edges in ahead(table.batches(block=room.block, progress=progress)):
        check_count(len(table.ids))
        counted = counted.plus(EdgeCount.of(edges))
        numbers = None if edges.types is None else types.of(edges.types)
        held.append(arcs_of(edges, numbers, directed=directed))
        if sum(map(len, held)) >= room.arcs_beside(len(table.ids)):
            runs.write(join_arcs(held), len(table.ids))
            held.clear()
    if held:
        runs.write(join_arcs(held), len(table.ids))
    return counted, types


def merge_runs(
    runs: SortedRuns,
    nodes: int,
    types: TypeNumbers,
    into: Path,
    room: Room,
    *,
    progress: Progress | None = None,
) -> dict[str, np.ndarray]:
    """Write the arrays of a graph except ``indptr``. All are returned, the written ones as memory maps.

    Raises:
        InputError: the weights of an edge are too large in sum.
        OSError: the disk is full.
    """
    dtypes = {"indices": index_dtype(nodes)}
    dtypes |= {"weights": np.dtype(np.float32)} if runs.has["weights"] else {}
    dtypes |= {"edge_types": np.dtype(np.uint8)} if runs.has["types"] else {}
    files = {part: into / file_name(part) for part in dtypes}
    degrees = np.zeros(nodes + 1, np.int64)
    with ExitStack() as stack:
        write = {part: stack.enter_context(npy_file(files[part], dtype)) for part, dtype in dtypes.items()}
        for first, end, arcs in ahead(runs.merged(nodes, room.arcs_beside(nodes))):
            degrees[first + 1 : end + 1] = arcs.degrees(first, end)
            write["indices"](arcs.columns(nodes))
            if arcs.weights is not None:
                write["weights"](arcs.weights)
            if arcs.types is not None:
                write["edge_types"](types.places(arcs.types))
            if progress is not None:
                progress(end, nodes)
    maps = {part: np.load(file, mmap_mode="r") for part, file in files.items()}
    return {"indptr": np.cumsum(degrees), **maps}
