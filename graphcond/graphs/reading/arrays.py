"""Arrays from the tensors, arrays and lists of numbers in files and libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int64, Shaped

from graphcond.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")


def pictures_by_stem(folder: Path, pattern: str) -> dict[str, str]:
    """Pictures in the subfolders that match ``pattern``: path in ``folder``, by file name without ending."""
    return {
        file.stem: file.relative_to(folder).as_posix()
        for place in sorted(folder.glob(pattern))
        if place.is_dir()
        for file in sorted(place.iterdir())
        if file.suffix.lower() in SUFFIXES
    }


ROWS_AT_ONCE = 4096
"""Rows that are checked together, so that a memory map need not fit into memory."""


def as_array(values: Any, what: str) -> Shaped[np.ndarray, " *shape"]:
    """A tensor, an array or a list of numbers as an array.

    Raises:
        InputError: ``values`` are none of these, or their rows differ in length.
    """
    import torch

    if isinstance(values, torch.Tensor):
        dense = values.to_dense() if values.layout != torch.strided else values
        return (dense.float() if dense.dtype == torch.bfloat16 else dense).detach().cpu().numpy()
    try:
        array = np.asarray(values)
    except ValueError:
        array = np.array(None)
    if array.dtype.kind not in "biuf":
        raise InputError(f"expected numbers in {what}, got {type(values).__name__}", remedy="save a tensor")
    return array


def as_rows(values: Any, what: str) -> Int64[np.ndarray, " n"]:
    """One row of whole numbers.

    Raises:
        InputError: there are several rows, or other numbers.
    """
    array = as_array(values, what)
    whole = array.dtype.kind in "iu" or not array.size
    if array.ndim != 1 or not whole:
        raise InputError(
            f"expected a row of integers in {what}, got {array.dtype} of shape {array.shape}",
            remedy="use a row of integers",
        )
    return array.astype(np.int64)


def check_finite(rows: Float[np.ndarray, "rows d"], place: object) -> None:
    """Check that embeddings hold neither NaN nor infinity; every row is read once.

    Raises:
        InputError: a row does; the first one is named.
    """
    for start in range(0, len(rows), ROWS_AT_ONCE):
        finite = np.isfinite(rows[start : start + ROWS_AT_ONCE]).all(axis=1)
        if not finite.all():
            raise InputError(
                f"row {start + int(finite.argmin())}, counted from 0, holds NaN or infinity",
                place=place,
                remedy="compute that embedding again, or write zeros",
            )
