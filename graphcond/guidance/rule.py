"""Classifier-free guidance over a text and any number of graphs (InstructG2I, arXiv 2410.07157).

    eps = eps(0, 0) + s_T (eps(T, 0) - eps(0, 0)) + sum_k s_k (eps(T, G_k) - eps(T, 0))

is a weighted sum of k + 2 predictions, where the G_k are graphs of one condition. Graphs of different
conditions are shown together, as in training: eps(T, G_1 .. G_n). Branches whose weight is zero are never
computed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from numbers import Integral
from typing import Literal, TypeAlias, get_args

import torch

from graphcond.config import as_number
from graphcond.errors import InputError, did_you_mean
from graphcond.guidance.branches import Branch, Call, Prediction
from graphcond.guidance.predictions import BranchPredictions

GuidanceMode: TypeAlias = Literal["separate", "joint"]


@dataclass(frozen=True)
class GraphGuidance:
    """Scales of the text and of each graph, and how they are combined.

    Args:
        text: s_T.
        graphs: s_G of each graph, in order.
        conditions: the condition of each graph; all are of one unless given. See `weights` for several.
        mode: ``separate`` is the formula above. ``joint`` has one scale, s_T, for text and graphs
            together: eps(0, G_0) + s_T (eps(T, G) - eps(0, G_0)), where G_0 is the graph's null as its
            encoder gives it for the negative prompt. It takes one graph of each condition, and the scales
            of graphs are not used.
        rescale: 0..1, how far the spread of the sum is pulled to that of the conditional prediction
            (arXiv 2305.08891, section 3.4).
        start: graphs steer from this fraction of the steps ...
        end: ... up to this one.
        text_start: s_T acts from this fraction of the steps (arXiv 2404.07724); elsewhere it is 1, which
            needs one prediction less ...
        text_end: ... up to this one.
        batched: all branches in one denoiser call; otherwise one after another, which saves memory.
        reuse: steps from one measurement of the differences of predictions to the next; see
            `BranchPredictions`.
        skip_below: 0..1; a branch is left out once its difference is below this share of its largest one.
    """

    text: float = 7.5
    graphs: tuple[float, ...] = ()
    conditions: tuple[str, ...] = ()
    mode: GuidanceMode = "separate"
    rescale: float = 0.0
    start: float = 0.0
    end: float = 1.0
    text_start: float = 0.0
    text_end: float = 1.0
    batched: bool = True
    reuse: int = 1
    skip_below: float = 0.0

    def __post_init__(self) -> None:
        for name in ("text", "rescale", "start", "end", "text_start", "text_end", "skip_below"):
            object.__setattr__(self, name, as_number(getattr(self, name), f"guidance.{name}"))
        object.__setattr__(
            self, "graphs", tuple(as_number(scale, "guidance.graphs") for scale in self.graphs)
        )
        object.__setattr__(self, "conditions", tuple(self.conditions) or ("",) * len(self.graphs))
        if not all(map(math.isfinite, (self.text, *self.graphs))):
            raise InputError(
                f"the scales {self.text}, {', '.join(map(str, self.graphs))} are not all finite numbers",
                place="guidance",
                remedy="use numbers such as 0, 1.5 or 7.5",
            )
        for of, start, end in (("", self.start, self.end), ("text_", self.text_start, self.text_end)):
            if not 0 <= start < end <= 1:
                raise InputError(
                    f"{of}start {start} and {of}end {end} are not an interval",
                    place="guidance",
                    remedy=f"use 0 <= {of}start < {of}end <= 1",
                )
        for name, share in (("rescale", self.rescale), ("skip_below", self.skip_below)):
            if not 0 <= share <= 1:
                raise InputError(f"{name} {share} is outside 0..1", place="guidance")
        if isinstance(self.reuse, bool) or not isinstance(self.reuse, Integral) or self.reuse < 1:
            raise InputError(
                f"expected a whole number of steps, 1 or more, got {self.reuse!r}",
                place="guidance.reuse",
                remedy="use 1 to measure differences in every step, 2 in every second one",
            )
        if self.mode not in get_args(GuidanceMode):
            raise InputError(
                f"there is no mode '{self.mode}'",
                place="guidance",
                remedy=did_you_mean(str(self.mode), get_args(GuidanceMode)),
            )
        if len(self.conditions) != len(self.graphs):
            raise InputError(
                f"expected {len(self.graphs)} conditions, one for each graph, got {len(self.conditions)}",
                place="guidance.conditions",
                remedy="name the condition of each graph",
            )
        count, conditions = len(self.graphs), len(set(self.conditions))
        if self.mode == "joint" and not 0 < count == conditions:
            several = conditions > 1
            raise InputError(
                f"joint guidance takes one graph{' of each condition' if several else ''}, not {count}"
                f"{f' of {conditions} conditions' if several else ''}",
                place="guidance",
                remedy="use mode 'separate' for several graphs or none",
            )

    def at(self, fraction: float) -> GraphGuidance:
        """The guidance at a fraction 0..1 of the steps.

        Outside of start..end graphs do not steer, and outside of text_start..text_end s_T is 1.
        """

        def within(start: float, end: float) -> bool:
            return start <= fraction < end or (fraction == 1 and end == 1)

        guidance = self if within(self.text_start, self.text_end) else replace(self, text=1.0)
        if within(self.start, self.end):
            return guidance
        return replace(guidance, graphs=tuple(0.0 for _ in self.graphs), mode="separate")

    def branches(self) -> tuple[Branch, ...]:
        """The denoiser calls that the sum needs, the most conditioned last."""
        if self.mode == "joint":
            first, *others = range(len(self.graphs))
            pair = (
                Branch(False, first, 1 - self.text, tuple(others)),
                Branch(True, first, self.text, tuple(others)),
            )
            return tuple(branch for branch in pair if branch.weight)
        graphs = self.graph_branches()
        all_branches = (
            Branch(text=False, graph=None, weight=1 - self.text),
            Branch(text=True, graph=None, weight=self.text - sum(branch.weight for branch in graphs)),
            *graphs,
        )
        needed = tuple(branch for branch in all_branches if branch.weight)
        return needed or (Branch(text=True, graph=None, weight=1.0),)

    def graph_branches(self) -> tuple[Branch, ...]:
        """Those with graphs in the mode ``separate``, the most conditioned last."""
        return tuple(
            Branch(True, first, weight, tuple(others)) for (first, *others), weight in self.weights().items()
        )

    def weights(self) -> dict[tuple[int, ...], float]:
        """The weight of each prediction with graphs, by the numbers of the graphs that it shows; most last.

        Graphs of one condition are shown one at a time, each with its scale. One graph of each of several
        conditions is shown in one prediction as far as their scales agree: with s_1 >= s_2 >= 0

            s_2 (eps(T, G_1, G_2) - eps(T, 0)) + (s_1 - s_2) (eps(T, G_1) - eps(T, 0)),

        so that equal scales need one prediction with all graphs, and a graph of scale 0 is never shown.
        Negative scales likewise, apart from the positive ones. Where a condition with several graphs meets
        others, every combination has its share of the scales, in proportion to those of the several graphs.
        """
        members: dict[str, list[int]] = {}
        for number, (condition, scale) in enumerate(zip(self.conditions, self.graphs, strict=True)):
            if scale:
                members.setdefault(condition, []).append(number)
        share = {
            number: abs(self.graphs[number]) / sum(abs(self.graphs[other]) for other in numbers)
            for numbers in members.values()
            for number in numbers
        }
        weights: dict[tuple[int, ...], float] = {}
        for shown in product(*members.values()):
            scale_of = {
                number: self.graphs[number] * math.prod(share[other] for other in shown if other != number)
                for number in shown
            }
            for sign in (1, -1):
                largest_first = sorted(
                    (n for n in shown if sign * scale_of[n] > 0), key=lambda n: -abs(scale_of[n])
                )
                for count, number in enumerate(largest_first, start=1):
                    next_scale = scale_of[largest_first[count]] if count < len(largest_first) else 0.0
                    together = tuple(sorted(largest_first[:count]))
                    weights[together] = weights.get(together, 0.0) + scale_of[number] - next_scale
        return {shown: weights[shown] for shown in sorted(weights, key=len) if weights[shown]}

    def combine(self, branches: Sequence[Branch], predictions: Sequence[Prediction]) -> Prediction:
        """The guided prediction; summed in float32 at least: half precision doubles the error."""
        precise = torch.promote_types(predictions[0].dtype, torch.float32)
        guided = sum(
            (branch.weight * one.to(precise) for branch, one in zip(branches, predictions, strict=True)),
            start=torch.zeros_like(predictions[0], dtype=precise),
        )
        if self.rescale:
            guided = rescaled(guided, predictions[-1].to(precise), self.rescale)
        return guided.to(predictions[0].dtype)

    def predict(
        self, fraction: float, call: Call, predictions: BranchPredictions | None = None
    ) -> Prediction:
        """Run the branches through ``call`` and combine them.

        Args:
            fraction: of the steps that are made before this one.
            call: calls the denoiser.
            predictions: those of this drawing, from `over_steps`, which ``reuse`` and ``skip_below`` need.
        """
        guidance = self.at(fraction)
        branches = guidance.branches()
        return guidance.combine(branches, guidance.run(branches, call, predictions))

    def over_steps(self) -> BranchPredictions:
        """The predictions of a new drawing, for the steps of which `predict` takes them."""
        return BranchPredictions(self.reuse, self.skip_below)

    def run(
        self, branches: Sequence[Branch], call: Call, predictions: BranchPredictions | None = None
    ) -> Sequence[Prediction]:
        """The predictions of branches, all at once or one by one; see `predict`."""

        def called(some: Sequence[Branch]) -> Sequence[Prediction]:
            return call(some) if self.batched else [call([branch])[0] for branch in some]

        return called(branches) if predictions is None else predictions(branches, called)


def rescaled(guided: Prediction, conditional: Prediction, share: float) -> Prediction:
    """``guided`` with ``share`` of its spread replaced by that of ``conditional``, picture by picture."""
    axes = tuple(range(1, guided.ndim))
    spread = guided.std(axes, keepdim=True)
    # A constant prediction has no spread to replace.
    factor = torch.where(spread > 0, conditional.std(axes, keepdim=True) / spread, 1.0)
    matched = guided * factor
    return share * matched + (1 - share) * guided
