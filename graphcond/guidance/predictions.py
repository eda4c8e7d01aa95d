"""The predictions of branches over the steps of a drawing, some of them without a call of the denoiser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from graphcond.guidance.branches import Branch, Call, Prediction, Shown


class BranchPredictions:
    """Predicts branches step by step, and keeps what later steps of the same drawing use again.

    The denoiser predicts the leading branch, the most conditioned one, in every step. What another branch
    differs from it is added to that prediction in place of a call where it is known:

    - with ``reuse`` n it is measured in every n-th step, and used again in the steps between, as FasterCache
      (arXiv 2410.19355) does for the text;
    - a branch whose difference falls below ``skip_below`` of the largest that it has had in that picture
      agrees with the leading one from then on, in the manner of Adaptive Guidance (arXiv 2312.12487).

    Args:
        reuse: steps from one measurement to the next.
        skip_below: 0..1; 0 skips nothing.
    """

    def __init__(self, reuse: int = 1, skip_below: float = 0.0) -> None:
        self.reuse, self.skip_below = reuse, skip_below
        self.made: Int64[np.ndarray, " b"] = np.zeros(0, np.int64)
        """Predictions that the denoiser has made of each picture; empty before the first step."""
        self._steps = 0
        self._leading: Shown | None = None
        self._differences: dict[Shown, Float[Tensor, "b channels height width"]] = {}
        self._largest: dict[Shown, Float[Tensor, " b"]] = {}
        self._differs: dict[Shown, Bool[Tensor, " b"]] = {}

    def __call__(self, branches: Sequence[Branch], call: Call) -> list[Prediction]:
        """The predictions of the next step.

        Args:
            branches: the branches of the step.
            call: calls the denoiser.
        """
        asked = self.needed(branches)
        return self.completed(branches, asked, call(asked))

    def needed(self, branches: Sequence[Branch]) -> list[Branch]:
        """The branches that the denoiser has to predict in the next step, for all pictures or for some."""
        if self._keeps_nothing:
            return list(branches)
        leading = _leading(branches)
        others = [one for one in branches if one.shown != leading.shown]
        if leading.shown == self._leading and all(one.shown in self._differences for one in others):
            if self._steps % self.reuse:
                return [leading]
            rows = {shown: differs for shown, differs in self._differs.items() if not differs.all()}
            limited = (
                replace(one, rows=tuple(rows[one.shown].nonzero()[:, 0].tolist()))
                if one.shown in rows
                else one
                for one in branches
            )
            return [one for one in limited if one.rows != ()]
        return list(branches)

    def completed(
        self,
        branches: Sequence[Branch],
        asked: Sequence[Branch],
        predictions: Sequence[Float[Tensor, "_ channels height width"]],
    ) -> list[Prediction]:
        """The predictions of the step, from those that the denoiser has made.

        Args:
            branches: the branches of the step.
            asked: those that were `needed`.
            predictions: one for each of these.
        """
        self._steps += 1
        found = dict(zip((one.shown for one in asked), predictions, strict=True))
        leading = _leading(branches)
        ahead = found[leading.shown]
        self._count(asked, len(ahead))
        if self._keeps_nothing:
            return list(predictions)
        if leading.shown != self._leading:
            self._leading, self._differences, self._largest, self._differs = leading.shown, {}, {}, {}
        precise = ahead.to(torch.promote_types(ahead.dtype, torch.float32))
        for one in asked:
            if one.rows is not None:
                some = torch.tensor(one.rows, device=ahead.device)
                found[one.shown] = ahead.index_copy(0, some, found[one.shown])
            if one.shown != leading.shown:
                self._measure(one.shown, found[one.shown].to(precise.dtype) - precise)
        return [
            found[one.shown]
            if one.shown in found
            else (precise + self._differences[one.shown]).to(ahead.dtype)
            for one in branches
        ]

    @property
    def _keeps_nothing(self) -> bool:
        return self.reuse == 1 and not self.skip_below

    def _measure(self, shown: Shown, difference: Float[Tensor, "b channels height width"]) -> None:
        if self.skip_below:
            norms = difference.flatten(1).norm(dim=1)
            self._largest[shown] = torch.maximum(self._largest.get(shown, norms), norms)
            self._differs[shown] = norms > self.skip_below * self._largest[shown]
            difference = difference * self._differs[shown].view(-1, 1, 1, 1)
        self._differences[shown] = difference

    def _count(self, asked: Sequence[Branch], pictures: int) -> None:
        if not self.made.size:
            self.made = np.zeros(pictures, np.int64)
        for one in asked:
            self.made[slice(None) if one.rows is None else list(one.rows)] += 1


def _leading(branches: Sequence[Branch]) -> Branch:
    """The last of the most conditioned branches."""
    return max(reversed(branches), key=lambda one: (one.text, len(one.graphs)))
