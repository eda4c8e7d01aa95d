"""A condition: encoder and injector under one name, with their null for a missing graph."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

from graphcond.adapters import Injector
from graphcond.context import Context
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.encoders import Encoder
from graphcond.signals import GraphTokens, Signal, TextTokens

Null = Literal["absent", "zeros"]


class Condition(nn.Module):
    """Turns the context of targets into a change of the denoiser's inputs.

    Args:
        name: the name of this condition in guidance scales and files.
        encoder: context to signal.
        injector: signal to denoiser.
        null: ``absent`` hides the tokens of a target without graph, so that the base answers as if
            there were no condition; ``zeros`` shows zero tokens in their place (the InstructG2I release).
    """

    def __init__(
        self, name: str, encoder: Encoder[Any, Any], injector: Injector[Any], *, null: Null = "absent"
    ) -> None:
        super().__init__()
        if encoder.gives is not injector.reads:
            raise ValueError(f"{type(injector).__name__} does not read what {type(encoder).__name__} gives")
        if null == "zeros" and encoder.gives is not GraphTokens:
            raise ValueError(f"null 'zeros' is made of tokens, which {type(encoder).__name__} does not give")
        self.name, self.null = name, null
        self.encoder, self.injector = encoder, injector

    def signal(self, context: Context, text: TextTokens) -> Signal:
        """The signal of every target; the null for those whose context is empty."""
        signal: Signal = self.encoder(context, text)
        if self.null != "zeros":
            return signal
        if not isinstance(signal, GraphTokens):
            raise TypeError("null 'zeros' is made of tokens")
        tokens = signal.tokens * signal.present[..., None].to(signal.tokens.dtype)
        return GraphTokens(tokens, torch.ones_like(signal.present))

    def null_signal(self, text: TextTokens, *, like: Signal | None = None) -> GraphTokens | None:
        """The signal of no graph for the targets of ``text``; None where nothing is to be injected.

        Args:
            text: prompts (b, n).
            like: a signal whose number of tokens the null should match.
        """
        if self.null == "absent":
            return None
        tokens = like.tokens if isinstance(like, GraphTokens) else text.hidden
        tokens = tokens.new_zeros(text.hidden.shape[0], *tokens.shape[1:])
        return GraphTokens(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device))

    def apply(  # type: ignore[override]
        self, inputs: DenoiserInputs, signal: Signal | None, scale: float = 1.0
    ) -> DenoiserInputs:
        """The denoiser's inputs with ``signal`` in them."""
        return inputs if signal is None else self.injector.apply(inputs, signal, scale)

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        """The trained parameters by name: those of the encoder that are not frozen, and the injector's."""
        encoder = {name: p for name, p in self.encoder.named_parameters() if p.requires_grad}
        return {f"encoder.{name}": p for name, p in encoder.items()} | {
            f"injector.{name}": p for name, p in self.injector.trainable_parameters().items()
        }
