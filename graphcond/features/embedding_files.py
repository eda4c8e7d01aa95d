"""Precomputed embeddings: one array, one row for each node."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors.torch import load_file

from graphcond.errors import InputError, at, did_you_mean
from graphcond.graphs.reading.arrays import as_array, check_finite
from graphcond.io.readable import check_readable
from graphcond.io.tensors import load_torch_file

FORMATS = (".npy", ".safetensors", ".pt")
"""Endings of the files that `load_embeddings` reads."""


def load_embeddings(path: Path, rows: int) -> Float[np.ndarray, "rows d"]:
    """Read an embedding matrix: ``.npy`` (memory-mapped), ``.safetensors`` or ``.pt`` with one tensor.

    Nothing in the file is executed. All of it is read once, to see that it is finite.

    Args:
        path: the file; its ending names its format.
        rows: how many rows it must have, the nodes of the graph.

    Returns:
        Float16 or float32, as stored; bfloat16 becomes float32.

    Raises:
        InputError: the file is missing, damaged, of another format, or its array is not
            ``rows`` rows of finite floats.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise InputError(
            f"'{path.suffix}' is not a format of embeddings",
            place=path,
            remedy=did_you_mean(path.suffix, FORMATS),
        )
    check_readable(path)
    try:
        with at(path):
            if path.suffix == ".npy":
                embeddings = np.load(path, mmap_mode="r", allow_pickle=False)
            elif path.suffix == ".pt":
                embeddings = as_array(load_torch_file(path), "embeddings")
            else:
                tensors = load_file(path)
                if len(tensors) != 1:
                    raise ValueError(f"{len(tensors)} tensors instead of one")
                embeddings = as_array(next(iter(tensors.values())), "embeddings")
    except (InputError, MemoryError):
        raise
    except Exception as error:  # a damaged file raises anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(
            f"the file cannot be read as embeddings ({reason})",
            place=path,
            remedy="save one array of shape (nodes, width) as .npy",
        ) from error
    right = embeddings.ndim == 2 and embeddings.shape[1] > 0
    if not right or embeddings.dtype not in (np.float16, np.float32):
        raise InputError(
            f"the file holds {embeddings.dtype} of shape {embeddings.shape}",
            place=path,
            remedy="save float32 or float16 of shape (nodes, width)",
        )
    if len(embeddings) != rows:
        raise InputError(
            f"the file has {len(embeddings)} rows for {rows} nodes",
            place=path,
            remedy="write one row for each node, in the order of the nodes",
        )
    check_finite(embeddings, path)
    return embeddings
