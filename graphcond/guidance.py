"""Classifier-free guidance over a text and any number of graphs (InstructG2I, arXiv 2410.07157).

    eps = eps(0, 0) + s_T (eps(T, 0) - eps(0, 0)) + sum_k s_k (eps(T, G_k) - eps(T, 0))

is a weighted sum of k + 2 predictions, where the G_k are graphs of one condition. Graphs of different
conditions are shown together, as in training: eps(T, G_1 .. G_n). Branches whose weight is zero are never
computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal, TypeAlias, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from graphcond.adapters import Injector
from graphcond.bases import Base
from graphcond.condition import Condition
from graphcond.config import as_number
from graphcond.context import NeighborFeatures
from graphcond.denoiser_inputs import DenoiserInputs, Grounding, GroundingSlot, References
from graphcond.errors import InputError, did_you_mean
from graphcond.signals import Signal, TextTokens

GuidanceMode: TypeAlias = Literal["separate", "joint"]

Prediction = Float[Tensor, "b channels height width"]


@dataclass(frozen=True)
class Branch:
    """One denoiser call: with or without the text, with no graph, one, or one of each of several conditions.

    ``graph`` is the number of the graph, None for no graph; ``weight`` its share in the sum; ``beside`` are
    the numbers of other conditions' graphs, which are shown together with it.
    """

    text: bool
    graph: int | None
    weight: float
    beside: tuple[int, ...] = ()

    @property
    def graphs(self) -> tuple[int, ...]:
        """The numbers of all graphs that are shown."""
        return () if self.graph is None else (self.graph, *self.beside)


Call: TypeAlias = Callable[[Sequence[Branch]], Sequence[Prediction]]
"""Calls of the denoiser: a prediction for each branch."""


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

    def __post_init__(self) -> None:
        for name in ("text", "rescale", "start", "end", "text_start", "text_end"):
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
        if not 0 <= self.rescale <= 1:
            raise InputError(f"rescale {self.rescale} is outside 0..1", place="guidance")
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

    def predict(self, fraction: float, call: Call) -> Prediction:
        """Run the branches through ``call`` and combine them."""
        guidance = self.at(fraction)
        branches = guidance.branches()
        return guidance.combine(branches, guidance.run(branches, call))

    def run(self, branches: Sequence[Branch], call: Call) -> Sequence[Prediction]:
        """The predictions of branches, all at once or one by one."""
        return call(branches) if self.batched else [call([branch])[0] for branch in branches]


def rescaled(guided: Prediction, conditional: Prediction, share: float) -> Prediction:
    """``guided`` with ``share`` of its spread replaced by that of ``conditional``, picture by picture."""
    axes = tuple(range(1, guided.ndim))
    spread = guided.std(axes, keepdim=True)
    # A constant prediction has no spread to replace.
    factor = torch.where(spread > 0, conditional.std(axes, keepdim=True) / spread, 1.0)
    matched = guided * factor
    return share * matched + (1 - share) * guided


@dataclass(frozen=True)
class GuidedGraph:
    """One graph, ready for the denoiser.

    ``unconditional`` is the signal that accompanies the negative prompt in joint guidance.
    """

    condition: Condition
    signal: Signal
    unconditional: Signal | None = None


class BranchCaller:
    """Runs guidance branches through the denoiser.

    Args:
        base: the frozen base.
        conditions: all conditions of the model; those that a branch does not use show their null.
        text: the prompts.
        empty: the negative prompts.
        graphs: in the order of the guidance's scales.
        adapters: of the model; they act in every branch.
    """

    def __init__(
        self,
        base: Base,
        conditions: Mapping[str, Condition],
        text: TextTokens,
        empty: TextTokens,
        graphs: Sequence[GuidedGraph],
        *,
        adapters: Iterable[Injector[Any]] = (),
    ) -> None:
        self.base, self.conditions, self.adapters = base, conditions, tuple(adapters)
        self.text, self.empty, self.graphs = text, empty, graphs

    def __call__(
        self, sample: Float[Tensor, "b channels height width"], timestep: Tensor, branches: Sequence[Branch]
    ) -> list[Prediction]:
        """One prediction per branch, all from one denoiser call; from a second one for those with references.

        The others would have to carry them hidden, at nearly the same cost.
        """
        inputs = [self.inputs(sample, timestep, branch) for branch in branches]
        found: dict[int, Prediction] = {}
        for looking in (False, True):
            here = [n for n, one in enumerate(inputs) if (one.references is not None) is looking]
            if here:
                predicted = self.base.denoise(stacked([inputs[n] for n in here]))
                found |= zip(here, predicted.chunk(len(here)), strict=True)
        return [found[number] for number in range(len(inputs))]

    def inputs(
        self, sample: Float[Tensor, "b channels height width"], timestep: Tensor, branch: Branch
    ) -> DenoiserInputs:
        """The denoiser's inputs in one branch."""
        text = self.text if branch.text else self.empty
        inputs = self.base.inputs(sample, timestep.expand(sample.shape[0]), text)
        for adapter in self.adapters:
            inputs = adapter.apply(inputs, None)
        shown = [self.graphs[number] for number in branch.graphs]
        for condition in self.conditions.values():
            graph = next((one for one in shown if one.condition is condition), None)
            if graph is None:
                signal: Signal | None = condition.null_signal(text)
            else:
                signal = graph.signal if branch.text else graph.unconditional
            inputs = condition.apply(inputs, signal)
        return inputs


