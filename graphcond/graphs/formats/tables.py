"""Graphs as two tables, ``nodes.*`` and ``edges.*``, or as a lone list of edges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from gzip import GzipFile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from graphcond.attributed_graph import AttributedGraph
from graphcond.errors import InputError
from graphcond.graphs.columns import (
    NO_TEXT,
    PROMPTS,
    first_repeat,
    from_arrow,
    several_prompts,
    texts_of,
    to_arrow,
)
from graphcond.graphs.formats.metadata import METADATA
from graphcond.graphs.reading.edge_file import EDGE_COLUMNS, EdgeFile, NodeIds
from graphcond.graphs.reading.tabular import (
    SUFFIXES,
    find_table,
    read_table,
    row_place,
    rows_within,
)
from graphcond.graphs.source import NODE_COLUMNS, GraphFormat, GraphSource, column_names, node_table
from graphcond.graphs.usual import take_usual
from graphcond.io.files import atomic_file, inside
from graphcond.io.tally import BadRows
from graphcond.progress import Progress

ENDINGS = (".csv", ".csv.gz", ".parquet")
"""Endings of the files that edges are written to."""

BLOCK = 1 << 20
"""Most edges that are written at once; a node with more is written at once too."""

GZIP_LEVEL = 1
"""Arrow's own gzip has level 9, which takes ten times as long for a file that is a fifth smaller."""


def export_edges(graph: AttributedGraph, file: Path | str, progress: Progress | None = None) -> int:
    """Write the columns ``src`` and ``dst``, and ``type`` and ``weight`` where edges have them.

    An edge of an undirected graph is one row. Ends are the nodes' ids. Nodes without edges, texts and
    pictures are not in the file: `graphcond.graphs.read_edge_list` reads it alone, `read_tables` beside a
    ``nodes.*``. Memory does not grow with the edges.

    Args:
        graph: the graph; its arrays may be memory maps.
        file: ends in ``.csv``, ``.csv.gz`` or ``.parquet``.
        progress: called with the number of entries of ``indices`` that are done, and of all.

    Returns:
        The number of edges written.

    Raises:
        InputError: the file has another ending.
        StorageError: the file cannot be written, or its disk is full.
    """
    file = Path(file)
    ending = next((ending for ending in ENDINGS if file.name.endswith(ending)), None)
    if ending is None:
        raise InputError(
            f"expected a file that ends in {', '.join(ENDINGS)}", place=file, remedy="choose one of them"
        )
    written, schema = 0, _schema(graph)
    with atomic_file(file) as temporary, ExitStack() as stack:
        if ending == ".parquet":
            writer = pa.parquet.ParquetWriter(str(temporary), schema, compression="zstd")
        else:
            raw = stack.enter_context(temporary.open("wb"))
            sink: object = raw
            if ending == ".csv.gz":
                # Without name and time, equal graphs give equal bytes.
                sink = stack.enter_context(GzipFile("", "wb", GZIP_LEVEL, raw, mtime=0))
            options = pa.csv.WriteOptions(quoting_style="needed")
            writer = pa.csv.CSVWriter(sink, schema, write_options=options)
        stack.enter_context(writer)
        for done, block in _blocks(graph):
            writer.write_table(block)
            written += len(block)
            if progress is not None:
                progress(done, len(graph.indices))
    return written


def _schema(graph: AttributedGraph) -> pa.Schema:
    columns = {"src": pa.large_string(), "dst": pa.large_string()}
    columns |= {} if graph.edge_types is None else {"type": pa.large_string()}
    columns |= {} if graph.weights is None else {"weight": pa.float32()}
    return pa.schema(columns)


def _blocks(graph: AttributedGraph) -> Iterator[tuple[int, pa.Table]]:
    """Rows of the CSR, as many at once as have at most `BLOCK` edges, but at least one."""
    ids, names = to_arrow(graph.nodes.ids), pa.array(graph.edge_type_names, pa.large_string())
    schema, start = _schema(graph), 0
    while start < len(graph):
        most = np.searchsorted(graph.indptr, graph.indptr[start] + BLOCK, side="right") - 1
        end = max(int(most), start + 1)
        edges = slice(int(graph.indptr[start]), int(graph.indptr[end]))
        rows = np.repeat(np.arange(start, end), np.diff(graph.indptr[start : end + 1]))
        columns = np.asarray(graph.indices[edges])
        kept = np.flatnonzero(rows < columns) if not graph.directed else np.arange(len(rows))
        arrays = [ids.take(pa.array(rows[kept])), ids.take(pa.array(columns[kept]))]
        if graph.edge_types is not None:
            arrays.append(names.take(pa.array(graph.edge_types[edges][kept])))
        if graph.weights is not None:
            arrays.append(pa.array(graph.weights[edges][kept]))
        yield edges.stop, pa.table(arrays, schema=schema)
        start = end


