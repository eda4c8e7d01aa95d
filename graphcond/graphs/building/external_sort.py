"""The two passes of a build out of memory: sorted runs of a table's edges, then their merge."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graphcond.graphs.building.arcs import Arcs, TypeNumbers, arcs_of, check_count, index_dtype, join_arcs
from graphcond.graphs.building.memory import Room
from graphcond.graphs.building.runs import SortedRuns
from graphcond.graphs.manifest import file_name
from graphcond.graphs.npy import npy_file
from graphcond.graphs.reading.ahead import ahead
from graphcond.graphs.reading.edge_file import EdgeFile
from graphcond.progress import Progress


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
