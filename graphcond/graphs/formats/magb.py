"""Folders of MAGB (Yan et al., arXiv 2410.09132) and OpenMAG: DGL's ``XGraph.pt`` with ``X.csv``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from graphcond.errors import InputError
from graphcond.graphs.formats.dgl import KEYS, groups_of, load_dgl_graph
from graphcond.graphs.groups import PLAIN, Groups, NodeGroup, source_of
from graphcond.graphs.reading.arrays import pictures_by_stem
from graphcond.graphs.reading.tabular import read_csv
from graphcond.graphs.source import GraphFormat, GraphSource, column_names
from graphcond.graphs.usual import usual_columns
from graphcond.io.tally import Tally

COLUMNS = ("id", "text", "split")
GRAPH = "Graph.pt"
LEFT_OUT = ("neighbour", "neighbours", "neighbor", "neighbors")
"""Columns with lists of neighbors, which the graph has too."""

AND = "+"
"""Joins the names of columns that form one text together, such as ``TITLE+DESCRIPTION``."""


def _pairs(folder: Path) -> list[tuple[Path, Path]]:
    """Each ``XGraph.pt`` with its ``X.csv``, where both are there."""
    graphs = sorted(folder.glob(f"?*{GRAPH}"))
    pairs = [(file, file.with_name(f"{file.name.removesuffix(GRAPH)}.csv")) for file in graphs]
    return [pair for pair in pairs if pair[1].is_file()]


def read_magb(folder: Path | str, columns: Mapping[str, str] | None = None) -> GraphSource:
    """Read a folder of MAGB or OpenMAG; it needs DGL.

    Row ``i`` of ``X.csv`` is node ``i``, unless its column ``id`` numbers the nodes in another order.
    Pictures are in the folder that ``XImages.tar.gz`` unpacks to, named by id. Other columns become
    attributes. Samplers read features (``.npy``) from their files.

    Args:
        folder: the folder.
        columns: the names of ``id``, ``text`` and ``split`` in ``X.csv``, where they differ;
            ``TITLE+DESCRIPTION`` joins several columns into one text.

    Raises:
        InputError: DGL or a file is missing, a file is damaged, a column is missing, or rows and nodes differ
            in number.
    """
    folder = Path(folder)
    pairs = _pairs(folder)
    if not pairs:
        raise InputError(f"there is no X{GRAPH} with X.csv", place=folder, remedy="check the path")
    if len(pairs) > 1:
        names = " and ".join(graph.name for graph, _ in pairs)
        problem = f"the folder holds several graphs, {names}"
        raise InputError(problem, place=folder, remedy="give each a folder of its own")
    graph_file, table_file = pairs[0]
    groups = groups_of(load_dgl_graph(graph_file), graph_file)
    if list(groups.nodes) != [PLAIN]:
        problem = f"expected one type of nodes, got {', '.join(groups.nodes)}"
        raise InputError(problem, place=graph_file, remedy="save one type")
    taken: dict[str, str] = {}
    table = _table(table_file, column_names(COLUMNS, columns), set(columns or {}), taken)
    count = groups.nodes[PLAIN].count
    ids = table.get("id") or [str(row) for row in range(count)]
    pictures = pictures_by_stem(folder, f"{graph_file.name.removesuffix(GRAPH)}Images*")
    if pictures:
        table["image"] = [pictures.get(node_id, "") for node_id in ids]
    nodes = {PLAIN: NodeGroup(count, {**groups.nodes[PLAIN].columns, **_in_order(table)})}
    source = source_of(Groups(nodes, groups.edges), KEYS, root=folder, place=table_file)
    return replace(source, tally=source.tally + Tally(columns=taken))


def _table(
    file: Path, names: Mapping[str, str], renamed: set[str], taken: dict[str, str]
) -> dict[str, list[str]]:
    """The columns; ``taken`` gets the usual names that were taken for ours."""
    found = read_csv(file).to_pydict()
    taken |= usual_columns(found, names, ("text",))
    names = {**names, **taken}
    table: dict[str, list[str]] = {}
    for name, theirs in names.items():
        parts = [theirs] if theirs in found else list(dict.fromkeys(theirs.split(AND)))
        missing = [part for part in parts if part not in found]
        if not missing:
            rows = zip(*(found.pop(part) for part in parts), strict=True)
            table[name] = [" ".join(filter(None, row)) for row in rows]
        elif name == "text" or name in renamed:
            problem = f"there is no column '{missing[0]}' (there is {', '.join(found) or 'none'})"
            raise InputError(problem, place=file, remedy=f"give its name (`--column {name}=...`)")
    return table | {name: column for name, column in found.items() if name not in (*LEFT_OUT, *table, "")}


def _in_order(columns: dict[str, list[str]]) -> dict[str, list[str]]:
    """The rows sorted by their ids, if these number the nodes."""
    try:
        numbers = np.array([int(node_id) for node_id in columns.get("id", ())], np.int64)
    except (ValueError, OverflowError):
        return columns
    if not len(numbers) or not np.array_equal(np.sort(numbers), np.arange(len(numbers))):
        return columns
    order = np.argsort(numbers).tolist()
    return {name: [column[row] for row in order] for name, column in columns.items()}


MAGB = GraphFormat(
    name="magb",
    files=f"X{GRAPH} with X.csv",
    signs=lambda path: bool(_pairs(path)),
    read=read_magb,
)
