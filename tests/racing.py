"""Sums whose order is left to threads, and so their last bits."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_SUMS = ("index_put", "index_put_", "_unsafe_index_put", "_index_put_impl_")


class RacingSums(TorchDispatchMode):
    """Collects the shapes of sums over repeated indices that torch's threads do in any order on a CPU.

    They come from ``values[rows]`` in the backward pass, if a row occurs twice, and from ``index_put`` with
    ``accumulate``. ``index_select``, ``take_along_dim``, ``index_add`` and ``embedding`` are sums in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[int, ...]] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.overloadpacket.__name__ in _SUMS and (kwargs.get("accumulate") or args[3:4] == (True,)):
            places = [
                one.nonzero().T if one.dtype == torch.bool else one[None]
                for one in args[1]
                if one is not None
            ]
            rows = torch.stack(torch.broadcast_tensors(*(row for place in places for row in place))).flatten(
                1
            )
            if rows.shape[1] != rows.unique(dim=1).shape[1]:
                self.found.add(tuple(args[0].shape))
        return func(*args, **kwargs)
