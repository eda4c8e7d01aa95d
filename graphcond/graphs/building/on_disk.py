"""From files to a graph folder, with edges that need not fit the memory."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from jaxtyping import Int64, UInt64
from pydantic import ByteSize, TypeAdapter

from graphcond.attributed_graph import AttributedGraph
from graphcond.errors import InputError
from graphcond.graphs.building.in_memory import (
    Arcs,
    TypeNumbers,
    arcs_of,
    check_count,
    index_dtype,
    join_arcs,
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


LEAST = 1 << 26
"""Bytes that a build needs besides its nodes."""
ARC = 64
"""Bytes that an arc with weight and type takes while it is sorted and merged: copies, order, sums."""
TEXT = 64
"""Bytes that a byte of text takes while it is parsed, and the next is read."""


@dataclass(frozen=True)
class Room:
    """What is held at once.

    Args:
        block: bytes of text parsed at once.
        arcs: arcs sorted or merged at once.
    """

    block: int
    arcs: int

    def arcs_beside(self, nodes: int) -> int:
        """The arcs that are held beside nodes met meanwhile; each takes the room of two, up to 3/4 of it."""
        return max(self.arcs - 2 * nodes, self.arcs // 4, 1)


def room_within(memory: int) -> Room:
    """Divide what is left of ``memory`` bytes for the whole process, half for text and half for arcs.

    Raises:
        InputError: too little is left.
    """
    used = psutil.Process().memory_info().rss
    left = memory - used
    if left < LEAST:
        raise InputError(
            f"{memory / 2**20:,.0f} MiB of memory are too little",
            place="--memory",
            remedy=f"give at least {(used + LEAST) / 2**20 + 1:.0f}MiB: the program and the nodes need it",
        )
    return Room(block=min(left // 2 // TEXT, 2**28), arcs=left // 2 // ARC)


def default_memory() -> int:
    """Half of the memory that is free, in bytes."""
    return int(psutil.virtual_memory().available // 2)


def parse_memory(text: str) -> int:
    """The bytes that ``text`` means, such as ``2GiB``, ``512 MB`` or ``1.5g``.

    Raises:
        InputError: it is no number with a unit of bytes.
    """
    try:
        if not re.fullmatch(r"\d+(\.\d+)? *[kmgt](i?b)?", text.strip(), re.IGNORECASE):
            raise ValueError
        return int(TypeAdapter(ByteSize).validate_python(text.strip()))
    except ValueError:
        raise InputError(
            f"'{text}' is no size", place="--memory", remedy="write a number and a unit, such as 2GiB"
        ) from None


@dataclass(frozen=True)
class Built:
    """A graph whose folder was built, and what was read for it."""

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
    watch: Watch = silent,
) -> Built:
    """Build a graph folder, whole or not at all; `build_graph` and `save_graph` give the same bytes.

    Edges of a table are sorted on disk, beside ``folder``: for each it takes 16 bytes, 10 more with weight
    and type, besides the graph itself. Nodes and their ids stay in memory. Other formats are read whole.

    Args:
        source: what `read_source` takes.
        folder: a new folder, or a graph folder to replace.
        columns: what the format's columns are called in the files, where they differ.
        directed: keep edges in the one row they start from.
        memory: bytes that the process may take in all, for tables only; half of what is free unless given.
        watch: told of the MiB that are read and the nodes whose edges are merged.

    Raises:
        InputError: as `read_source` and `build_graph`; the memory is too little for the nodes, or given for
            a format that is read whole.
        WriteError: the place refuses, or its disk is full.
    """
    folder, kind = Path(folder), detect(source)
    check_replaceable(folder)  # before long reading; the pictures' folder is known after it
    if kind.stream is None:
        if memory is not None:
            raise InputError(
                f"only tables of edges are built within a given memory; the format {kind.name} is read whole",
                place="--memory",
                remedy="leave the option out, or write the graph as nodes.* and edges.*",
            )
        read = kind.read(Path(source), columns)
        graph = read.graph(directed=directed)
        save_graph(graph, folder)
        return Built(graph, len(read.edges), int((read.edges.sources == read.edges.targets).sum()))
    edges = kind.stream(Path(source), columns)
    check_replaceable(folder, edges.root)
    with atomic_folder(folder) as temporary:
        built = _build(edges, temporary, directed, memory or default_memory(), watch)
        write_graph(built.graph, temporary, folder)
    return Built(open_graph(folder), built.edges_read, built.self_loops)


def _build(edges: EdgeFile, into: Path, directed: bool, memory: int, watch: Watch) -> Built:
    """Write the arrays of the edges ``into`` a folder; the graph maps them."""
    (into / "runs").mkdir()
    runs = SortedRuns(into / "runs")
    reading = watch(f"reading {edges.file.name} (MiB)")
    spilled = spill_runs(edges, runs, room_within(memory), directed=directed, progress=reading)
    nodes = edges.nodes
    merging = watch("merging edges of nodes")
    arrays = merge_runs(runs, len(nodes), spilled.types, into, room_within(memory), progress=merging)
    shutil.rmtree(runs.folder)
    graph = AttributedGraph(
        nodes, **arrays, edge_type_names=spilled.types.names, directed=directed, root=edges.root
    )
    return Built(graph, spilled.edges, spilled.self_loops)


@dataclass(frozen=True)
class Spilled:
    """What was read on the way to the runs."""

    edges: int
    self_loops: int
    types: TypeNumbers


def spill_runs(
    table: EdgeFile, runs: SortedRuns, room: Room, *, directed: bool, progress: Progress | None = None
) -> Spilled:
    """Read a table of edges once and write its arcs as sorted runs.

    Raises:
        InputError: as `EdgeFile.batches`; there are more than 256 edge types or 2^32 nodes.
        OSError: the disk is full.
    """
    types, read, loops = TypeNumbers(), 0, 0
    held: list[Arcs] = []
    for edges in ahead(table.batches(block=room.block, progress=progress)):
        check_count(len(table.ids))
        read += len(edges)
        loops += int((edges.sources == edges.targets).sum())
        numbers = None if edges.types is None else types.of(edges.types)
        held.append(arcs_of(edges, numbers, directed=directed))
        if sum(map(len, held)) >= room.arcs_beside(len(table.ids)):
            runs.write(join_arcs(held), len(table.ids))
            held.clear()
    if held:
        runs.write(join_arcs(held), len(table.ids))
    return Spilled(read, loops, types)


def merge_runs(
    runs: SortedRuns,
    nodes: int,
    types: TypeNumbers,
    into: Path,
    room: Room,
    *,
    progress: Progress | None = None,
) -> dict[str, np.ndarray]:
    """Write the arrays of a graph, but ``indptr``; all are returned, those written as memory maps.

    Raises:
        InputError: the weights of an edge are too large in sum.
        OSError: the disk is full.
    """
    dtypes = {"indices": index_dtype(nodes)}
    dtypes |= {"weights": np.dtype(np.float32)} if runs.has("weights") else {}
    dtypes |= {"edge_types": np.dtype(np.uint8)} if runs.has("types") else {}
    files = {part: into / file_name(part) for part in dtypes}
    degrees = np.zeros(nodes + 1, np.int64)
    with ExitStack() as stack:
        write = {part: stack.enter_context(npy_file(files[part], dtype)) for part, dtype in dtypes.items()}
        for first, end, arcs in ahead(runs.merged(nodes, room.arcs_beside(nodes))):
            degrees[first + 1 : end + 1] = arcs.degrees(first, end)
            write["indices"].append(arcs.columns(nodes))
            if arcs.weights is not None:
                write["weights"].append(arcs.weights)
            if arcs.types is not None:
                write["edge_types"].append(types.places(arcs.types))
            if progress is not None:
                progress(end, nodes)
    maps = {part: np.load(file, mmap_mode="r") for part, file in files.items()}
    return {"indptr": np.cumsum(degrees), **maps}
