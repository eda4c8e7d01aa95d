"""Tables of text from CSV, JSON lines and Parquet files, whole or in batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from jaxtyping import Shaped

from graphcond.errors import InputError
from graphcond.graphs.columns import are_texts
from graphcond.graphs.reading.quotes import QuoteCheck
from graphcond.graphs.usual import usual_columns
from graphcond.io.readable import check_readable
from graphcond.io.strict_json import parse_json
from graphcond.io.tally import BadRows, reading_row

BLOCK = 1 << 24
"""Bytes of text that are parsed at once."""
PEEK = 1 << 14
"""Bytes of text that are parsed to see the columns."""
GUESSED = ("id", "text", "src", "dst", "weight")
"""Our columns that may have a usual name instead; see `graphcond.graphs.usual`."""
LONGEST_HEADER = 1 << 20
"""Most bytes of a header; a file without line breaks is not read whole in search of one."""
TEXT = pa.large_string()

ROW = 64
"""Approximate bytes of a row of Parquet as text; a parsed line of JSON takes eight times as much."""

Blocks: TypeAlias = Iterator[tuple[pa.Table, int]]
"""Tables of some rows each, the first perhaps without rows, and the bytes of the file read so far."""


def read_blocks(file: Path, block: int, wanted: list[str] | None, bad: BadRows) -> Blocks:
    """Read a file in blocks; its suffix tells the format.

    Args:
        file: the file.
        block: bytes of text that are parsed at once.
        wanted: columns to read, all if None; JSON lines give all columns in any case.
        bad: what to do with broken rows.

    Raises:
        InputError: the file cannot be read, or has another suffix.
    """
    for suffix, read in _READERS.items():
        if file.name.endswith(suffix):
            return read(file, block, wanted, bad)
    raise InputError("the file is not a table", place=file, remedy=f"use one of {', '.join(SUFFIXES)}")


def check_repeats(names: list[str], file: Path) -> None:
    """Refuse two columns of the same name.

    Raises:
        InputError: two columns have the same name.
    """
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"there are two columns '{name}'", place=file, remedy="rename one")


def _read_csv(
    file: Path,
    block: int,
    wanted: list[str] | None,
    bad: BadRows | None = None,
    *,
    separator: str = ",",
    header: bool = True,
    kind: pa.DataType = TEXT,
) -> Blocks:
    """The header, as a table without rows, so that columns are checked first; then the rows."""

    def left_out(row: pa.csv.InvalidRow) -> str:
        assert bad is not None
        problem = f"expected {row.expected_columns} cells, got {row.actual_columns}"
        bad.refuse("rows", InputError(problem, place=file), "another number of cells than the header")
        return "skip"

    parse = pa.csv.ParseOptions(
        delimiter=separator,
        newlines_in_values=True,
        invalid_row_handler=left_out if bad is not None and bad.skip else None,
    )
    # Only with one thread do Arrow's errors name their row.
    options = pa.csv.ReadOptions(use_threads=False, block_size=block, autogenerate_column_names=not header)
    with _reading(file):
        with pa.OSFile(str(file)) as raw, BufferedReader(_unpacked(raw, file)) as lines:
            # The first line that is not empty, with the line breaks within its quotes.
            first = b""
            while line := lines.readline(LONGEST_HEADER):
                first += line
                if (first.strip() and first.count(b'"') % 2 == 0) or len(first) >= LONGEST_HEADER:
                    break
            names = pa.csv.read_csv(pa.BufferReader(first), options, parse).column_names
        yield pa.Table.from_arrays([pa.array([], kind)] * len(names), names), 0
        convert = pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, kind),
            include_columns=[name for name in names if wanted is None or name in wanted],
            null_values=[""],
        )
        with pa.OSFile(str(file)) as raw:
            check = QuoteCheck(_unpacked(raw, file), file, separator)
            try:
                with pa.csv.open_csv(pa.PythonFile(check, "r"), options, parse, convert) as stream:
                    for batch in stream:
                        yield pa.Table.from_batches([batch]), raw.tell()
            except pa.ArrowException:
                if check.problem is None:
                    raise
            if check.problem is not None:
                raise check.problem


def _unpacked(raw: pa.NativeFile, file: Path) -> pa.NativeFile:
    return pa.CompressedInputStream(raw, "gzip") if file.suffix == ".gz" else raw


def _read_lines(file: Path, block: int, wanted: list[str] | None, bad: BadRows) -> Blocks:
    with _reading(file), file.open("rb") as raw:
        lines = read_jsonl(file, raw, bad)
        at_least_one = True
        while (batch := list(islice(lines, max(block // ROW // 8, 1)))) or at_least_one:
            rows: list[dict[str, str | None]] = []
            for place, line in batch:
                nested = [key for key, value in line.items() if isinstance(value, dict | list)]
                for key in [key for key in nested if not are_texts(line[key])]:  # several prompts
                    problem = f"'{key}' is a list or an object"
                    error = InputError(problem, place=place, remedy="use plain values")
                    bad.refuse("values", error, "a list or an object")
                    line[key] = None
                # A missing value is None; so is NaN, which does not equal itself.
                given = {key: value for key, value in line.items() if value is not None and value == value}
                texts = {key: v if isinstance(v, str) else json.dumps(v) for key, v in given.items()}
                rows.append(dict.fromkeys(line) | texts)
            names = dict.fromkeys(key for row in rows for key in row)
            columns = {name: pa.array([row.get(name) for row in rows], pa.large_string()) for name in names}
            yield pa.table(columns), file.stat().st_size if raw.closed else raw.tell()
            at_least_one = False


def _read_parquet(file: Path, block: int, wanted: list[str] | None, bad: BadRows) -> Blocks:
    with _reading(file), pa.parquet.ParquetFile(file) as stored:
        names = [name for name in stored.schema_arrow.names if wanted is None or name in wanted]
        yield stored.schema_arrow.empty_table(), 0
        rows, size = 0, file.stat().st_size
        for batch in stored.iter_batches(max(block // ROW, 1), columns=names):
            rows += len(batch)
            yield pa.Table.from_batches([batch]), size * rows // stored.metadata.num_rows


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    check_readable(file)
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"the file cannot be read: {error}", place=file, remedy="correct the file") from None


_READERS: dict[str, Callable[[Path, int, list[str] | None, BadRows], Blocks]] = {
    ".csv": _read_csv,
    ".csv.gz": _read_csv,
    ".jsonl": _read_lines,
    ".parquet": _read_parquet,
}
SUFFIXES = tuple(_READERS)
"""Endings of files with tables."""


_MEND_LINE = "correct or delete that line"


def read_jsonl(
    file: Path, opened: BinaryIO | None = None, bad: BadRows | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each object with its place (``file:line``); empty lines are skipped.

    Args:
        file: the file.
        opened: the same file, already open, for a caller who wants to know how far it is read.
        bad: what to do with lines that are not JSON objects; they are errors unless given.

    Raises:
        InputError: the file is missing or not UTF-8, or a line is not a JSON object.
    """
    if opened is None:
        check_readable(file)
    try:
        with TextIOWrapper(opened or file.open("rb"), "utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    parsed = None
                    place = f"{file}:{number}"
                    with reading_row(bad, "rows"):
                        value = parse_json(line, place, remedy=_MEND_LINE, nan=True)
                        if not isinstance(value, dict):
                            problem = f"expected a JSON object, got {type(value).__name__}"
                            raise InputError(problem, place=place, remedy=_MEND_LINE)
                        parsed = value
                    if parsed is not None:
                        yield place, parsed
    except UnicodeDecodeError:
        raise InputError("the file is not UTF-8", place=file, remedy="save it as UTF-8") from None


SHOWN = 200
"""Most characters of a header in an error."""


@dataclass(frozen=True)
class TableBatch:
    """Some rows of a table, from row ``first`` on; ``read`` bytes of the file are read so far."""

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
        raise InputError(f"the folder holds both {names}", place=folder, remedy="keep one of them")
    return found[0] if found else None


def read_table(
    file: Path, names: Mapping[str, str], required: tuple[str, ...], bad: BadRows | None = None
) -> pa.Table:
    """Read a whole table; see `read_batches`."""
    batches = [batch.rows for batch in read_batches(file, names, required, bad=bad)]
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
    bad: BadRows | None = None,
) -> Iterator[TableBatch]:
    """Read a table in batches, at least one, with every value as text and "" for missing values.

    JSON lines may have other columns in each batch.

    Args:
        file: the file; its suffix tells the format.
        names: the file's names of columns, by our names. The returned columns have our names; a column of
            the file that has such a name but another meaning is left out. Where a column of `GUESSED` keeps
            its name and the file lacks it, a usual name is taken in its place.
        required: our names of columns that the file must have.
        block: bytes of text that are parsed at once, which takes about ten times as much memory.
        others: read columns that are not in ``names``, too.
        bad: what to do with broken rows and with columns that do not hold text; they are errors unless given.

    Raises:
        InputError: the file cannot be read, or a column is missing, occurs twice, does not hold text or is
            given for two of our columns.
    """
    first, bad = 0, bad or BadRows()
    found, _ = next(read_blocks(file, PEEK, None, BadRows(skip=True)))
    guessed = usual_columns(found.column_names, names, [name for name in GUESSED if name in names])
    bad.columns |= guessed
    names = {**names, **guessed}
    # A column that the user renamed goes before one that keeps its name.
    ours = {names[name]: name for name in sorted(names, key=lambda name: names[name] != name)}
    for name, theirs in names.items():
        if ours[theirs] != name and (theirs != name or name in required):
            problem = f"the column '{theirs}' is named for both '{name}' and '{ours[theirs]}'"
            raise InputError(problem, place=file, remedy="name a column for each")
    hidden = set(names) - set(ours)
    for table, read in read_blocks(file, block, None if others else list(ours), bad):
        _check_columns(table.column_names, {name: names[name] for name in required}, file)
        columns = {}
        for name in table.column_names:
            if name in hidden or not (others or name in ours):
                continue
            try:
                columns[ours.get(name, name)] = pc.fill_null(table[name].cast(pa.large_string()), "")
            except pa.ArrowException:
                problem = f"the column '{name}' holds {table[name].type}, not text"
                error = InputError(problem, place=file, remedy="leave that column out")
                if ours.get(name) in required:
                    raise error from None
                reason = f"'{name}' holds {table[name].type}"
                if reason not in bad.left_out.get("columns", ()):  # once, not in each batch
                    bad.refuse("columns", error, reason)
        yield TableBatch(first, pa.table(columns), read)
        first += len(table)


