"""Several calls of the denoiser as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from graphcond.denoiser_inputs import DenoiserInputs, Grounding, GroundingSlot, References


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
