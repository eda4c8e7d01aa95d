"""Folders as OGB unpacks them: ``raw/edge.csv.gz`` and its companions (Hu et al., arXiv 2005.00687).

Graphs with one type of nodes have their files in ``raw``; graphs with several have ``raw/relations`` and a
folder for each type, like ogbn-mag. Ids come from ``mapping``, or are row numbers. OGB has no texts: a table
``nodes.*`` in the folder may add them, by id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from graphcond.errors import InputError, at, respelled
from graphcond.graphs.columns import to_arrow
from graphcond.graphs.groups import (
    MASK,
    OWN_NAMES,
    PLAIN,
    EdgeGroup,
    EdgeType,
    Groups,
    NodeGroup,
    VectorReaders,
    check_room,
    feature_rows,
    mask_of,
    source_of,
)
from graphcond.graphs.reading.tabular import (
    find_table,
    read_csv,
    read_numbers,
    read_table,
)
from graphcond.graphs.source import GraphFormat, GraphSource, column_names
from graphcond.graphs.usual import take_usual
from graphcond.io.tally import BadRows

COLUMNS = ("id", "text", "image")
SPLITS = ("train", "valid", "test")
FEATURES = "node-feat"


def read_ogb(folder: Path | str, columns: Mapping[str, str] | None = None) -> GraphSource:
    """Read an OGB folder of one graph. Its features are left to `ogb_features`.

    Args:
        folder: holds ``raw``, and perhaps ``mapping``, ``split`` and ``nodes.*``.
        columns: the names of ``id``, ``text`` and ``image`` in ``nodes.*``, where they differ.

    Raises:
        InputError: a file is missing or damaged, or its rows do not match the nodes or edges; an edge or a
            split names an unknown node; there are several graphs or several ways to split; or a picture lies
            outside the folder.
    """
    folder = Path(folder)
    names = column_names(COLUMNS, columns)
    counts = _counts(folder / "raw")
    nodes = {kind: NodeGroup(count, _node_columns(folder, kind, count)) for kind, count in counts.items()}
    source = source_of(Groups(nodes, _edges(folder / "raw")), OWN_NAMES, root=folder, place=folder)
    table = find_table(folder, "nodes")
    if table is None and columns:
        raise InputError("there is no nodes.* with columns to rename", place=folder, remedy="add that table")
    return source if table is None else with_texts(source, table, names)


def with_texts(source: GraphSource, file: Path, names: Mapping[str, str]) -> GraphSource:
    """``source`` with the texts, pictures and further columns that a table has for its ids.

    Args:
        source: the graph.
        file: the table; it may have rows for other ids, and lack some.
        names: the table's names of `COLUMNS`.

    Raises:
        InputError: the table cannot be read or has no row for any of the nodes, or a picture lies outside
            the folder.
    """
    bad = BadRows()
    table = read_table(file, names, ("id",), bad)
    rows = pc.index_in(to_arrow(source.nodes.ids), value_set=table["id"].combine_chunks())
    if rows.null_count == len(source.nodes) > 0:
        raise InputError(
            f"there is no row for any of the nodes '{source.nodes.ids[0]}', ...",
            place=file,
            remedy=respelled(source.nodes.ids[0], table["id"].to_pylist()) or "use the graph's ids",
        )
    found = {
        name: pc.fill_null(table[name].combine_chunks().take(rows), "").to_pylist()
        for name in table.column_names
    }
    bad.columns |= take_usual(found, [name for name in ("image",) if names[name] == name])
    empty = [""] * len(source.nodes)
    attributes = {name: column for name, column in found.items() if name not in COLUMNS}
    nodes = replace(
        source.nodes,
        texts=found.get("text", empty),
        pictures=[picture or None for picture in found.get("image", empty)],
        attributes={**source.nodes.attributes, **attributes},
    )
    joined = replace(source, nodes=nodes, tally=source.tally + bad.tally())
    return joined.with_pictures_inside(file)


def ogb_features(folder: Path) -> VectorReaders:
    """The features of nodes, by name."""
    raw = folder / "raw"
    files = {kind: _file(raw, FEATURES, kind) for kind in _counts(raw)}

    def read() -> Any:
        nodes = {
            kind: NodeGroup(
                count, {FEATURES: read_numbers(files[kind], pa.float32())} if files[kind].is_file() else {}
            )
            for kind, count in _counts(raw).items()
        }
        return feature_rows(Groups(nodes, {}), FEATURES, files.get(PLAIN, folder))

    return {FEATURES: read} if any(map(Path.is_file, files.values())) else {}


def _counts(raw: Path) -> dict[str, int]:
    """The number of nodes of each type."""
    file = raw / "num-node-dict.csv.gz"
    if file.is_file():
        table = read_csv(file, kind=pa.int64())
        _check_names(table.column_names, file)
        found = {name: table[name].to_pylist() for name in table.column_names}
    else:
        file = raw / "num-node-list.csv.gz"
        found = {PLAIN: read_numbers(file, pa.int64(), 1)[:, 0].tolist()}
    for counts in found.values():
        if len(counts) != 1:
            problem = f"expected one graph, got {len(counts)}"
            raise InputError(problem, place=raw, remedy="give a folder of one graph")
    with at(file):
        check_room(sum(counts[0] for counts in found.values()))
    return {kind: counts[0] for kind, counts in found.items()}


def _check_names(kinds: Iterable[str], place: Path) -> None:
    """Types are names of folders, and may not lead out of ``raw``."""
    for kind in kinds:
        if not kind.replace("-", "_").isidentifier():
            raise InputError(f"'{kind}' is not the name of a type", place=place, remedy="correct the file")


def _edges(raw: Path) -> dict[EdgeType, EdgeGroup]:
    folders: dict[EdgeType, Path] = {(PLAIN, PLAIN, PLAIN): raw}
    triplets = raw / "triplet-list.csv.gz"
    if triplets.is_file():
        rows = read_csv(triplets, header=False)
        if rows.num_columns != 3:
            problem = f"expected 3 columns, got {rows.num_columns}"
            raise InputError(problem, place=triplets, remedy="correct the file")
        kinds = list(zip(*(column.to_pylist() for column in rows.columns), strict=True))
        _check_names(chain.from_iterable(kinds), triplets)
        folders = {kind: raw / "relations" / "___".join(kind) for kind in kinds}
    edges = {}
    for kind, folder in folders.items():
        ends = read_numbers(folder / "edge.csv.gz", pa.int64(), 2)
        weights = folder / "edge_weight.csv.gz"
        columns = {"weight": read_numbers(weights, pa.float32())} if weights.is_file() else {}
        edges[kind] = EdgeGroup(ends[:, 0].copy(), ends[:, 1].copy(), columns)
    return edges


def _node_columns(folder: Path, kind: str, count: int) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    label = _file(folder / "raw", "node-label", kind)
    if label.is_file():
        columns["label"] = _one_column(label, count)
    for file in sorted((folder / "raw").glob("node_*.csv.gz")) if kind == PLAIN else ():
        columns[file.name.removesuffix(".csv.gz")] = _one_column(file, count)
    mapping = sorted((folder / "mapping").glob(f"{kind}_entidx2*.csv.gz" if kind else "nodeidx2*.csv.gz"))
    if mapping:
        ids = _mapped(mapping[0], count)
        columns["id"] = [f"{kind}:{node_id}" if kind else node_id for node_id in ids]
    split = folder / "split"
    ways = sorted(way for way in split.glob("*/") if any(way.rglob("train.csv.gz")))
    if len(ways) > 1:
        problem = f"there are several ways to split: {', '.join(way.name for way in ways)}"
        raise InputError(problem, place=split, remedy="keep one of them")
    for way in ways:
        for name in SPLITS:
            file = way / kind / f"{name}.csv.gz"
            if file.is_file():
                rows = read_numbers(file, pa.int64(), 1)[:, 0]
                with at(file):
                    columns[f"{name}{MASK}"] = mask_of(rows, count, name)
    return columns


def _file(raw: Path, stem: str, kind: str) -> Path:
    return raw / stem / kind / f"{stem}.csv.gz" if kind else raw / f"{stem}.csv.gz"


def _one_column(file: Path, count: int) -> list[str]:
    table = read_csv(file, header=False)
    if table.num_columns != 1 or table.num_rows != count:
        problem = f"expected {count} rows of one value, got {table.num_rows} of {table.num_columns}"
        raise InputError(problem, place=file, remedy="give one value for each node")
    # pandas writes whole numbers as 3.0 where some are missing.
    return [value.removesuffix(".0") for value in table.column(0).to_pylist()]


def _mapped(file: Path, count: int) -> list[str]:
    """The ids by row number; the file has two columns, row number and id, under any header."""
    table = read_csv(file)
    if table.num_columns < 2 or table.num_rows != count:
        problem = f"expected {count} rows of two columns, got {table.num_rows} of {table.num_columns}"
        raise InputError(problem, place=file, remedy="fetch the file again")
    numbers = to_arrow([str(row) for row in range(count)])
    order = pc.index_in(numbers, value_set=table.column(0).combine_chunks())
    if order.null_count:
        row = int(pc.index(order.is_null(), True).as_py())
        raise InputError(f"node {row} is missing", place=file, remedy="fetch the file again")
    return table.column(1).take(order).to_pylist()


OGB = GraphFormat(
    name="ogb",
    files="raw/edge.csv.gz or raw/triplet-list.csv.gz",
    signs=lambda path: any((path / "raw" / f"{name}.csv.gz").is_file() for name in ("edge", "triplet-list")),
    read=read_ogb,
    features=ogb_features,
    hides=("tables",),  # nodes.* beside raw/ gives texts and pictures
)