def row_place(file: Path, row: int) -> str:
    """The place of a row in errors, where the first row below the header is row 1; ``row`` counts from 0."""
    return f"{file}, row {row + 1}"


def _check_columns(found: list[str], required: Mapping[str, str], file: Path) -> None:
    check_repeats(found, file)
    for name, theirs in required.items():
        if theirs in found:
            continue
        for separator, called in {";": "';'", "\t": "tabs", "|": "'|'"}.items():
            if len(found) == 1 and separator in found[0]:
                problem = f"the columns are separated by {called}, not by commas"
                raise InputError(problem, place=file, remedy="write it with commas")
        problem = f"there is no column '{theirs}' (there is {', '.join(found)[:SHOWN] or 'none'})"
        remedy = f"add it, or give its name (`--column {name}=...`)"
        raise InputError(problem, place=file, remedy=remedy)


def rows_within(table: pa.Table) -> int:
    """Lines within cells that look like a row: as many cells as the table, and no blank before one."""
    width = table.num_columns
    line = rf"(?m)\n[^\s,]+(,([^\s,][^,\n]*)?){{{width - 1}}}$"
    found = 0
    for column in table.columns if width > 1 else ():
        broken = column.filter(pc.match_substring(column, "\n"))
        found += pc.sum(pc.count_substring_regex(broken, line)).as_py() or 0
    return found


