"""CSV files of other people's formats: without a header, or with another separator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from jaxtyping import Float32, Int64

from graphcond.errors import InputError
from graphcond.graphs.reading.table_files import check_repeats


def read_csv(
    file: Path, *, separator: str = ",", header: bool = True, kind: pa.DataType | None = None
) -> pa.Table:
    """A ``.csv`` or ``.csv.gz`` file; an empty one has no rows.

    Args:
        file: the file.
        separator: one character.
        header: the first line names the columns; without it they are ``f0``, ``f1``, and so on.
        kind: what all values are; text by default, "" where there is none.

    Raises:
        InputError: the file is missing or damaged, its rows differ in length, two columns have one name, or a
            value is of another kind.
    """
    if not file.is_file():
        raise InputError("is missing", place=file, remedy="add the file")
    read = pa.csv.ReadOptions(use_threads=False, autogenerate_column_names=not header)
    parse = pa.csv.ParseOptions(delimiter=separator, newlines_in_values=True)
    try:
        with pa.csv.open_csv(file, read, parse) as stream:
            check_repeats(stream.schema.names, file)
            types = dict.fromkeys(stream.schema.names, kind or pa.large_string())
        return pa.csv.read_csv(file, read, parse, pa.csv.ConvertOptions(column_types=types, null_values=[""]))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if "Empty CSV file" in str(error):
            return pa.table({})
        raise InputError(f"cannot be read: {error}", place=file, remedy="mend the file") from None


def text_columns(table: pa.Table) -> dict[str, list[str]]:
    """The columns of a table of text."""
    return {name: table[name].to_pylist() for name in table.column_names}


def read_integers(file: Path, *, columns: int) -> Int64[np.ndarray, "rows columns"]:
    """A file without header of ``columns`` integers a row.

    Raises:
        InputError: as `read_csv`, or it has another number of columns, or an empty cell.
    """
    return _array(file, pa.int64(), columns)


def read_floats(file: Path) -> Float32[np.ndarray, "rows columns"]:
    """A file without header of numbers.

    Raises:
        InputError: as `read_csv`, or a cell is empty.
    """
    return _array(file, pa.float32(), None)


def _array(file: Path, kind: pa.DataType, columns: int | None) -> np.ndarray:
    table = read_csv(file, header=False, kind=kind)
    if columns is not None and table.num_columns not in (0, columns):
        raise InputError(
            f"has {table.num_columns} columns instead of {columns}", place=file, remedy="mend the file"
        )
    if any(column.null_count for column in table.columns):
        raise InputError("has an empty cell", place=file, remedy="mend the file")
    array = np.empty((table.num_rows, table.num_columns or columns or 0), kind.to_pandas_dtype())
    for number, column in enumerate(table.columns):
        array[:, number] = column.to_numpy()
    return array
