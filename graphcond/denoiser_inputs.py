"""Everything that one call of a denoiser reads.

Axis names in shapes: ``b`` targets in a batch, ``l`` length of the denoiser's context, ``n`` tokens,
``c`` token width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from threading import local
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from jaxtyping import Bool, Float, Int64

from graphcond.attributed_graph import ShortRepr

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Grounding:
    """Tokens that an injector shows to modules it placed inside the denoiser, beside the context.

    ``strength`` multiplies what the tokens add; 0 leaves a sample exactly as it is. An injector that adds the
    same for every graph (LoRA) shows no tokens and its strength alone. ``coverage`` has, by the stride of a
    site, the share of each of its cells that each token covers (b, cells, n); without a stride, every cell
    sees every token. ``places`` multiplies, by the stride of a site, what is added to each of its cells.
    """

    tokens: Float[Tensor, "b n c"]
    present: Bool[Tensor, "b n"]
    strength: Float[Tensor, " b"]
    coverage: Mapping[int, Tensor] = field(default_factory=dict)
    places: Mapping[int, Float[Tensor, "b cells"]] = field(default_factory=dict)

    def select(self, rows: Tensor) -> Grounding:
        """The samples named by ``rows`` (indices)."""
        return Grounding(
            self.tokens[rows],
            self.present[rows],
            self.strength[rows],
            {stride: shares[rows] for stride, shares in self.coverage.items()},
            {stride: shares[rows] for stride, shares in self.places.items()},
        )


@dataclass(frozen=True, repr=False)
class References(ShortRepr):
    """Pictures that the denoiser looks at while it draws another one.

    Args:
        latents: without noise.
        weight: by which a picture's share in the softmax of self-attention is multiplied; 0 hides it.
    """

    latents: Float[Tensor, "b k channels height width"]
    weight: Float[Tensor, "b k"]


Shown = TypeVar("Shown")


class Slot(Generic[Shown]):
    """The place from which modules inside the denoiser read what they are shown during a call.

    It is shown to the thread of the call alone, since others may run the same denoiser at the same time.
    """

    @property
    def value(self) -> Shown | None:
        """What the denoiser call that runs in this thread shows; None without."""
        found: Shown | None = SHOWN.slots.get(self)
        return found


class GroundingSlot(Slot[Grounding]):
    """The slot of an injector: `graphcond.bases.Base.denoise` fills it with `DenoiserInputs.grounding`."""


class _Shown(local):
    """One of each thread, which torch.compile can read, unlike a context variable."""

    slots: Mapping[Slot[Any], Any]

    def __init__(self) -> None:
        self.slots = {}


SHOWN = _Shown()
"""What the slots hold in the denoiser call that runs in this thread."""

IP_ADAPTER = "ip_adapter."
"""How the names of those `DenoiserInputs.extras` begin that hold what IP-Adapters make of pictures."""


GIVEN_SIZES = "sizes"
"""The name of the `DenoiserInputs.extras` with the six numbers by which SDXL knows a size; those that are NaN
are the base's own."""


@dataclass(frozen=True, repr=False)
class DenoiserInputs(ShortRepr):
    """Everything one denoiser call reads.

    The prompt's tokens come first in ``context``; there are ``prompt_length`` of them, or, where it is
    None, the whole context is the prompt. Behind it come ``sentences`` - 1 others of its length, which stand
    beside it or in its place: a base whose text has positions counts those of each sentence from 0, and gives
    all further tokens one position. ``context_weight`` multiplies each context token's share before
    the softmax of cross-attention: 1 is an ordinary token, 0 hides it, None means that all are 1. With a
    height and a width, those of ``sample``, a token has a weight at each place of the picture; where every
    token is hidden, cross-attention adds nothing.
    ``grounding`` is read by modules inside the denoiser. ``residuals`` are added to its feature maps, by the
    name of their ``encoder_level`` or ``encoder_block`` site. ``extras`` are those of `TextTokens`, with a
    row for each sample. ``references`` are for a base that takes them.
    """

    sample: Float[Tensor, "b channels height width"]
    timestep: Int64[Tensor, " b"] | Float[Tensor, " b"]
    context: Float[Tensor, "b l c"]
    context_weight: Float[Tensor, "b l"] | Float[Tensor, "b l height width"] | None = None
    prompt_length: int | None = None
    sentences: int = 1
    grounding: Mapping[GroundingSlot, Grounding] = field(default_factory=dict)
    residuals: Mapping[str, Tensor] = field(default_factory=dict)
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    references: References | None = None

    @property
    def length(self) -> int:
        """Tokens of the prompt."""
        return self.context.shape[1] if self.prompt_length is None else self.prompt_length

    def with_tokens(
        self,
        tokens: Float[Tensor, "b k c"],
        weight: Float[Tensor, "b k"] | Float[Tensor, "b k height width"] | None,
        *,
        sentences: int = 0,
    ) -> DenoiserInputs:
        """The same, with further context tokens behind all others.

        Args:
            tokens: the tokens.
            weight: of each, with places where `context_weight` has them; None where that is None.
            sentences: the tokens are so many sentences, and come behind those that are there.
        """
        import torch  # recipes are read without it

        at = self.sentences * self.length if sentences else self.context.shape[1]

        def inserted(whole: Tensor, part: Tensor) -> Tensor:
            return torch.cat([whole[:, :at], part, whole[:, at:]], dim=1)

        own = self.context_weight
        return replace(
            self,
            prompt_length=self.length,
            sentences=self.sentences + sentences,
            context=inserted(self.context, tokens),
            context_weight=None if own is None or weight is None else inserted(own, weight),
        )

    def with_sentences(self, count: int) -> DenoiserInputs:
        """The same, with hidden sentences behind the others so that there are ``count``."""
        missing = count - self.sentences
        if not missing:
            return self
        hidden = self.context.new_zeros(len(self.context), missing * self.length, self.context.shape[2])
        weight = self.weights()
        nothing = weight.new_zeros(*hidden.shape[:2], *weight.shape[2:])
        return replace(self, context_weight=weight).with_tokens(hidden, nothing, sentences=missing)

    def weights(self, *, places: bool = False) -> Tensor:
        """`context_weight`, ones where it is None; with a height and a width where it has them or asked."""
        import torch  # recipes are read without it

        weight = self.context_weight
        if weight is None:
            weight = torch.ones(self.context.shape[:2], device=self.context.device)
        if places and weight.ndim == 2:
            weight = weight[..., None, None].expand(-1, -1, *self.sample.shape[2:])
        return weight
