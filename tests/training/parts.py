"""The smallest encoder and injector with parameters."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from graphcond.adapters import Injector
from graphcond.bases import Base
from graphcond.context import NeighborFeatures
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.encoders import Encoder
from graphcond.signals import GraphTokens, Signal, TextTokens


class TokenEncoder(Encoder):
    """One token per neighbor."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, context: NeighborFeatures, text: TextTokens) -> GraphTokens:
        return GraphTokens(context.embeddings * self.scale, context.present)


class LearnedInjector(Injector):
    """An injector with a parameter."""

    reads: ClassVar[type[Signal] | None] = GraphTokens

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(()))

    def inject(self, base: Base) -> None:
        pass

    def eject(self) -> None:
        pass

    def apply(self, inputs: DenoiserInputs, signal: Signal | None, scale: float = 1.0) -> DenoiserInputs:
        return inputs
