"""Muon for matrices, beside AdamW for everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch


class MuonAndAdamW(torch.optim.Optimizer):
    """`torch.optim.Muon` for parameters with two dimensions, AdamW for all others.

    Updates of Muon are scaled to the size of AdamW's (``adjust_lr_fn="match_rms_adamw"``, arXiv 2502.16982),
    so that both have the same learning rates.

    Args:
        params: groups of parameters, as for any optimizer of torch. Of a group with ``muon: False`` AdamW
            takes the matrices too, as is usual for embeddings and outer layers.
        betas: of AdamW.
        eps: of AdamW.
        **muon: further arguments of `torch.optim.Muon`.
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        **muon: Any,
    ) -> None:
        matrices: list[dict[str, Any]] = []
        others: list[dict[str, Any]] = []
        for group in params:
            for chosen, flat in ((matrices, True), (others, False)):
                by_muon = group.get("muon", True)
                some = [one for one in group["params"] if (by_muon and one.ndim == 2) == flat]
                if some:
                    chosen.append(group | {"params": some})
        self._parts: list[torch.optim.Optimizer] = []
        if matrices:
            settings: dict[str, Any] = {"adjust_lr_fn": "match_rms_adamw", **muon}
            self._parts.append(torch.optim.Muon(matrices, **settings))
        if others:
            self._parts.append(torch.optim.AdamW(others, betas=betas, eps=eps))
        super().__init__([group for part in self._parts for group in part.param_groups], {})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of both."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        start = 0
        for part in self._parts:  # loading a state makes new groups and a new state
            count = len(part.param_groups)
            part.param_groups, part.state = self.param_groups[start : start + count], self.state
            start += count
            part.step()
        return loss
