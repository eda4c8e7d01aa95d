"""Graph tokens behind the prompt's tokens, as InstructG2I (arXiv 2410.07157) feeds its graph."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

import torch

from graphcond.adapters.base import Injector
from graphcond.adapters.config import Place, PromptTokenConfig
from graphcond.bases.base import Base
from graphcond.config import checked
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.errors import InputError
from graphcond.signals import GraphTokens, Signal

DEFAULT = PromptTokenConfig.model_construct()


@checked(PromptTokenConfig)
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
        """Inputs whose context is the prompt's tokens, then the graph's.

        Raises:
            InputError: ``scale`` is negative, which no weight in a softmax is.
        """
        if not 0 <= scale < math.inf:
            raise InputError(
                f"expected a weight of at least 0, got {scale}",
                place="prompt_tokens, scale",
                remedy="use guidance with a negative scale to keep away from a graph",
            )
        if signal is None or scale == 0 or not bool(signal.present.any()):
            return inputs
        # A weight of 0 hides a token, but 0 times NaN is NaN.
        tokens = signal.tokens.masked_fill(~signal.present[..., None], 0).to(inputs.context.dtype)
        length = inputs.context.shape[1] if inputs.prompt_length is None else inputs.prompt_length
        weight = inputs.context_weight
        if self.place == "replace" or scale != 1 or not bool(signal.present.all()):
            weight = inputs.weights()
        if weight is not None:
            own = signal.present.to(weight) * scale
            if weight.ndim > 2:
                own = own[..., None, None].expand(-1, -1, *weight.shape[2:])
            if self.place == "replace":
                kept = torch.where(signal.has_graph, max(0.0, 1 - scale), 1.0)
                kept = kept.view(-1, *[1] * (weight.ndim - 1))
                weight = torch.cat([weight[:, :length] * kept, weight[:, length:]], dim=1)
            weight = torch.cat([weight, own], dim=1)
        context = torch.cat([inputs.context, tokens], dim=1)
        return replace(inputs, prompt_length=length, context=context, context_weight=weight)
