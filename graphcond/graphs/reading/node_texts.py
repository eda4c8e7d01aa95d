"""Texts and pictures for a graph that comes without, from a table beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc

from graphcond.errors import InputError
from graphcond.graphs.columns import to_arrow
from graphcond.graphs.reading.tabular import read_table
from graphcond.graphs.source import GraphSource

COLUMNS = ("id", "text", "image")


def with_texts(source: GraphSource, file: Path, names: Mapping[str, str]) -> GraphSource:
    """``source`` with the texts, pictures and further columns that a table has for its ids.

    Args:
        source: the graph.
        file: the table; it may have rows for other ids, and lack some.
        names: what `COLUMNS` are called in it.

    Raises:
        InputError: the table cannot be read or names none of the nodes, or a picture leaves the folder.
    """
    table = read_table(file, names, ("id",))
    rows = pc.index_in(to_arrow(source.nodes.ids), value_set=table["id"].combine_chunks())
    if rows.null_count == len(source.nodes) > 0:
        raise InputError(
            f"names none of the nodes '{source.nodes.ids[0]}', ...", place=file, remedy="use the graph's ids"
        )
    found = {
        name: pc.fill_null(table[name].combine_chunks().take(rows), "").to_pylist()
        for name in table.column_names
    }
    empty = [""] * len(source.nodes)
    attributes = {name: column for name, column in found.items() if name not in COLUMNS}
    nodes = replace(
        source.nodes,
        texts=found.get("text", empty),
        pictures=[picture or None for picture in found.get("image", empty)],
        attributes={**source.nodes.attributes, **attributes},
    )
    joined = replace(source, nodes=nodes)
    joined.check_pictures(file)
    return joined
