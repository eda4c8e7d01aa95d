"""Classifier-free guidance over a text and any number of graphs (InstructG2I, arXiv 2410.07157).

    eps = eps(0, 0) + s_T (eps(T, 0) - eps(0, 0)) + sum_k s_k (eps(T, G_k) - eps(T, 0))

is a weighted sum of k + 2 predictions. Branches whose weight is zero are never computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from graphcond.bases import Base
from graphcond.condition import Condition
from graphcond.context import NeighborFeatures
from graphcond.denoiser_inputs import DenoiserInputs, Grounding, GroundingSlot
from graphcond.errors import InputError
from graphcond.signals import Signal, TextTokens

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
    """Scales of the text and of each graph, and how they are combined.

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
                f"start {self.start} and end {self.end} are not an interval",
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
    """

    def __init__(
        self,
        base: Base,
        conditions: Mapping[str, Condition],
        text: TextTokens,
        empty: TextTokens,
        graphs: Sequence[GuidedGraph],
    ) -> None:
        self.base, self.conditions = base, conditions
        self.text, self.empty, self.graphs = text, empty, graphs

    def __call__(
        self, sample: Float[Tensor, "b channels height width"], timestep: Tensor, branches: Sequence[Branch]
    ) -> list[Prediction]:
        """One prediction per branch, all from one denoiser call."""
        inputs = [self.inputs(sample, timestep, branch) for branch in branches]
        return list(self.base.denoise(stacked(inputs)).chunk(len(branches)))

    def inputs(
        self, sample: Float[Tensor, "b channels height width"], timestep: Tensor, branch: Branch
    ) -> DenoiserInputs:
        """The denoiser's inputs in one branch."""
        text = self.text if branch.text else self.empty
        inputs = self.base.inputs(sample, timestep.expand(sample.shape[0]), text)
        for condition in self.conditions.values():
            graph = None if branch.graph is None else self.graphs[branch.graph]
            signal: Signal | None
            if graph is not None and graph.condition is condition:
                signal = graph.signal if branch.text else graph.unconditional
            else:
                like = next((one.signal for one in self.graphs if one.condition is condition), None)
                signal = condition.null_signal(text, like=like)
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
    lengths = {one.context.shape[1] if one.prompt_length is None else one.prompt_length for one in inputs}
    if len(lengths) > 1:
        raise ValueError(f"branches have prompts of unequal length: {sorted(lengths)} tokens")
    longest = max(one.context.shape[1] for one in inputs)
    weights = [
        torch.ones(one.context.shape[:2], device=one.context.device)
        if one.context_weight is None
        else one.context_weight
        for one in inputs
    ]
    plain = all(one.context_weight is None and one.context.shape[1] == longest for one in inputs)
    slots = dict.fromkeys(slot for one in inputs for slot in one.grounding)
    residuals = {name: residual for one in inputs for name, residual in one.residuals.items()}
    return DenoiserInputs(
        sample=torch.cat([one.sample for one in inputs]),
        timestep=torch.cat([one.timestep for one in inputs]),
        context=torch.cat([_padded(one.context, longest) for one in inputs]),
        context_weight=None if plain else torch.cat([_padded(weight, longest) for weight in weights]),
        prompt_length=lengths.pop(),
        grounding={slot: _stacked_grounding(slot, inputs) for slot in slots},
        residuals={
            name: torch.cat([one.residuals.get(name, _zeros(like, one)) for one in inputs])
            for name, like in residuals.items()
        },
        extras={name: torch.cat([one.extras[name] for one in inputs]) for name in inputs[0].extras},
    )


def release_null(features: NeighborFeatures) -> NeighborFeatures:
    """All-zero embeddings where neighbors are: the unconditional graph of joint guidance."""
    return NeighborFeatures(torch.zeros_like(features.embeddings), features.present)


def _stacked_grounding(slot: GroundingSlot, inputs: Sequence[DenoiserInputs]) -> Grounding:
    given = [one.grounding.get(slot) for one in inputs]
    like = max((one for one in given if one is not None), key=lambda one: one.tokens.shape[1])
    parts = [
        Grounding(_zeros(like.tokens, call), _zeros(like.present, call), _zeros(like.strength, call))
        if part is None
        else part
        for part, call in zip(given, inputs, strict=True)
    ]
    longest = like.tokens.shape[1]
    return Grounding(
        tokens=torch.cat([_padded(part.tokens, longest) for part in parts]),
        present=torch.cat([_padded(part.present, longest) for part in parts]),
        strength=torch.cat([part.strength for part in parts]),
    )


def _zeros(like: Tensor, inputs: DenoiserInputs) -> Tensor:
    """Zeros as wide as ``like``, with a row for each sample of ``inputs``."""
    return like.new_zeros(inputs.sample.shape[0], *like.shape[1:])


def _padded(tensor: Tensor, length: int) -> Tensor:
    missing = length - tensor.shape[1]
    return torch.cat([tensor, tensor.new_zeros(tensor.shape[0], missing, *tensor.shape[2:])], dim=1)
