"""Graph tokens behind the prompt's tokens, as InstructG2I (arXiv 2410.07157) feeds its graph."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from graphcond.adapters.base import Injector
from graphcond.adapters.config import Place, PromptTokenConfig
from graphcond.bases.base import Base
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.signals import GraphTokens, Signal

DEFAULT = PromptTokenConfig.model_construct()


class PromptTokenInjector(Injector[GraphTokens]):
    """Appends graph tokens to the context that cross-attention reads.

    ``scale`` is the weight of a graph token in the softmax relative to a prompt token. Tokens that are
    not ``present`` count nothing, so that a target without graph gets the base's own output.

    Args:
        place: ``append`` puts the graph's tokens after the prompt's. ``replace`` puts them in place
            of the prompt's tokens, which count ``1 - scale`` (at least 0) where there is a graph.
    """

    reads: ClassVar[type[Signal]] = GraphTokens

    def __init__(self, *, place: Place = DEFAULT.place) -> None:
        super().__init__()
        self.place = place

    def inject(self, base: Base) -> None:
        """Check that ``base`` reads context tokens. Nothing is attached: they travel with its inputs."""
        base.required_sites("cross_attention", "joint_attention")

    def eject(self) -> None:
        """Nothing to restore."""

    def apply(  # type: ignore[override]
        self, inputs: DenoiserInputs, signal: GraphTokens | None, scale: float = 1.0
    ) -> DenoiserInputs:
        """Inputs whose context is the prompt's tokens, then the graph's."""
        if signal is None or scale == 0 or not bool(signal.present.any()):
            return inputs
        tokens = signal.tokens.to(inputs.context.dtype)
        length = inputs.context.shape[1] if inputs.prompt_length is None else inputs.prompt_length
        before = inputs.context_weight
        if self.place == "replace":
            before = _faded(inputs, length, signal.has_graph, max(0.0, 1 - scale))
        return replace(
            inputs,
            prompt_length=length,
            context=torch.cat([inputs.context, tokens], dim=1),
            context_weight=_weights(inputs.context, before, signal, scale),
        )


def _weights(
    context: Float[Tensor, "b l c"], before: Float[Tensor, "b l"] | None, signal: GraphTokens, scale: float
) -> Float[Tensor, "b m"] | None:
    if before is None and scale == 1 and bool(signal.present.all()):
        return None
    if before is None:
        before = torch.ones(context.shape[:2], device=context.device)
    return torch.cat([before, signal.present.to(before) * scale], dim=1)


def _faded(
    inputs: DenoiserInputs, prompt_length: int, rows: Bool[Tensor, " b"], weight: float
) -> Float[Tensor, "b l"]:
    """Token weights of the context, with those of the prompt multiplied by ``weight`` in ``rows``."""
    before = inputs.context_weight
    if before is None:
        before = torch.ones(inputs.context.shape[:2], device=inputs.context.device)
    factor = torch.ones_like(before)
    factor[:, :prompt_length] = torch.where(rows[:, None], weight, 1.0)
    return before * factor
