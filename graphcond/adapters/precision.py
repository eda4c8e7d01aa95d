"""In which number format trained modules compute beside a base of another one."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def computed_like(tensor: Tensor) -> AbstractContextManager[object]:
    """Run float32 modules in the number format of ``tensor``, where that is a half precision."""
    if tensor.dtype == torch.float32:
        return nullcontext()
    return torch.autocast(tensor.device.type, dtype=tensor.dtype)
