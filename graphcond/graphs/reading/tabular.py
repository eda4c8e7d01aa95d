"""Tables of text from CSV, JSON lines and Parquet files, whole or in batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from graphcond.errors import InputError
from graphcond.graphs.reading.jsonl import read_jsonl

SUFFIXES = (".csv", ".csv.gz", ".jsonl", ".parquet")

BLOCK = 1 << 24
"""Bytes of text that are parsed at once."""
ROW = 64
"""Bytes that a row of Parquet takes as text, about; a line of JSON takes eight times that once parsed."""


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
        InputError: the file cannot be read, or a column is missing, occurs twice or holds no text.
    """
    ours = {theirs: name for name, theirs in names.items()}
    hidden = set(names) - set(ours)
    first = 0
    for table, read in _READERS[_suffix(file)](file, block, None if others else list(ours)):
        _check_columns(table.column_names, [names[name] for name in required], file)
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


def _suffix(file: Path) -> str:
    for suffix in SUFFIXES:
        if file.name.endswith(suffix):
            return suffix
    raise InputError("is no table", place=file, remedy=f"use one of {', '.join(SUFFIXES)}")


def _read_csv(file: Path, block: int, wanted: list[str] | None) -> Iterator[tuple[pa.Table, int]]:
    """The header, as a table without rows, so that columns are checked first; then the rows."""
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    lenient = pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda row: "skip")
    # with one thread, errors name their row
    options = pa.csv.ReadOptions(use_threads=False, block_size=block)
    with _reading(file):
        with pa.OSFile(str(file)) as raw, pa.csv.open_csv(_unpacked(raw, file), None, lenient) as stream:
            names = stream.schema.names
        yield pa.Table.from_arrays([pa.array([], pa.string())] * len(names), names), 0
        convert = pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=[name for name in names if wanted is None or name in wanted],
        )
        with (
            pa.OSFile(str(file)) as raw,
            pa.csv.open_csv(_unpacked(raw, file), options, parse, convert) as stream,
        ):
            for batch in stream:
                yield pa.Table.from_batches([batch]), raw.tell()


def _unpacked(raw: pa.NativeFile, file: Path) -> pa.NativeFile:
    return pa.CompressedInputStream(raw, "gzip") if file.suffix == ".gz" else raw


def _read_lines(file: Path, block: int, wanted: list[str] | None) -> Iterator[tuple[pa.Table, int]]:
    with _reading(file), file.open("rb") as raw:
        lines = read_jsonl(file, raw)
        at_least_one = True
        while (batch := list(islice(lines, max(block // ROW // 8, 1)))) or at_least_one:
            rows = [{key: _scalar(value, place) for key, value in line.items()} for place, line in batch]
            names = dict.fromkeys(key for row in rows for key in row)
            columns = {name: pa.array([row.get(name) for row in rows], pa.large_string()) for name in names}
            yield pa.table(columns), file.stat().st_size if raw.closed else raw.tell()
            at_least_one = False


def _read_parquet(file: Path, block: int, wanted: list[str] | None) -> Iterator[tuple[pa.Table, int]]:
    with _reading(file), pa.parquet.ParquetFile(file) as stored:
        names = [name for name in stored.schema_arrow.names if wanted is None or name in wanted]
        yield stored.schema_arrow.empty_table(), 0
        rows, size = 0, file.stat().st_size
        for batch in stored.iter_batches(max(block // ROW, 1), columns=names):
            rows += len(batch)
            yield pa.Table.from_batches([batch]), size * rows // stored.metadata.num_rows


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", place=file, remedy="mend the file") from None


_READERS: dict[str, Callable[[Path, int, list[str] | None], Iterator[tuple[pa.Table, int]]]] = {
    ".csv": _read_csv,
    ".csv.gz": _read_csv,
    ".jsonl": _read_lines,
    ".parquet": _read_parquet,
}
"""Each gives tables with the bytes read so far, from all columns of the file or those wanted."""


def _scalar(value: object, place: str) -> str | None:
    if isinstance(value, dict | list):
        raise InputError("a value is a list or an object", place=place, remedy="use plain values")
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _as_text(column: pa.ChunkedArray, name: str, file: Path) -> pa.ChunkedArray:
    try:
        return pc.fill_null(column.cast(pa.large_string()), "")
    except pa.ArrowException:
        raise InputError(
            f"the column '{name}' holds {column.type}, not text", place=file, remedy="leave that column out"
        ) from None


def _check_columns(found: list[str], required: list[str], file: Path) -> None:
    for name in found:
        if found.count(name) > 1:
            raise InputError(f"has two columns '{name}'", place=file, remedy="rename one")
    for name in required:
        if name not in found:
            _check_separator(found, file)
            raise InputError(
                f"has no column '{name}' (it has {', '.join(found) or 'none'})",
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
