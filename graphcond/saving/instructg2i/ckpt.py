"""The weights in a ``ckpt.pt`` of the release."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from graphcond.errors import InputError
from graphcond.io.tensors import load_torch_file

AGAIN = "fetch the checkpoint again"


def read_ckpt(file: Path, *, prefix: str = "") -> dict[str, Tensor]:
    """The weights in ``file`` in float32, without the numbers of positions that older CLIPs save with them.

    Args:
        file: a file written by ``torch.save``.
        prefix: the prefix of all names; it is added to all of them if none has it.

    Raises:
        InputError: the file is damaged, or holds anything but finite weights.
    """
    found = load_torch_file(file)
    if not isinstance(found, Mapping):
        raise InputError(
            f"expected weights by their names, got a {type(found).__name__}", place=file, remedy=AGAIN
        )
    weights = {name: one for name, one in found.items() if not str(name).endswith("position_ids")}
    for name, one in weights.items():
        if not (isinstance(name, str) and _is_weight(one)):
            raise InputError(f"the entry {name!r} is not a weight", place=file, remedy=AGAIN)
        if not one.isfinite().all():
            raise InputError(f"'{name}' holds values that are not finite", place=file, remedy=AGAIN)
    named = any(name.startswith(prefix) for name in weights)
    return {name if named else prefix + name: one.float() for name, one in weights.items()}


def _is_weight(value: object) -> bool:
    """True if ``value`` is a dense tensor of numbers whose data are all in the file."""
    if not isinstance(value, Tensor) or value.layout != torch.strided or not value.is_floating_point():
        return False
    return not value.is_meta and value.nbytes <= value.untyped_storage().nbytes()
