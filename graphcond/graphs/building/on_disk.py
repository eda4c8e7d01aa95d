"""From files to a graph folder, with edges that need not fit the memory."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graphcond.errors import InputError
from graphcond.files import atomic_folder
from graphcond.graphs.building.external_sort import merge_runs, spill_runs
from graphcond.graphs.building.memory import default_memory, room_within
from graphcond.graphs.building.runs import SortedRuns
from graphcond.graphs.detect import Format, detect
from graphcond.graphs.formats.tables import open_edge_list, open_tables
from graphcond.graphs.load import read_source
from graphcond.graphs.reading.edge_file import EdgeFile
from graphcond.graphs.store import check_replaceable, open_graph, save_graph, write_graph
from graphcond.progress import Watch, silent
from graphcond.types import AttributedGraph

_OPENERS = {Format.TABLES: open_tables, Format.EDGE_LIST: open_edge_list}


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
    if kind not in _OPENERS:
        _check_unlimited(memory, kind)
        read = read_source(source, columns)
        graph = read.graph(directed=directed)
        save_graph(graph, folder)
        return Built(graph, len(read.edges), int((read.edges.sources == read.edges.targets).sum()))
    edges = _OPENERS[kind](source, columns)
    check_replaceable(folder, edges.root)
    with atomic_folder(folder) as temporary:
        built = _build(edges, temporary, directed, memory or default_memory(), watch)
        write_graph(built.graph, temporary, folder)
    return Built(open_graph(folder), built.edges_read, built.self_loops)


def _check_unlimited(memory: int | None, kind: Format) -> None:
    if memory is not None:
        raise InputError(
            f"only tables of edges are built within a given memory; {kind.value} is read whole",
            place="--memory",
            remedy="leave the option out, or write the graph as nodes.* and edges.*",
        )


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
