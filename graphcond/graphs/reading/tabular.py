"""Tables of text from CSV, JSON lines and Parquet files, whole or in batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from graphcond.errors import InputError
from graphcond.graphs.reading.table_files import BLOCK, SUFFIXES, check_repeats, read_blocks

SHOWN = 200
"""Characters of a header that an error shows."""


@dataclass(frozen=True)
class TableBatch:
    """Some rows of a table, of which the first is row ``first``; ``read`` bytes of the file are done with."""

    first: int
    rows: pa.Table
    read: int


def find_table(folder: Path, stem: str) -> Path | None:
    """The one file ``stem.*`` in ``folder``, or None.

    Raises:
        InputError: there are several.
    """
    found = [folder / f"{stem}{suffix}" for suffix in SUFFIXES if (folder / f"{stem}{suffix}").is_file()]
    if len(found) > 1:
        names = " and ".join(file.name for file in found)
        raise InputError(f"holds both {names}", place=folder, remedy="keep one of them")
    return found[0] if found else None


def read_table(file: Path, names: Mapping[str, str], required: tuple[str, ...]) -> pa.Table:
    """Read a whole table; see `read_batches`."""
    batches = [batch.rows for batch in read_batches(file, names, required)]
    table = pa.concat_tables(batches, promote_options="default")
    filled = [pc.fill_null(column, "") for column in table.columns]
    return pa.Table.from_arrays(filled, table.column_names).combine_chunks()


def read_batches(
    file: Path,
    names: Mapping[str, str],
    required: tuple[str, ...],
    *,
    block: int = BLOCK,
    others: bool = True,
) -> Iterator[TableBatch]:
    """Read a table bit by bit with every value as text, "" where there is none; at least one batch comes.

    Lines of JSON may give each batch other columns.

    Args:
        file: its suffix tells the format.
        names: our name of a column to what the file calls it; the columns returned have our names, and a
            column of the file that has such a name but another meaning is left out.
        required: columns of ours that the file must have.
        block: bytes of text that are parsed at once; memory of some ten times that is taken.
        others: read columns that ``names`` does not speak of.

    Raises:
        InputError: the file cannot be read, or a column is missing, occurs twice, holds no text or is
            named for two of ours.
    """
    ours = _renamed(names, required, file)
    hidden = set(names) - set(ours)
    first = 0
    for table, read in read_blocks(file, block, None if others else list(ours)):
        _check_columns(table.column_names, {name: names[name] for name in required}, file)
        columns = {
            ours.get(name, name): _as_text(table[name], name, file)
            for name in table.column_names
            if name not in hidden and (others or name in ours)
        }
        yield TableBatch(first, pa.table(columns), read)
        first += len(table)


def row_place(file: Path, row: int) -> str:
    """Where ``row`` stands; counted from 0 here, and from 1 below the header for people."""
    return f"{file}, row {row + 1}"


def check_filled(column: pa.Array | pa.ChunkedArray, name: str, file: Path, first: int = 0) -> None:
    """Refuse a column with an empty value; ``name`` is what the file calls it, ``first`` its first row.

    Raises:
        InputError: there is one.
    """
    row = pc.index(column, "").as_py()
    if row >= 0:
        place = row_place(file, first + row)
        raise InputError(f"'{name}' is empty", place=place, remedy="fill it or delete the row")


def _renamed(names: Mapping[str, str], required: tuple[str, ...], file: Path) -> dict[str, str]:
    """The file's name of a column to ours; a column that was renamed goes before one that was not."""
    ours = {names[name]: name for name in sorted(names, key=lambda name: names[name] != name)}
    for name, theirs in names.items():
        if ours[theirs] != name and (theirs != name or name in required):
            raise InputError(
                f"the column '{theirs}' is named for both '{name}' and '{ours[theirs]}'",
                place=file,
                remedy="name a column for each",
            )
    return ours


def _as_text(column: pa.ChunkedArray, name: str, file: Path) -> pa.ChunkedArray:
    try:
        return pc.fill_null(column.cast(pa.large_string()), "")
    except pa.ArrowException:
        raise InputError(
            f"the column '{name}' holds {column.type}, not text", place=file, remedy="leave that column out"
        ) from None


def _check_columns(found: list[str], required: Mapping[str, str], file: Path) -> None:
    check_repeats(found, file)
    for name, theirs in required.items():
        if theirs not in found:
            _check_separator(found, file)
            raise InputError(
                f"has no column '{theirs}' (it has {', '.join(found)[:SHOWN] or 'none'})",
                place=file,
                remedy=f"add it, or say what it is called (`--column {name}=...`)",
            )


def _check_separator(found: list[str], file: Path) -> None:
    for separator, name in {";": "';'", "\t": "tabs", "|": "'|'"}.items():
        if len(found) == 1 and separator in found[0]:
            raise InputError(
                f"its columns are separated by {name}, not by commas",
                place=file,
                remedy="write it with commas",
            )
