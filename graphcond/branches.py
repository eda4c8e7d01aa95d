"""The denoiser calls of guidance: which inputs a branch has, and all branches in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from graphcond.condition import Condition
from graphcond.guidance import Branch, Prediction
from graphcond.models import StableDiffusionBase
from graphcond.types import (
    DenoiserInputs,
    Grounding,
    GroundingSlot,
    NeighborFeatures,
    Residuals,
    Signal,
    TextTokens,
)


@dataclass(frozen=True)
class Steering:
    """One graph, ready for the denoiser.

    ``unconditional`` is what stands beside the negative prompt in joint guidance.
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
        steering: the graphs, in the order of the guidance's scales.
    """

    def __init__(
        self,
        base: StableDiffusionBase,
        conditions: Mapping[str, Condition],
        text: TextTokens,
        empty: TextTokens,
        steering: Sequence[Steering],
    ) -> None:
        self.base, self.conditions = base, conditions
        self.text, self.empty, self.steering = text, empty, steering

    def __call__(
        self, sample: Float[Tensor, "b channels height width"], timestep: Tensor, branches: Sequence[Branch]
    ) -> list[Prediction]:
        """One prediction per branch, all from one denoiser call."""
        inputs = [self.inputs(sample, timestep, branch) for branch in branches]
        return list(self.base.denoise(stacked(inputs)).chunk(len(branches)))

    def inputs(
        self, sample: Float[Tensor, "b channels height width"], timestep: Tensor, branch: Branch
    ) -> DenoiserInputs:
        """What the denoiser reads in one branch."""
        text = self.text if branch.text else self.empty
        inputs = DenoiserInputs(sample, timestep.expand(sample.shape[0]), text.hidden)
        for condition in self.conditions.values():
            inputs = condition.apply(inputs, self._signal(condition, text, branch))
        return inputs

    def _signal(self, condition: Condition, text: TextTokens, branch: Branch) -> Signal | None:
        if branch.graph is not None:
            graph = self.steering[branch.graph]
            if graph.condition is condition:
                return graph.signal if branch.text else graph.unconditional
        like = next((graph.signal for graph in self.steering if graph.condition is condition), None)
        return condition.null_signal(text, like=like)


def stacked(inputs: Sequence[DenoiserInputs]) -> DenoiserInputs:
    """Several calls as one.

    Contexts and groundings of unequal length are padded with hidden tokens. A branch that has no
    grounding for a slot, or no residuals, gets such that add nothing.

    Raises:
        ValueError: the branches have prompts of unequal length.
    """
    if len(inputs) == 1:
        return inputs[0]
    longest = max(one.context.shape[1] for one in inputs)
    plain = all(one.context_weight is None and one.context.shape[1] == longest for one in inputs)
    return DenoiserInputs(
        sample=torch.cat([one.sample for one in inputs]),
        timestep=torch.cat([one.timestep for one in inputs]),
        context=torch.cat([_padded(one.context, longest) for one in inputs]),
        context_weight=None if plain else torch.cat([_padded(_weight(one), longest) for one in inputs]),
        prompt_length=_prompt_length(inputs),
        grounding=_groundings(inputs),
        residuals=_residuals(inputs),
    )


def release_null(features: NeighborFeatures) -> NeighborFeatures:
    """All-zero embeddings where neighbors are: the unconditional graph of joint guidance."""
    return NeighborFeatures(torch.zeros_like(features.embeddings), features.present)


def _prompt_length(inputs: Sequence[DenoiserInputs]) -> int:
    lengths = {one.context.shape[1] if one.prompt_length is None else one.prompt_length for one in inputs}
    if len(lengths) > 1:
        raise ValueError(f"branches have prompts of unequal length: {sorted(lengths)} tokens")
    return lengths.pop()


def _groundings(inputs: Sequence[DenoiserInputs]) -> dict[GroundingSlot, Grounding]:
    slots = list(dict.fromkeys(slot for one in inputs for slot in one.grounding))
    return {slot: _one_grounding([(one.grounding.get(slot), one) for one in inputs]) for slot in slots}


def _one_grounding(parts: Sequence[tuple[Grounding | None, DenoiserInputs]]) -> Grounding:
    some = max((part for part, _ in parts if part is not None), key=lambda part: part.tokens.shape[1])
    rows = [part or _no_grounding(some, one.sample.shape[0]) for part, one in parts]
    longest = some.tokens.shape[1]
    return Grounding(
        tokens=torch.cat([_padded(part.tokens, longest) for part in rows]),
        present=torch.cat([_padded(part.present, longest) for part in rows]),
        strength=torch.cat([part.strength for part in rows]),
    )


def _no_grounding(like: Grounding, rows: int) -> Grounding:
    return Grounding(
        like.tokens.new_zeros(rows, *like.tokens.shape[1:]),
        like.present.new_zeros(rows, *like.present.shape[1:]),
        like.strength.new_zeros(rows),
    )


def _residuals(inputs: Sequence[DenoiserInputs]) -> Residuals | None:
    some = next((one.residuals for one in inputs if one.residuals is not None), None)
    if some is None:
        return None
    every = [one.residuals or _no_residuals(some, one.sample.shape[0]) for one in inputs]
    return Residuals(
        down=tuple(torch.cat(level) for level in zip(*(one.down for one in every), strict=True)),
        mid=torch.cat([one.mid for one in every]),
    )


def _no_residuals(like: Residuals, rows: int) -> Residuals:
    return Residuals(
        down=tuple(level.new_zeros(rows, *level.shape[1:]) for level in like.down),
        mid=like.mid.new_zeros(rows, *like.mid.shape[1:]),
    )


def _weight(inputs: DenoiserInputs) -> Float[Tensor, "b l"]:
    if inputs.context_weight is not None:
        return inputs.context_weight
    return torch.ones(inputs.context.shape[:2], device=inputs.context.device)


def _padded(tensor: Tensor, length: int) -> Tensor:
    missing = length - tensor.shape[1]
    return torch.cat([tensor, tensor.new_zeros(tensor.shape[0], missing, *tensor.shape[2:])], dim=1)
