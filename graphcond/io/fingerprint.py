"""Names for contents: what is computed once and kept is found again by what it was computed from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from graphcond.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn


def fingerprint(*parts: object) -> str:
    """A name of 32 hexadecimal digits that changes whenever one of ``parts`` does.

    Args:
        parts: arrays by dtype, shape and content; anything else by its ``repr``.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str} {part.shape} ".encode())
            digest.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
        else:
            digest.update(f"{part!r} ".encode())
    return digest.hexdigest()[:32]


def module_version(module: nn.Module, config: Mapping[str, object]) -> str:
    """The fingerprint of a network: its weights and its config."""
    weights = [
        part for name, tensor in sorted(module.state_dict().items()) for part in (name, _bytes(tensor))
    ]
    return fingerprint(sorted((key, repr(value)) for key, value in config.items()), *weights)


@lru_cache
def source_version(package: ModuleType) -> str:
    """The fingerprint of a package's Python files, so that what old code computed is not taken for new."""
    folder = Path(str(package.__file__)).parent
    return fingerprint(*(file.read_bytes() for file in sorted(folder.rglob("*.py"))))


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", place=path, remedy="check the path") from None


def _bytes(tensor: Tensor) -> np.ndarray:
    import torch

    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
