"""Files that ``torch.save`` wrote, read without running anything that is in them."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np

from graphcond.errors import InputError

_NUMPY_DTYPES = ("Bool", "Int8", "Int16", "Int32", "Int64", "UInt8", "Float16", "Float32", "Float64")


def load_torch_file(path: Path, *, classes: Sequence[type] = (), in_memory: bool = True) -> Any:
    """What ``path`` holds: tensors, numpy arrays, numbers, strings, lists and dicts of these.

    Args:
        path: a file of `torch.save`.
        classes: further classes that may stand in it; their state is set, nothing is called.
        in_memory: read the tensors; otherwise they stay on the disk until they are looked at.

    Raises:
        InputError: the file is missing or damaged, or holds a pickled object, which could run code.
    """
    import torch

    if not path.is_file():
        raise InputError("no such file", place=path, remedy="check the path")
    mapped = not in_memory and is_zipfile(path)  # older files cannot be mapped
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals([*_numpy_classes(), *classes]):
            warnings.simplefilter("ignore")  # about pickles of other kinds, which are refused below
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except MemoryError:
        raise
    except (pickle.UnpicklingError, LookupError, EOFError):
        raise InputError(
            "is damaged, or holds more than tensors, lists and dicts and is not opened: it could run code",
            place=path,
            remedy="save tensors, lists and dicts",
        ) from None
    except Exception as error:  # a damaged file raises anything
        reason = str(error).strip().partition(". ")[0] or type(error).__name__
        raise InputError(
            f"cannot be read: {reason}", place=path, remedy="fetch or write the file again"
        ) from None


def _numpy_classes() -> list[Any]:
    """What a pickled numpy array of numbers is made of; numpy before 2 called the module otherwise."""
    multiarray: Any = np._core.multiarray  # type: ignore[attr-defined]
    makers = [
        (multiarray._reconstruct, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")
    ]
    scalars = [(multiarray.scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    dtypes = [getattr(np.dtypes, f"{name}DType") for name in _NUMPY_DTYPES]
    return [*makers, *scalars, np.ndarray, np.dtype, *dtypes]
