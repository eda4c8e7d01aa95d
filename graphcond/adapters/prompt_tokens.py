"""Graph tokens behind the prompt's tokens, as InstructG2I (arXiv 2410.07157) feeds its graph."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from graphcond.adapters.base import InjectionSite, Injector
from graphcond.component import ComponentConfig
from graphcond.types import DenoiserInputs, GraphTokens, Signal


class PromptTokenInjector(Injector[GraphTokens]):
    """Appends graph tokens to the context that cross-attention reads.

    ``scale`` is how much a graph token counts in the softmax beside a prompt token. Tokens that are
    not ``present`` count nothing, so that a target without graph gets the base's own output.
    """

    reads: ClassVar[type[Signal]] = GraphTokens

    def inject(self, base: InjectionSite) -> None:
        """Nothing to attach: the tokens travel with the denoiser's inputs."""

    def eject(self) -> None:
        """Nothing to restore."""

    def apply(  # type: ignore[override]
        self, inputs: DenoiserInputs, signal: GraphTokens | None, scale: float = 1.0
    ) -> DenoiserInputs:
        """Inputs whose context is the prompt's tokens, then the graph's."""
        if signal is None or scale == 0 or not bool(signal.present.any()):
            return inputs
        tokens = signal.tokens.to(inputs.context.dtype)
        return replace(
            inputs,
            prompt_length=inputs.prompt_length or inputs.context.shape[1],
            context=torch.cat([inputs.context, tokens], dim=1),
            context_weight=_weights(inputs, signal, scale),
        )


class PromptTokenConfig(ComponentConfig):
    """Append graph tokens to the prompt's tokens."""

    component: ClassVar = PromptTokenInjector
    kind: Literal["prompt_tokens"] = "prompt_tokens"

    def build(self, *, signal_width: int | None = None) -> PromptTokenInjector:
        """The injector; ``signal_width`` does not matter, tokens are as wide as the base's."""
        return PromptTokenInjector()


def _weights(inputs: DenoiserInputs, signal: GraphTokens, scale: float) -> Float[Tensor, "b l"] | None:
    if inputs.context_weight is None and scale == 1 and bool(signal.present.all()):
        return None
    before = inputs.context_weight
    if before is None:
        before = torch.ones(inputs.context.shape[:2], device=inputs.context.device)
    return torch.cat([before, signal.present.to(before) * scale], dim=1)
