"""Classifier-free guidance over a text and any number of graphs (InstructG2I, arXiv 2410.07157).

    eps = eps(0, 0) + s_T (eps(T, 0) - eps(0, 0)) + sum_k s_k (eps(T, G_k) - eps(T, 0))

is a weighted sum of k + 2 predictions. Branches whose weight is zero are never computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from graphcond.errors import InputError

Prediction = Float[Tensor, "b channels height width"]


@dataclass(frozen=True)
class Branch:
    """One denoiser call: with or without the text, with one graph or none.

    ``graph`` is the number of the graph, None for no graph; ``weight`` its share in the sum.
    """

    text: bool
    graph: int | None
    weight: float


@dataclass(frozen=True)
class GraphGuidance:
    """How strongly the text and each graph steer.

    Args:
        text: s_T.
        graphs: s_G of each graph, in order.
        mode: ``separate`` is the formula above. ``joint`` has one scale, s_T, for text and graph
            together: eps(0, G_0) + s_T (eps(T, G) - eps(0, G_0)), where G_0 is the graph's null as its
            encoder gives it for the negative prompt. The scales of graphs are not used.
        rescale: 0..1, how far the spread of the sum is pulled to that of the conditional prediction
            (arXiv 2305.08891, section 3.4).
        start: graphs steer from this fraction of the steps ...
        end: ... up to this one.
        batched: all branches in one denoiser call; otherwise one after another, which saves memory.
    """

    text: float = 7.5
    graphs: tuple[float, ...] = ()
    mode: Literal["separate", "joint"] = "separate"
    rescale: float = 0.0
    start: float = 0.0
    end: float = 1.0
    batched: bool = True

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.text, *self.graphs))):
            raise InputError(
                f"the scales {self.text}, {', '.join(map(str, self.graphs))} are not all finite numbers",
                place="guidance",
                remedy="use numbers such as 0, 1.5 or 7.5",
            )
        if not 0 <= self.start < self.end <= 1:
            raise InputError(
                f"start {self.start} and end {self.end} are no interval",
                place="guidance",
                remedy="use 0 <= start < end <= 1",
            )
        if not 0 <= self.rescale <= 1:
            raise InputError(f"rescale {self.rescale} is outside 0..1", place="guidance")
        if self.mode == "joint" and len(self.graphs) != 1:
            raise InputError(
                f"joint guidance takes one graph, not {len(self.graphs)}",
                place="guidance",
                remedy="use mode 'separate' for several graphs or none",
            )

    def at(self, fraction: float) -> GraphGuidance:
        """The guidance at a fraction 0..1 of the steps: outside start..end graphs do not steer."""
        if self.start <= fraction < self.end or (fraction == 1 and self.end == 1):
            return self
        return replace(self, graphs=tuple(0.0 for _ in self.graphs), mode="separate")

    def branches(self) -> tuple[Branch, ...]:
        """The denoiser calls that the sum needs, the most conditioned last."""
        if self.mode == "joint":
            pair = (
                Branch(text=False, graph=0, weight=1 - self.text),
                Branch(text=True, graph=0, weight=self.text),
            )
            return tuple(branch for branch in pair if branch.weight)
        graphs = [Branch(text=True, graph=k, weight=scale) for k, scale in enumerate(self.graphs)]
        all_branches = (
            Branch(text=False, graph=None, weight=1 - self.text),
            Branch(text=True, graph=None, weight=self.text - sum(self.graphs)),
            *graphs,
        )
        needed = tuple(branch for branch in all_branches if branch.weight)
        return needed or (Branch(text=True, graph=None, weight=1.0),)

    def combine(self, branches: Sequence[Branch], predictions: Sequence[Prediction]) -> Prediction:
        """The guided prediction."""
        guided = sum(
            (branch.weight * prediction for branch, prediction in zip(branches, predictions, strict=True)),
            start=torch.zeros_like(predictions[0]),
        )
        return rescaled(guided, predictions[-1], self.rescale) if self.rescale else guided

    def predict(
        self, fraction: float, call: Callable[[Sequence[Branch]], Sequence[Prediction]]
    ) -> Prediction:
        """Run the branches through ``call``, all at once or one by one, and combine them."""
        guidance = self.at(fraction)
        branches = guidance.branches()
        if self.batched:
            return guidance.combine(branches, call(branches))
        return guidance.combine(branches, [call([branch])[0] for branch in branches])


def rescaled(guided: Prediction, conditional: Prediction, share: float) -> Prediction:
    """``guided`` with ``share`` of its spread replaced by that of ``conditional``, picture by picture."""
    axes = tuple(range(1, guided.ndim))
    matched = guided * (conditional.std(axes, keepdim=True) / guided.std(axes, keepdim=True))
    return share * matched + (1 - share) * guided