def read_csv(file: Path, *, separator: str = ",", header: bool = True, kind: pa.DataType = TEXT) -> pa.Table:
    """Read a ``.csv`` or ``.csv.gz`` file whole; an empty file gives a table without rows.

    Args:
        file: the file.
        separator: one character.
        header: the first line names the columns; without it they are ``f0``, ``f1``, and so on.
        kind: type of all values; text by default, with "" for missing values.

    Raises:
        InputError: the file is missing or damaged, its rows differ in length, two columns have the same name,
            or a value is of another type.
    """
    if not file.is_file():
        raise InputError("the file is missing", place=file, remedy="add the file")
    blocks: list[pa.Table] = []
    try:
        for table, _ in _read_csv(file, BLOCK, None, separator=separator, header=header, kind=kind):
            check_repeats(table.column_names, file)
            blocks.append(table)
    except InputError as error:
        if "Empty CSV file" not in error.problem:
            raise
    return pa.concat_tables(blocks) if blocks else pa.table({})


def read_numbers(
    file: Path, kind: pa.DataType, columns: int | None = None
) -> Shaped[np.ndarray, "rows columns"]:
    """Read a file of numbers of one type without header.

    Args:
        file: the file.
        kind: the type.
        columns: how many numbers are in a row; any number unless given.

    Raises:
        InputError: as `read_csv`, or the file has another number of columns, or an empty cell.
    """
    table = read_csv(file, header=False, kind=kind)
    if columns is not None and table.num_columns not in (0, columns):
        problem = f"expected {columns} columns, got {table.num_columns}"
        raise InputError(problem, place=file, remedy="correct the file")
    if any(column.null_count for column in table.columns):
        raise InputError("a cell is empty", place=file, remedy="correct the file")
    array = np.empty((table.num_rows, table.num_columns or columns or 0), kind.to_pandas_dtype())
    for number, column in enumerate(table.columns):
        array[:, number] = column.to_numpy()
    return array
