"""DGL's CSV folders: ``meta.yaml`` and the tables that it names, read without DGL."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from graphcond.config import as_input_error
from graphcond.errors import InputError, respelled
from graphcond.graphs.columns import first_repeat
from graphcond.graphs.groups import (
    MASK,
    OWN_NAMES,
    PLAIN,
    EdgeGroup,
    Groups,
    NodeGroup,
    VectorReaders,
    feature_rows,
    source_of,
)
from graphcond.graphs.reading.tabular import read_csv, row_place
from graphcond.graphs.source import GraphFormat, GraphSource
from graphcond.io.files import inside
from graphcond.io.strict_yaml import read_yaml

META = "meta.yaml"

_Kind = Annotated[str, AfterValidator(lambda name: PLAIN if name in ("_V", "_E") else name)]
"""A type; a graph with one type has ``_V`` or ``_E`` in DGL."""


class TableMeta(BaseModel):
    """A table of the folder."""

    model_config = ConfigDict(frozen=True)
    file_name: str
    graph_id_field: str = "graph_id"


class NodesMeta(TableMeta):
    """The nodes of one type."""

    ntype: _Kind = PLAIN
    node_id_field: str = "node_id"


class EdgesMeta(TableMeta):
    """The edges of one type: source, relation and target."""

    etype: tuple[_Kind, _Kind, _Kind] = (PLAIN, PLAIN, PLAIN)
    src_id_field: str = "src_id"
    dst_id_field: str = "dst_id"


class Meta(BaseModel):
    """The content of ``meta.yaml``."""

    model_config = ConfigDict(frozen=True)
    version: Literal["1.0.0"] = "1.0.0"
    separator: str = Field(",", min_length=1, max_length=1)
    node_data: tuple[NodesMeta, ...] = Field(min_length=1)
    edge_data: tuple[EdgesMeta, ...]


def read_meta(folder: Path) -> Meta:
    """Read ``meta.yaml``.

    Raises:
        InputError: the file is missing or not YAML, or a field is missing or wrong.
    """
    file = folder / META
    try:
        return Meta.model_validate(read_yaml(file))
    except ValidationError as error:
        raise as_input_error(error, Meta, file, remedy="correct it") from None


_TRUE = {"1", "1.0", "true"}


def read_dgl_csv(folder: Path | str, columns: Mapping[str, str] | None = None) -> GraphSource:
    """Read a DGL CSV folder of one graph; vectors are left to `dgl_csv_features`.

    Ids are those of the tables, with ``type:`` before them if there are several types of nodes; an edge type
    is the middle one of its three names. Columns such as ``train_mask``, ``val_mask`` and ``test_mask`` are
    splits.

    Args:
        folder: holds ``meta.yaml``.
        columns: the names of ``text``, ``image``, ``split``, ``type``, ``weight`` and ``edge_type`` in the
            tables, where they differ.

    Raises:
        InputError: ``meta.yaml`` or a table is missing or broken, a table lies outside the folder, an id is
            empty or repeats, an edge names an unknown id, a weight is not a finite number >= 0, or there are
            several graphs.
    """
    folder = Path(folder)
    meta = read_meta(folder)
    nodes: dict[str, NodeGroup] = {}
    ids: dict[str, pa.ChunkedArray] = {}  # as the tables have them
    for part in meta.node_data:
        table, file = _table(folder, part, meta.separator), folder / part.file_name
        column = ids[part.ntype] = _need(table, part.node_id_field, file)
        empty = pc.index(column, "").as_py()
        if empty >= 0:
            raise InputError("the id is empty", place=row_place(file, empty), remedy="fill it")
        repeat = first_repeat(column.combine_chunks())
        if repeat is not None:
            raise InputError(f"the id '{column[repeat]}' occurs a second time", place=row_place(file, repeat))
        prefix = f"{part.ntype}:" if len(meta.node_data) > 1 else ""
        found = _columns(table.drop_columns([part.node_id_field]))
        found["id"] = [f"{prefix}{node_id}" for node_id in column.to_pylist()]
        if part.ntype in nodes:
            raise InputError(f"the node type '{part.ntype}' occurs twice", place=folder / META)
        nodes[part.ntype] = NodeGroup(table.num_rows, found)
    groups = Groups(nodes, _edges(folder, meta, ids))
    source = source_of(groups, OWN_NAMES, columns, root=folder, place=folder)
    return source.with_pictures_inside(folder)


def dgl_csv_features(folder: Path) -> VectorReaders:
    """The columns with a vector for each node, such as ``feat``, by name."""
    meta = read_meta(folder)
    tables = {nodes.ntype: _table(folder, nodes, meta.separator) for nodes in meta.node_data}
    names = dict.fromkeys(
        name for table in tables.values() for name in table.column_names if _is_vector(table[name])
    )
    place = folder / meta.node_data[0].file_name if len(tables) == 1 else folder

    def read(name: str) -> Any:
        nodes = {}
        for kind, table in tables.items():
            columns: dict[str, Any] = {}
            if name in table.column_names:
                rows = [_parsed(text) for text in table[name].to_pylist()]
                width = len(rows[0] or ()) if rows else 0
                for number, row in enumerate(rows):
                    if row is None or len(row) != width:
                        problem = f"expected {width} numbers as '{name}' of row {number + 1}"
                        raise InputError(problem, place=place, remedy="correct it")
                columns[name] = np.array(rows, np.float32).reshape(len(rows), width)
            nodes[kind] = NodeGroup(table.num_rows, columns)
        return feature_rows(Groups(nodes, {}), name, place)

    return {name: partial(read, name) for name in names}


def _edges(
    folder: Path, meta: Meta, ids: Mapping[str, pa.ChunkedArray]
) -> dict[tuple[str, str, str], EdgeGroup]:
    edges: dict[tuple[str, str, str], EdgeGroup] = {}
    for links in meta.edge_data:
        table, file = _table(folder, links, meta.separator), folder / links.file_name
        fields = (links.src_id_field, links.dst_id_field)
        ends = []
        for field, kind in zip(fields, links.etype[::2], strict=True):
            column = _need(table, field, file)
            if kind not in ids:
                raise InputError(f"there are no nodes of type '{kind}'", place=file, remedy=f"correct {META}")
            rows = pc.index_in(column, value_set=ids[kind].combine_chunks())
            if rows.null_count:
                row = int(pc.index(rows.is_null(), True).as_py())
                near = respelled(column[row].as_py(), ids[kind].to_pylist())
                remedy = near or "add the node or drop the edge"
                raise InputError(
                    f"there is no node '{column[row]}'", place=row_place(file, row), remedy=remedy
                )
            ends.append(rows.to_numpy().astype(np.int64))
        columns = _columns(table.drop_columns(list(dict.fromkeys(fields))))
        if links.etype in edges:
            raise InputError(f"the edge type {links.etype} occurs twice", place=folder / META)
        edges[links.etype] = EdgeGroup(ends[0], ends[1], columns)
    return edges


def _table(folder: Path, part: TableMeta, separator: str) -> pa.Table:
    file = folder / inside(folder, part.file_name, place=folder / META)
    table = read_csv(file, separator=separator)
    if part.graph_id_field not in table.column_names:
        return table
    graphs = pc.count_distinct(table[part.graph_id_field]).as_py()
    if graphs > 1:
        raise InputError(f"expected one graph, got {graphs}", place=file, remedy="keep the rows of one graph")
    return table.drop_columns([part.graph_id_field])


def _need(table: pa.Table, name: str, file: Path) -> pa.ChunkedArray:
    if name not in table.column_names:
        problem = f"there is no column '{name}' (there is {', '.join(table.column_names) or 'none'})"
        raise InputError(problem, place=file, remedy=f"add it, or name another in {META}")
    return table[name]


def _columns(table: pa.Table) -> dict[str, Any]:
    """All columns except vectors, as text; masks as truth values."""
    plain = [name for name in table.column_names if name and not _is_vector(table[name])]
    columns: dict[str, Any] = table.select(plain).to_pydict()
    return {
        name: np.array([value.lower() in _TRUE for value in column]) if name.endswith(MASK) else column
        for name, column in columns.items()
    }


def _is_vector(column: pa.ChunkedArray) -> bool:
    """Return True if the first entry is numbers separated by commas, as DGL writes vectors."""
    first = column[0].as_py() if len(column) else ""
    return "," in first and _parsed(first) is not None


def _parsed(text: str) -> list[float] | None:
    try:
        return [float(number) for number in text.strip("[] ").split(",")]
    except ValueError:
        return None


DGL_CSV = GraphFormat(
    name="dgl_csv",
    files=META,
    signs=lambda path: (path / META).is_file(),
    read=read_dgl_csv,
    features=dgl_csv_features,
    hides=("tables",),  # meta.yaml may name its tables nodes.csv and edges.csv
)