def read_tables(
    folder: Path | str, columns: Mapping[str, str] | None = None, bad: BadRows | None = None
) -> GraphSource:
    """Read ``nodes.*`` and ``edges.*`` (csv, csv.gz, jsonl or parquet).

    Nodes have the columns ``id`` and ``text``, and optionally ``image`` (a path in the folder), ``split`` and
    ``type``; all other columns become attributes. Edges have ``src`` and ``dst``, and optionally ``type`` and
    ``weight``.

    Args:
        folder: holds both files.
        columns: the names of these columns in the files, where they differ; ``type`` is one for both tables.
        bad: what to do with broken rows, edges to unknown ids among them; they are errors unless given.

    Raises:
        InputError: a file or a column is missing, an id is empty or repeats, an edge names an unknown id,
            a weight is not a finite number >= 0, or a picture lies outside the folder.
    """
    return open_tables(folder, columns, bad).read()


def read_edge_list(
    file: Path | str, columns: Mapping[str, str] | None = None, bad: BadRows | None = None
) -> GraphSource:
    """Read a table of edges alone; its ids become nodes with the text "", in order of appearance.

    Raises:
        InputError: as `read_tables`.
    """
    return open_edge_list(file, columns, bad).read()


def open_tables(
    folder: Path | str, columns: Mapping[str, str] | None = None, bad: BadRows | None = None
) -> EdgeFile:
    """Like `read_tables`, but leave the edges in their file."""
    folder = Path(folder)
    names = column_names((*NODE_COLUMNS, *EDGE_COLUMNS), columns)
    file, edges = _need(folder, "nodes"), _need(folder, "edges")
    bad = bad or BadRows()
    table = read_table(file, {name: names[name] for name in NODE_COLUMNS}, ("id", "text"), bad)
    swallowed = 0 if ".csv" not in file.suffixes else rows_within(table)
    if swallowed:
        bad.left_out.setdefault("rows", Counter())["perhaps inside a cell with line breaks"] += swallowed
    table = _with_own_ids(table, names["id"], file, bad)
    found: dict[str, Any] = {name: from_arrow(table[name]) for name in table.column_names}
    bad.columns |= take_usual(found, [name for name in ("image", "split") if names[name] == name])
    found["text"], missing = texts_of(to_arrow(found["text"]))
    if missing:
        bad.left_out["texts"] = Counter({NO_TEXT: missing})
    found["text"], prompts = several_prompts(found["text"])
    if prompts is not None:
        found[PROMPTS] = prompts
    pictures = list(found.get("image", [""] * len(table)))
    for row, picture in enumerate(pictures):
        try:
            pictures[row] = picture and inside(folder, picture, place=row_place(file, row))
        except InputError as error:
            bad.refuse("pictures", error, "outside the folder")
            pictures[row] = ""
    nodes = node_table(found | {"image": pictures}, len(table))
    return EdgeFile(edges, names, NodeIds(to_arrow(nodes.ids)), nodes, frozenset(found), bad)


def open_edge_list(
    file: Path | str, columns: Mapping[str, str] | None = None, bad: BadRows | None = None
) -> EdgeFile:
    """Like `read_edge_list`, but leave the edges in their file."""
    names, ids = column_names(EDGE_COLUMNS, columns), NodeIds(pa.array([], pa.large_string()))
    return EdgeFile(Path(file), names, ids, bad=bad or BadRows())


def _need(folder: Path, stem: str) -> Path:
    file = find_table(folder, stem)
    if file is None:
        endings = ", ".join(SUFFIXES)
        raise InputError(f"there is no {stem}.* ({endings})", place=folder, remedy="add the file")
    return file


def _with_own_ids(table: pa.Table, called: str, file: Path, bad: BadRows) -> pa.Table:
    """The rows whose id is not empty and does not occur earlier."""
    ids = table["id"].combine_chunks()
    row = pc.index(ids, "").as_py()
    if row >= 0:
        error = InputError(f"'{called}' is empty", place=row_place(file, row), remedy="fill it")
        filled = pc.not_equal(ids, "")
        bad.refuse("nodes", error, "an empty id", len(ids) - pc.sum(filled).as_py())
        table, ids = table.filter(filled), ids.filter(filled)
    row = first_repeat(ids)
    if row is not None:
        problem = f"the id '{ids[row]}' occurs a second time"
        error = InputError(problem, place=row_place(file, row), remedy="keep one")
        first = np.asarray(pc.index_in(ids, value_set=ids)) == np.arange(len(ids))
        bad.refuse("nodes", error, "an id that occurs earlier", int((~first).sum()))
        table = table.filter(pa.array(first))
    return table


TABLES = GraphFormat(
    name="tables",
    files=f"nodes.* with edges.*: {', '.join(SUFFIXES)}",
    signs=lambda path: any(find_table(path, stem) for stem in ("nodes", "edges")),
    read=read_tables,
    stream=open_tables,
    skips=True,
)
EDGE_LIST = GraphFormat(
    name="edge_list",
    files=f"a {', '.join(SUFFIXES)} file",
    signs=lambda path: path.name.endswith(SUFFIXES) and path.name != METADATA and path.is_file(),
    read=read_edge_list,
    stream=open_edge_list,
    skips=True,
)
