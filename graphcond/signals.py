"""The outputs of encoders, which injectors read (tokens, a layout or latents), and the tokens of prompts.

Axis names in shapes: ``b`` targets in a batch, ``n`` tokens, ``c`` token width or channels, ``k`` pictures of
a target.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from jaxtyping import Bool, Float, Int64

from graphcond.attributed_graph import ShortRepr

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, repr=False)
class TextTokens(ShortRepr):
    """A prompt as the base's text encoder sees it.

    Args:
        ids: token ids.
        hidden: the context tokens that the denoiser reads.
        present: False where a token is padding; None where the base does not tell.
        extras: further tensors of a prompt that the denoiser reads, by name, with a row for each prompt.
    """

    ids: Int64[Tensor, "b n"]
    hidden: Float[Tensor, "b n c"]
    present: Bool[Tensor, "b n"] | None = None
    extras: Mapping[str, Tensor] = field(default_factory=dict)

    def attended(self, masks_padding: bool) -> Bool[Tensor, "b n"]:
        """True for the tokens that a denoiser attends to: all, or those that are present."""
        import torch  # recipes are read without it

        if masks_padding and self.present is not None:
            return self.present
        return torch.ones_like(self.ids, dtype=torch.bool)

    def first(self, count: int) -> TextTokens:
        """The prompts without the tokens behind the first ``count``."""
        present = None if self.present is None else self.present[:, :count]
        return TextTokens(self.ids[:, :count], self.hidden[:, :count], present, self.extras)

    def select(self, rows: Tensor) -> TextTokens:
        """The prompts named by ``rows`` (indices or a mask)."""
        return TextTokens(
            self.ids[rows],
            self.hidden[rows],
            None if self.present is None else self.present[rows],
            {name: extra[rows] for name, extra in self.extras.items()},
        )

    @classmethod
    def join(cls, parts: Sequence[TextTokens]) -> TextTokens:
        """The prompts of all ``parts``, one after another; all tell what is padding, or none does."""
        import torch

        def joined(tensors: Iterable[Tensor]) -> Tensor:
            return torch.cat(list(tensors))

        present = [part.present for part in parts if part.present is not None]
        return cls(
            joined(part.ids for part in parts),
            joined(part.hidden for part in parts),
            joined(present) if present else None,
            {name: joined(part.extras[name] for part in parts) for name in parts[0].extras},
        )

    def to(self, device: torch.device | str) -> TextTokens:
        """The same tokens on another device."""
        return TextTokens(
            self.ids.to(device),
            self.hidden.to(device),
            None if self.present is None else self.present.to(device),
            {name: extra.to(device) for name, extra in self.extras.items()},
        )


@dataclass(frozen=True)
class Alignment:
    """The graph written out, and which of its tokens speak of which graph token.

    Args:
        hidden: the sentence as the denoiser reads it.
        present: False where a token of the sentence is padding that the base hides.
        words: True where a graph token (n) belongs to a token of the sentence (m).
    """

    hidden: Float[Tensor, "b l c"]
    present: Bool[Tensor, "b l"]
    words: Bool[Tensor, "b n m"]


@dataclass(frozen=True, repr=False)
class GraphTokens(ShortRepr):
    """The signal of a token encoder. ``present`` is False for padding tokens.

    Tokens of objects may know where their object is: ``boxes`` (x0 y0 x1 y1 in 0..1) where ``boxed``.
    Both are None for tokens without a place. ``alignment`` is that of encoders that read a sentence beside
    the graph. ``mask`` says how much, 0..1, all tokens act at each place of the picture; everywhere for None.
    """

    tokens: Float[Tensor, "b n c"]
    present: Bool[Tensor, "b n"]
    boxes: Float[Tensor, "b n 4"] | None = None
    boxed: Bool[Tensor, "b n"] | None = None
    alignment: Alignment | None = None
    mask: Float[Tensor, "b height width"] | None = None

    @property
    def values(self) -> Float[Tensor, "b n c"]:
        """What an injector reads: the tokens."""
        return self.tokens

    @property
    def has_graph(self) -> Bool[Tensor, " b"]:
        """True for targets with a token."""
        return self.present.any(1)


@dataclass(frozen=True, repr=False)
class LayoutMap(ShortRepr):
    """The signal of a layout encoder: features spread over the picture; zero where ``present`` is False."""

    features: Float[Tensor, "b c height width"]
    present: Bool[Tensor, " b"]

    @property
    def values(self) -> Float[Tensor, "b c height width"]:
        """What an injector reads: the features."""
        return self.features

    @property
    def has_graph(self) -> Bool[Tensor, " b"]:
        """True for targets with a layout."""
        return self.present


@dataclass(frozen=True, repr=False)
class ReferenceLatents(ShortRepr):
    """The signal of pictures as they are: k latents for each target; zero where ``present`` is False."""

    latents: Float[Tensor, "b k c height width"]
    present: Bool[Tensor, "b k"]

    @property
    def values(self) -> Float[Tensor, "b k c height width"]:
        """What an injector reads: the latents."""
        return self.latents

    @property
    def has_graph(self) -> Bool[Tensor, " b"]:
        """True for targets with a picture."""
        return self.present.any(1)


Signal: TypeAlias = GraphTokens | LayoutMap | ReferenceLatents
"""An output of an encoder, which an injector reads."""


def selected(signal: Any, rows: Tensor) -> Any:
    """A signal, or a part of it, of the pictures named by ``rows`` (indices)."""
    if is_dataclass(signal) and not isinstance(signal, type):
        parts = {one.name: selected(getattr(signal, one.name), rows) for one in fields(signal)}
        return replace(signal, **parts)
    return None if signal is None else signal[rows]


TokenCount: TypeAlias = int | Literal["prompt"] | None
"""The number of tokens that an encoder gives for any graph: fixed, as many as the prompt has, or, where it is
None, one that depends on the graph."""


def why_no_zeros(gives: type[Signal], count: TokenCount) -> str | None:
    """Why zero tokens cannot stand in for a missing graph of such an encoder; None if they can."""
    if gives is not GraphTokens:
        return f"is made of tokens, not of {gives.__name__}"
    if count is None:
        return "needs a number of tokens, and that of this encoder depends on the graph"
    return None
