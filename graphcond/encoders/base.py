"""The contract of an encoder: from a context to a signal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

from torch import nn

from graphcond.context import Context, NeighborFeatures
from graphcond.signals import GraphTokens, Signal, TextTokens

Read = TypeVar("Read", bound=Context)
Given = TypeVar("Given", bound=Signal)


@runtime_checkable
class BaseSite(Protocol):
    """What an encoder may ask of the base it is built for."""

    text_encoder: Any

    @property
    def token_width(self) -> int:
        """Width of the context tokens that the denoiser reads."""
        ...

    @property
    def default_size(self) -> int:
        """Side in pixels of the pictures the denoiser was trained on."""
        ...

    @property
    def pixels_per_latent(self) -> int:
        """Side of the square of pixels that one latent stands for."""
        ...

    def encode_prompt(self, prompts: Sequence[str]) -> TextTokens:
        """Token ids and hidden states of prompts."""
        ...


class Encoder(nn.Module, ABC, Generic[Read, Given]):
    """Turns the context of a batch of targets into the signal that an injector reads.

    All parameters of an encoder are trained unless it freezes some of them itself.
    A target whose context is empty gets a signal whose ``present`` is False throughout.
    """

    reads: ClassVar[type[Context]] = NeighborFeatures
    gives: ClassVar[type[Signal]] = GraphTokens

    @abstractmethod
    def forward(self, context: Read, text: TextTokens) -> Given:
        """Encode ``context``; ``text`` is the targets' prompt, which an encoder may query with."""