def stacked(inputs: Sequence[DenoiserInputs]) -> DenoiserInputs:
    """Several calls as one.

    Contexts and groundings of unequal length are padded with hidden tokens. A branch that has no
    grounding for a slot, or no residual for a site, gets one that adds nothing.

    Raises:
        ValueError: the branches have prompts of unequal length.
    """
    if len(inputs) == 1:
        return inputs[0]
    lengths, sentences = {one.length for one in inputs}, max(one.sentences for one in inputs)
    if len(lengths) > 1:
        raise ValueError(f"branches have prompts of unequal length: {sorted(lengths)} tokens")
    inputs = [one.with_sentences(sentences) for one in inputs]
    longest = max(one.context.shape[1] for one in inputs)
    places = any(one.context_weight is not None and one.context_weight.ndim > 2 for one in inputs)
    weights = [one.weights(places=places) for one in inputs]
    plain = all(one.context_weight is None and one.context.shape[1] == longest for one in inputs)
    slots = dict.fromkeys(slot for one in inputs for slot in one.grounding)
    residuals = {name: residual for one in inputs for name, residual in one.residuals.items()}
    return DenoiserInputs(
        sample=torch.cat([one.sample for one in inputs]),
        timestep=torch.cat([one.timestep for one in inputs]),
        context=torch.cat([_padded(one.context, longest) for one in inputs]),
        context_weight=None if plain else torch.cat([_padded(weight, longest) for weight in weights]),
        prompt_length=lengths.pop(),
        sentences=sentences,
        grounding={slot: _stacked_grounding(slot, inputs) for slot in slots},
        residuals={
            name: torch.cat([one.residuals.get(name, _zeros(like, one)) for one in inputs])
            for name, like in residuals.items()
        },
        extras={name: torch.cat([one.extras[name] for one in inputs]) for name in inputs[0].extras},
        references=_stacked_references(inputs),
    )


def release_null(features: NeighborFeatures) -> NeighborFeatures:
    """All-zero embeddings where neighbors are, and no pictures: the unconditional graph of joint guidance."""
    return NeighborFeatures(torch.zeros_like(features.embeddings), features.present, mask=features.mask)


def _stacked_references(inputs: Sequence[DenoiserInputs]) -> References | None:
    given = [one.references for one in inputs]
    if not any(given):
        return None
    like = max((one for one in given if one is not None), key=lambda one: one.weight.shape[1])
    parts = [
        References(_zeros(like.latents, call), _zeros(like.weight, call)) if part is None else part
        for part, call in zip(given, inputs, strict=True)
    ]
    most = like.weight.shape[1]
    return References(
        torch.cat([_padded(part.latents, most) for part in parts]),
        torch.cat([_padded(part.weight, most) for part in parts]),
    )


def _stacked_grounding(slot: GroundingSlot, inputs: Sequence[DenoiserInputs]) -> Grounding:
    given = [one.grounding.get(slot) for one in inputs]
    like = max((one for one in given if one is not None), key=lambda one: one.tokens.shape[1])
    parts = [
        Grounding(
            _zeros(like.tokens, call),
            _zeros(like.present, call),
            _zeros(like.strength, call),
            {stride: _zeros(shares, call) for stride, shares in like.coverage.items()},
        )
        if part is None
        else part
        for part, call in zip(given, inputs, strict=True)
    ]
    longest = like.tokens.shape[1]
    masked = {stride: shares for part in parts for stride, shares in part.places.items()}
    return Grounding(
        tokens=torch.cat([_padded(part.tokens, longest) for part in parts]),
        present=torch.cat([_padded(part.present, longest) for part in parts]),
        strength=torch.cat([part.strength for part in parts]),
        coverage={
            stride: torch.cat([_padded(part.coverage[stride], longest, axis=2) for part in parts])
            for stride in like.coverage
        },
        places={
            stride: torch.cat(
                [
                    part.places.get(stride, torch.ones_like(_zeros(shares, call)))
                    for part, call in zip(parts, inputs, strict=True)
                ]
            )
            for stride, shares in masked.items()
        },
    )


def _zeros(like: Tensor, inputs: DenoiserInputs) -> Tensor:
    """Zeros as wide as ``like``, with a row for each sample of ``inputs``."""
    return like.new_zeros(inputs.sample.shape[0], *like.shape[1:])


def _padded(tensor: Tensor, length: int, axis: int = 1) -> Tensor:
    shape = list(tensor.shape)
    shape[axis] = length - shape[axis]
    return torch.cat([tensor, tensor.new_zeros(shape)], dim=axis)
