"""Graphs as two tables, ``nodes.*`` and ``edges.*``, or as a lone list of edges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32, Int64

from graphcond.errors import InputError
from graphcond.files import inside
from graphcond.graphs.columns import first_repeat, from_arrow
from graphcond.graphs.source import GraphSource, column_names
from graphcond.graphs.tabular import SUFFIXES, find_table, read_table, row_place
from graphcond.types import EdgeList, NodeTable

NODE_COLUMNS = ("id", "text", "image", "split", "type")
EDGE_COLUMNS = ("src", "dst", "type", "weight")


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
    folder = Path(folder)
    names = column_names((*NODE_COLUMNS, *EDGE_COLUMNS), columns)
    nodes = _read_nodes(_need(folder, "nodes"), names)
    edges_file = _need(folder, "edges")
    edges = _read_edges(edges_file, names)
    _check_renamed(names, {*nodes.column_names, *edges.column_names}, folder)
    return GraphSource(_node_table(nodes), _edge_list(edges, edges_file, nodes["id"]), folder)


def read_edge_list(file: Path | str, columns: Mapping[str, str] | None = None) -> GraphSource:
    """Read a lone table of edges; its ids become nodes with the text "", in the order they are met.

    Raises:
        InputError: as `read_tables`.
    """
    file = Path(file)
    names = column_names(EDGE_COLUMNS, columns)
    edges = _read_edges(file, names)
    _check_renamed(names, set(edges.column_names), file)
    ids = pc.unique(pa.chunked_array([*edges["src"].chunks, *edges["dst"].chunks], pa.large_string()))
    nodes = NodeTable(ids=from_arrow(ids), texts=[""] * len(ids), pictures=[None] * len(ids))
    return GraphSource(nodes, _edge_list(edges, file, ids))


def _need(folder: Path, stem: str) -> Path:
    file = find_table(folder, stem)
    if file is None:
        endings = ", ".join(SUFFIXES)
        raise InputError(f"holds no {stem}.* ({endings})", place=folder, remedy="add the file")
    return file


def _read_nodes(file: Path, names: Mapping[str, str]) -> pa.Table:
    table = read_table(file, {name: names[name] for name in NODE_COLUMNS}, ("id", "text"))
    _check_filled(table["id"], names["id"], file)
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


def _read_edges(file: Path, names: Mapping[str, str]) -> pa.Table:
    table = read_table(file, {name: names[name] for name in EDGE_COLUMNS}, ("src", "dst"))
    for end in ("src", "dst"):
        _check_filled(table[end], names[end], file)
    return table


def _edge_list(table: pa.Table, file: Path, ids: pa.Array | pa.ChunkedArray) -> EdgeList:
    return EdgeList(
        sources=_rows(table["src"], ids, file),
        targets=_rows(table["dst"], ids, file),
        weights=_weights(table["weight"], file) if "weight" in table.column_names else None,
        types=from_arrow(table["type"]) if "type" in table.column_names else None,
    )


def _rows(ends: pa.ChunkedArray, ids: pa.Array | pa.ChunkedArray, file: Path) -> Int64[np.ndarray, " edges"]:
    rows = pc.index_in(ends, value_set=ids)
    if rows.null_count:
        row = int(pc.index(rows.is_null(), True).as_py())
        raise InputError(
            f"there is no node '{ends[row]}'",
            place=row_place(file, row),
            remedy="add the node or drop the edge",
        )
    return rows.to_numpy().astype(np.int64)


def _weights(column: pa.ChunkedArray, file: Path) -> Float32[np.ndarray, " edges"]:
    try:
        weights = column.cast(pa.float32()).to_numpy()
    except pa.ArrowInvalid:
        weights = np.array([_number(text) for text in column.to_pylist()], np.float32)
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong):
        raise InputError(
            f"the weight is '{column[int(wrong[0])]}'",
            place=row_place(file, int(wrong[0])),
            remedy="use finite numbers >= 0",
        )
    return weights


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _check_filled(column: pa.ChunkedArray, name: str, file: Path) -> None:
    row = pc.index(column, "").as_py()
    if row >= 0:
        raise InputError(f"'{name}' is empty", place=row_place(file, row), remedy="fill it or delete the row")


def _check_renamed(names: Mapping[str, str], found: set[str], place: Path) -> None:
    for name, theirs in names.items():
        if name != theirs and name not in found:
            raise InputError(f"no column is called '{theirs}'", place=place, remedy=f"mend '{name}={theirs}'")
