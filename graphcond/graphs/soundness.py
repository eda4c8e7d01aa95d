"""Checks of the content of a graph folder: kernels and Arrow follow its offsets without a look at bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Shaped

from graphcond.attributed_graph import ABSENT
from graphcond.errors import InputError

REBUILD = "build it again with `graphcond data build`"


def broken(problem: str, file: Path) -> InputError:
    """The error of a file of a graph folder; the folder is to be built again."""
    return InputError(problem, place=file, remedy=REBUILD)


CHECKS = 1
"""Version of these checks; a graph folder that passed those of another version is checked again."""

ENTRIES_AT_ONCE = 2**22
"""Entries of an array that are checked together, so that a memory map need not fit into memory."""

Entries = Shaped[np.ndarray, " n"]
Right = Bool[np.ndarray, " n"]

NEEDED = ("id", "text", "picture")
"""Columns of every node table; only pictures may be null."""


def check_columns(table: pa.Table, file: Path) -> None:
    """Check the names and types of the columns of a node table; their content is not read.

    Raises:
        InputError: a column is missing, occurs twice or does not hold strings.
    """
    names = table.column_names
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise broken(f"the node table has no column '{missing[0]}'", file)
    for name, kind in zip(names, table.schema.types, strict=True):
        if names.count(name) > 1:
            raise broken(f"the column '{name}' occurs twice", file)
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise broken(f"expected strings in the column '{name}', got {kind}", file)


def check_strings(table: pa.Table, file: Path) -> None:
    """Check the content of a node table whose columns are right.

    Raises:
        InputError: an offset leads out of its buffer, a text is not UTF-8, or there is a null outside the
            pictures.
    """
    try:
        table.validate(full=True)
    except pa.ArrowException as error:
        raise broken(f"the node table is damaged ({str(error).splitlines()[0]})", file) from None
    for name in table.column_names:
        if name != "picture" and table[name].null_count:
            raise broken(f"the column '{name}' holds a null", file)


def check_arrays(
    arrays: Mapping[str, np.ndarray], files: Mapping[str, Path], *, nodes: int, edge_types: int
) -> None:
    """Check that the arrays of a graph hold what they may.

    Args:
        arrays: ``indptr``, ``indices`` and, where there are, ``weights``, ``edge_types`` and ``given``, each
            of the right length, dtype and number of dimensions.
        files: the file of each.
        nodes: number of nodes.
        edge_types: number of names of edge types.

    Raises:
        InputError: an offset, an end, a weight, a type or a given neighbor cannot be one.
    """
    edges = len(arrays["indices"])
    rules: dict[str, tuple[str, Callable[[Entries], Right]]] = {
        "indptr": (f"offset from 0 to {edges}", lambda part: (part >= 0) & (part <= edges)),
        "indices": (f"node below {nodes}", lambda part: (part >= 0) & (part < nodes)),
        "weights": ("finite weight >= 0", lambda part: np.isfinite(part) & (part >= 0)),
        "edge_types": (f"type below {edge_types}", lambda part: part < edge_types),
        "given": (f"node below {nodes}, or -1", lambda part: (part >= ABSENT) & (part < nodes)),
    }
    for name, array in arrays.items():
        expected, right = rules[name]
        for start, part in _parts(array.reshape(-1)):
            fine = right(part)
            if not fine.all():
                place = int(fine.argmin())
                problem = f"expected a {expected} at entry {start + place}, got {part[place]}"
                raise broken(problem, files[name])
    indptr = arrays["indptr"]
    falls = any((np.diff(part) < 0).any() for _, part in _parts(indptr, overlap=1))
    if falls or indptr[0] != 0 or indptr[-1] != edges:
        raise broken(f"expected offsets that rise from 0 to {edges}", files["indptr"])


def _parts(array: Entries, overlap: int = 0) -> Iterator[tuple[int, Entries]]:
    for start in range(0, len(array), ENTRIES_AT_ONCE):
        yield start, array[start : start + ENTRIES_AT_ONCE + overlap]
