"""Arrays from what files and libraries hold: tensors, arrays, lists of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int64, Shaped

from graphcond.errors import InputError


def as_array(values: Any, what: str, place: object) -> Shaped[np.ndarray, " *shape"]:
    """A tensor, an array or a list of numbers as an array.

    Raises:
        InputError: it is none of these, or its rows differ in length.
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
        raise InputError(
            f"{what} are no numbers but {type(values).__name__}", place=place, remedy="save a tensor"
        )
    return array


def as_rows(values: Any, what: str, place: object) -> Int64[np.ndarray, " n"]:
    """One row of whole numbers.

    Raises:
        InputError: there are several rows, or other numbers.
    """
    array = as_array(values, what, place)
    whole = array.dtype.kind in "iu" or not array.size
    if array.ndim != 1 or not whole:
        raise InputError(
            f"{what} are {array.dtype} of shape {array.shape}", place=place, remedy="use a row of integers"
        )
    return array.astype(np.int64)
