"""The contract of an encoder: from a context to a signal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar

from torch import nn

from graphcond.config import Part
from graphcond.context import Context, NeighborFeatures
from graphcond.signals import GraphTokens, Signal, TextTokens, TokenCount

Read = TypeVar("Read", bound=Context)
Given = TypeVar("Given", bound=Signal)


class Encoder(Part, nn.Module, ABC, Generic[Read, Given]):
    """Turns the context of a batch of targets into the signal that an injector reads.

    All parameters of an encoder are trained unless it freezes some of them itself.
    A target whose context is empty gets a signal whose ``present`` is False throughout.
    """

    reads: ClassVar[type[Context]] = NeighborFeatures
    gives: ClassVar[type[Signal]] = GraphTokens
    reads_pictures: ClassVar[bool] = False
    """True if it reads `NeighborFeatures.pictures`."""
    reads_words: bool = False
    """True if it reads ``TextTokens.ids``, which are zeros where a caller gives embeddings of the prompt."""

    signal_width: int | None = None
    """Channels of the layouts that it gives; None for tokens, which are as wide as the base's."""
    token_count: TokenCount = None
    """Tokens that it gives for any graph; the null ``zeros`` has as many. None where the graph decides."""
    embedding_width: int | None = None
    """Width of the embeddings of whole scenes; None where it makes none."""
    predicts_boxes: bool = False
    """True if it predicts the boxes of objects that a scene gives none for."""

    def __call__(self, context: Read, text: TextTokens) -> Given:  # type: ignore[override]
        """Encode ``context``. What stands where nothing is present is not read, not even where it is NaN."""
        return super().__call__(context.masked(), text)

    def load_init(self) -> None:
        """Read the released weights that the encoder was told to start from.

        Raises:
            InputError: there are none, or they do not fit.
        """

    @abstractmethod
    def forward(self, context: Read, text: TextTokens) -> Given:
        """Encode ``context``; ``text`` is the targets' prompt, which an encoder may query with."""
