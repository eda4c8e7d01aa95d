"""Graphs as two tables, ``nodes.*`` and ``edges.*``, or as a lone list of edges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from graphcond.errors import InputError
from graphcond.files import inside
from graphcond.graphs.columns import first_repeat, from_arrow, to_arrow
from graphcond.graphs.reading.edge_file import EDGE_COLUMNS, EdgeFile
from graphcond.graphs.reading.node_ids import NodeIds
from graphcond.graphs.reading.table_files import SUFFIXES
from graphcond.graphs.reading.tabular import check_filled, find_table, read_table, row_place
from graphcond.graphs.source import NODE_COLUMNS, GraphSource, column_names
from graphcond.types import NodeTable


def read_tables(folder: Path | str, columns: Mapping[str, str] | None = None) -> GraphSource:
    """Read ``nodes.*`` and ``edges.*`` (csv, csv.gz, jsonl or parquet).

    Nodes have the columns ``id`` and ``text``, perhaps ``image`` (a path in the folder), ``split`` and
    ``type``; whatever else they have becomes an attribute. Edges have ``src`` and ``dst``, perhaps ``type``
    and ``weight``.

    Args:
        folder: holds both files.
        columns: what those columns are called, where they differ; ``type`` in both tables.

    Raises:
        InputError: a file or a column is missing, an id is empty or repeats, an edge names an unknown id,
            a weight is no finite number >= 0, or a picture's path leaves the folder.
    """
    return open_tables(folder, columns).read()


def read_edge_list(file: Path | str, columns: Mapping[str, str] | None = None) -> GraphSource:
    """Read a lone table of edges; its ids become nodes with the text "", in the order they are met.

    Raises:
        InputError: as `read_tables`.
    """
    return open_edge_list(file, columns).read()


def open_tables(folder: Path | str, columns: Mapping[str, str] | None = None) -> EdgeFile:
    """Like `read_tables`, but leave the edges in their file."""
    folder = Path(folder)
    names = column_names((*NODE_COLUMNS, *EDGE_COLUMNS), columns)
    nodes, edges = _need(folder, "nodes"), _need(folder, "edges")
    table = _read_nodes(nodes, names)
    ids = NodeIds(to_arrow(from_arrow(table["id"])))
    return EdgeFile(edges, names, ids, _node_table(table), frozenset(table.column_names))


def open_edge_list(file: Path | str, columns: Mapping[str, str] | None = None) -> EdgeFile:
    """Like `read_edge_list`, but leave the edges in their file."""
    return EdgeFile(Path(file), column_names(EDGE_COLUMNS, columns), NodeIds(pa.array([], pa.large_string())))


def _need(folder: Path, stem: str) -> Path:
    file = find_table(folder, stem)
    if file is None:
        endings = ", ".join(SUFFIXES)
        raise InputError(f"holds no {stem}.* ({endings})", place=folder, remedy="add the file")
    return file


def _read_nodes(file: Path, names: Mapping[str, str]) -> pa.Table:
    table = read_table(file, {name: names[name] for name in NODE_COLUMNS}, ("id", "text"))
    check_filled(table["id"], names["id"], file)
    ids = table["id"].combine_chunks()
    row = first_repeat(ids)
    if row is not None:
        raise InputError(
            f"the id '{ids[row]}' occurs a second time", place=row_place(file, row), remedy="keep one"
        )
    if "image" in table.column_names:
        for position, picture in enumerate(table["image"].to_pylist()):
            inside(file.parent, picture, place=row_place(file, position))
    return table


def _node_table(table: pa.Table) -> NodeTable:
    columns = {name: from_arrow(table[name]) for name in table.column_names}
    pictures = columns.get("image", [""] * len(table))
    return NodeTable(
        ids=columns["id"],
        texts=columns["text"],
        pictures=[picture or None for picture in pictures],
        types=columns.get("type"),
        splits=columns.get("split"),
        attributes={name: column for name, column in columns.items() if name not in NODE_COLUMNS},
    )
