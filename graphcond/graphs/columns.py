"""Text columns that stay in Arrow's memory, or on disk, until an entry is read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from operator import index
from typing import SupportsIndex, TypeGuard, TypeVar, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Entry = TypeVar("Entry", str, str | None, covariant=True)


PIECE = 1 << 16
"""Entries that are copied at once."""


class ArrowColumn(Sequence[Entry]):
    """A read-only sequence over an Arrow array of strings; reading an entry copies that entry only.

    Args:
        array: strings; a null is the entry `None`.
    """

    def __init__(self, array: pa.Array) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, position: SupportsIndex) -> Entry: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Entry]: ...
    def __getitem__(self, position: SupportsIndex | slice) -> Entry | Sequence[Entry]:
        if isinstance(position, slice):
            return ArrowColumn(self.array[position])
        return self.array[index(position)].as_py()

    def __iter__(self) -> Iterator[Entry]:
        for start in range(0, len(self), PIECE):
            yield from self.array.slice(start, PIECE).to_pylist()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ArrowColumn):
            return self.array.equals(other.array)
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ArrowColumn({len(self)} entries)"


def to_arrow(column: Sequence[str] | Sequence[str | None]) -> pa.Array:
    """``column`` as one Arrow array of large strings, without a copy if it is one already."""
    if isinstance(column, ArrowColumn):
        return column.array.cast(pa.large_string())
    return pa.array(list(column), pa.large_string())


def first_repeat(ids: pa.Array) -> int | None:
    """The first position whose id occurs earlier too, or None."""
    before = np.asarray(pc.index_in(ids, value_set=ids)) < np.arange(len(ids))
    return int(before.argmax()) if before.any() else None


NO_TEXT = "empty, null or NaN"
"""The reason for which texts are left out."""

MISSING = pa.array(["", "nan", "NaN", "<NA>"], pa.large_string())
"""What libraries of tables write for a text that is missing."""


def texts_of(column: Sequence[str] | pa.Array) -> tuple[ArrowColumn[str], int]:
    """The texts of nodes with "" for those that are missing, and the number of these."""
    texts = column if isinstance(column, pa.Array) else to_arrow(column)
    missing = pc.is_in(texts, value_set=MISSING)
    count = pc.sum(missing).as_py() or 0
    return ArrowColumn(pc.if_else(missing, "", texts) if count else texts), count


PROMPTS = "prompts"
"""The attribute of nodes that holds all prompts of those that have several, as a JSON list."""


def several_prompts(texts: Sequence[str]) -> tuple[Sequence[str], list[str] | None]:
    """The first text of each node, and all of those that have several; see `PROMPTS`.

    Args:
        texts: those of a node with several are written as a JSON list of strings.
    """
    listed = pc.starts_with(to_arrow(texts), "[").to_numpy(zero_copy_only=False).nonzero()[0].tolist()
    found = {row: prompts for row in listed if (prompts := prompts_in(texts[row]))}
    if not found:
        return texts, None
    first, every = list(texts), [""] * len(texts)
    for row, prompts in found.items():
        first[row], every[row] = prompts[0], texts[row] if len(prompts) > 1 else ""
    return first, every


def prompts_in(text: str) -> tuple[str, ...]:
    """The prompts that a JSON list of strings holds; none where ``text`` is something else."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # RecursionError: thousands of opening brackets
        return ()
    return tuple(one for one in found if one) if are_texts(found) else ()


def are_texts(value: object) -> TypeGuard[list[str]]:
    """True for a list of one or more strings, which a file may give in place of a text."""
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)


def from_arrow(column: pa.Array | pa.ChunkedArray) -> ArrowColumn:
    """A sequence over ``column``, without a copy if it lies in one piece."""
    if isinstance(column, pa.Array):
        return ArrowColumn(column)
    return ArrowColumn(column.chunk(0) if column.num_chunks == 1 else column.combine_chunks())
