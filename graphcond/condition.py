"""A condition: encoder and injector under one name, with their null for a missing graph."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import torch
from torch import nn

from graphcond.adapters import Injector
from graphcond.context import Context
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.encoders import Encoder
from graphcond.errors import InputError
from graphcond.signals import GraphTokens, Signal, TextTokens, why_no_zeros

Null = Literal["absent", "zeros"]


class Condition(nn.Module):
    """Turns the context of targets into a change of the denoiser's inputs.

    Args:
        name: the name of this condition in guidance scales and files.
        encoder: context to signal.
        injector: signal to denoiser.
        null: ``absent`` hides the tokens of a target without graph, so that the base answers as if
            there were no condition; ``zeros`` shows zero tokens in their place (the InstructG2I release), as
            many as the encoder gives for every graph.

    Raises:
        ValueError: the injector does not read what the encoder gives.
        InputError: the null is ``zeros``, and the encoder's tokens have no fixed number.
    """

    def __init__(
        self, name: str, encoder: Encoder[Any, Any], injector: Injector[Any], *, null: Null = "absent"
    ) -> None:
        super().__init__()
        if encoder.gives is not injector.reads:
            raise ValueError(f"{type(injector).__name__} does not read what {type(encoder).__name__} gives")
        reason = why_no_zeros(encoder.gives, encoder.token_count) if null == "zeros" else None
        if reason is not None:
            raise InputError(
                f"the null 'zeros' {reason}",
                place=f"condition '{name}', {type(encoder).__name__}",
                remedy="use the null 'absent'",
            )
        self.name, self.null = name, null
        self.encoder, self.injector = encoder, injector

    def __repr__(self) -> str:
        parts = f"{type(self.encoder).__name__} > {type(self.injector).__name__}"
        return f"Condition({self.name}: {parts}, null {self.null})"

    def signal(self, context: Context, text: TextTokens) -> Signal:
        """The signal of every target; the null for those whose context is empty.

        Raises:
            InputError: the context has a mask, and the encoder gives no tokens.
        """
        signal: Signal = self.encoder(context, text)
        if context.mask is not None:
            if not isinstance(signal, GraphTokens):
                raise self._reads_no_masks()
            signal = replace(signal, mask=context.mask)
        null = self.null_signal(text)
        if null is None or not isinstance(signal, GraphTokens):
            return signal
        here = signal.has_graph[:, None]
        return replace(
            signal,
            tokens=torch.where(here[..., None], signal.tokens, null.tokens.to(signal.tokens)),
            present=torch.where(here, signal.present, null.present),
            boxed=None if signal.boxed is None else signal.boxed & here,
        )

    def null_signal(self, text: TextTokens) -> GraphTokens | None:
        """The signal of no graph for the targets of ``text``; None where nothing is to be injected."""
        count = self.encoder.token_count
        if self.null == "absent" or count is None:
            return None
        rows, length = text.ids.shape
        tokens = text.hidden.new_zeros(rows, length if count == "prompt" else count, text.hidden.shape[-1])
        return GraphTokens(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device))

    def apply(  # type: ignore[override]
        self, inputs: DenoiserInputs, signal: Signal | None, scale: float = 1.0
    ) -> DenoiserInputs:
        """The denoiser's inputs with ``signal`` in them.

        Raises:
            InputError: the signal has a mask, and the injector reads none.
        """
        if signal is None:
            return inputs
        if isinstance(signal, GraphTokens) and signal.mask is not None and not self.injector.reads_masks:
            raise self._reads_no_masks()
        return self.injector.apply(inputs, signal, scale)

    def _reads_no_masks(self) -> InputError:
        return InputError(
            f"{type(self.injector).__name__} reads no masks",
            place=f"condition '{self.name}'",
            remedy="leave the mask out, or use the injector ip_adapter",
        )

    def group_of(self, parameter: str) -> str | None:
        """The injector's group, with a learning rate of its own, to which a trained parameter belongs."""
        part, _, name = parameter.partition(".")
        if part == "injector":
            return self.injector.group_of(name)
        return "new" if "new" in self.injector.groups else None

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        """The trained parameters by name: those of the encoder that are not frozen, and the injector's."""
        encoder = {name: p for name, p in self.encoder.named_parameters() if p.requires_grad}
        return {f"encoder.{name}": p for name, p in encoder.items()} | {
            f"injector.{name}": p for name, p in self.injector.trainable_parameters().items()
        }
