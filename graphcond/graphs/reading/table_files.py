"""CSV, JSON lines and Parquet files as Arrow tables, block by block."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from graphcond.errors import InputError
from graphcond.graphs.reading.jsonl import read_jsonl

BLOCK = 1 << 24
"""Bytes of text that are parsed at once."""
LONGEST_HEADER = 1 << 20
"""Bytes of a line that may be a header; what has no line breaks is not read whole for it."""
ROW = 64
"""Bytes that a row of Parquet takes as text, about; a line of JSON takes eight times that once parsed."""

Blocks: TypeAlias = Iterator[tuple[pa.Table, int]]
"""Tables of some rows each, the first perhaps of none, and how many bytes of the file are read so far."""


def read_blocks(file: Path, block: int, wanted: list[str] | None) -> Blocks:
    """Read a file bit by bit; its suffix tells the format.

    Args:
        file: the file.
        block: bytes of text that are parsed at once.
        wanted: columns to read, all if None; JSON lines give all anyway.

    Raises:
        InputError: the file cannot be read, or has another suffix.
    """
    for suffix, read in _READERS.items():
        if file.name.endswith(suffix):
            return read(file, block, wanted)
    raise InputError("is no table", place=file, remedy=f"use one of {', '.join(SUFFIXES)}")


def check_repeats(names: list[str], file: Path) -> None:
    """Refuse two columns of one name.

    Raises:
        InputError: there are some.
    """
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"has two columns '{name}'", place=file, remedy="rename one")


def _read_csv(file: Path, block: int, wanted: list[str] | None) -> Blocks:
    """The header, as a table without rows, so that columns are checked first; then the rows."""
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    # with one thread, errors name their row
    options = pa.csv.ReadOptions(use_threads=False, block_size=block)
    with _reading(file):
        with pa.OSFile(str(file)) as raw, BufferedReader(_unpacked(raw, file)) as lines:
            names = pa.csv.read_csv(pa.BufferReader(_header(lines)), parse_options=parse).column_names
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


def _header(lines: BufferedReader) -> bytes:
    """The first line that is not empty, with the line breaks within its quotes."""
    header = b""
    while line := lines.readline(LONGEST_HEADER):
        header += line
        if (header.strip() and header.count(b'"') % 2 == 0) or len(header) >= LONGEST_HEADER:
            break
    return header


def _unpacked(raw: pa.NativeFile, file: Path) -> pa.NativeFile:
    return pa.CompressedInputStream(raw, "gzip") if file.suffix == ".gz" else raw


def _read_lines(file: Path, block: int, wanted: list[str] | None) -> Blocks:
    with _reading(file), file.open("rb") as raw:
        lines = read_jsonl(file, raw)
        at_least_one = True
        while (batch := list(islice(lines, max(block // ROW // 8, 1)))) or at_least_one:
            rows = [{key: _scalar(value, place) for key, value in line.items()} for place, line in batch]
            names = dict.fromkeys(key for row in rows for key in row)
            columns = {name: pa.array([row.get(name) for row in rows], pa.large_string()) for name in names}
            yield pa.table(columns), file.stat().st_size if raw.closed else raw.tell()
            at_least_one = False


def _read_parquet(file: Path, block: int, wanted: list[str] | None) -> Blocks:
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


def _scalar(value: object, place: str) -> str | None:
    if isinstance(value, dict | list):
        raise InputError("a value is a list or an object", place=place, remedy="use plain values")
    return value if value is None or isinstance(value, str) else json.dumps(value)


_READERS: dict[str, Callable[[Path, int, list[str] | None], Blocks]] = {
    ".csv": _read_csv,
    ".csv.gz": _read_csv,
    ".jsonl": _read_lines,
    ".parquet": _read_parquet,
}
SUFFIXES = tuple(_READERS)
"""Endings of the files that are tables."""
