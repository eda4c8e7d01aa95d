"""Tables of text from CSV, JSON lines and Parquet files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from graphcond.errors import InputError
from graphcond.graphs.jsonl import read_jsonl

SUFFIXES = (".csv", ".csv.gz", ".jsonl", ".parquet")


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
    """Read a table with every value as text, "" where there is none.

    Args:
        file: its suffix tells the format.
        names: our name of a column to what the file calls it; the columns returned have our names, and a
            column of the file that has such a name but another meaning is left out.
        required: columns of ours that the file must have.

    Raises:
        InputError: the file cannot be read, or a column is missing, occurs twice or holds no text.
    """
    table = _READERS[_suffix(file)](file)
    _check_columns(table.column_names, [names[name] for name in required], file)
    ours = {theirs: name for name, theirs in names.items()}
    hidden = set(names) - set(ours)
    columns = {
        ours.get(name, name): _as_text(table[name], name, file)
        for name in table.column_names
        if name not in hidden
    }
    return pa.table(columns)


def row_place(file: Path, row: int) -> str:
    """Where ``row`` stands; counted from 0 here, and from 1 below the header for people."""
    return f"{file}, row {row + 1}"


def _suffix(file: Path) -> str:
    for suffix in SUFFIXES:
        if file.name.endswith(suffix):
            return suffix
    raise InputError("is no table", place=file, remedy=f"use one of {', '.join(SUFFIXES)}")


def _read_csv(file: Path) -> pa.Table:
    # with one thread, errors name their row
    one_thread = pa.csv.ReadOptions(use_threads=False)
    parse = pa.csv.ParseOptions(newlines_in_values=True)

    def read() -> pa.Table:
        with pa.csv.open_csv(file, one_thread, parse) as stream:
            text = dict.fromkeys(stream.schema.names, pa.string())
        return pa.csv.read_csv(file, one_thread, parse, pa.csv.ConvertOptions(column_types=text))

    return _reading(read, file)


def _read_lines(file: Path) -> pa.Table:
    rows = [{key: _scalar(value, place) for key, value in line.items()} for place, line in read_jsonl(file)]
    names = dict.fromkeys(key for row in rows for key in row)
    return pa.table({name: pa.array([row.get(name) for row in rows], pa.large_string()) for name in names})


def _read_parquet(file: Path) -> pa.Table:
    return _reading(lambda: pa.parquet.read_table(file), file)


def _reading(read: Callable[[], pa.Table], file: Path) -> pa.Table:
    try:
        return read()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", place=file, remedy="mend the file") from None


_READERS: dict[str, Callable[[Path], pa.Table]] = {
    ".csv": _read_csv,
    ".csv.gz": _read_csv,
    ".jsonl": _read_lines,
    ".parquet": _read_parquet,
}


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
            raise InputError(
                f"has no column '{name}' (it has {', '.join(found) or 'none'})",
                place=file,
                remedy=f"add it, or say what it is called (`--column {name}=...`)",
            )
