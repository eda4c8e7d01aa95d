"""Graph tokens behind the prompt's tokens, as InstructG2I (arXiv 2410.07157) feeds its graph.

They may be visible in the boxes of their objects alone: EliGen's regional attention (arXiv 2501.01097).
Or they are added to the tokens of a sentence: SDXL-SG (LAION-SG, arXiv 2412.08580).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from graphcond.adapters.base import Injector
from graphcond.adapters.config import Place, PromptTokenConfig, Visible
from graphcond.bases.base import Base
from graphcond.config import checked
from graphcond.coverage import coverage
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.errors import InputError, Notice
from graphcond.signals import Alignment, GraphTokens, Signal

DEFAULT = PromptTokenConfig.model_construct()


@checked(PromptTokenConfig)
class PromptTokenInjector(Injector[GraphTokens]):
    """Feeds graph tokens to the context that cross-attention reads.

    ``scale`` is the weight of a graph token in the softmax relative to a prompt token. Tokens that are
    not ``present`` count nothing, so that a target without graph gets the base's own output.

    Args:
        place: ``append`` puts the graph's tokens after the prompt's. ``replace`` puts them in place
            of the prompt's tokens, which count ``1 - scale`` (at least 0) where there is a graph. ``add``
            puts the graph's sentence there, and to each of its tokens adds the mean of the graph tokens
            that belong to it, times the trained gate ``alpha_obj``, which is 0 at the start.
        visible: graph tokens count ``everywhere``; or each place of the picture sees a token ``in_boxes``,
            as much as its box covers of that place. Where boxes overlap, the smaller gets more of it. A token
            without a box is seen everywhere.
    """

    reads: ClassVar[type[Signal]] = GraphTokens

    def __init__(self, *, place: Place = DEFAULT.place, visible: Visible = DEFAULT.visible) -> None:
        super().__init__()
        self.place, self.visible = place, visible
        self.alpha_obj = nn.Parameter(torch.zeros(1)) if place == "add" else None
        self._said_unplaced = False

    def inject(self, base: Base) -> None:
        """Check that ``base`` reads context tokens. Nothing is attached: they travel with its inputs."""
        base.required_sites("cross_attention", "joint_attention")
        if self.visible == "in_boxes" and not base.weighs_places:
            raise InputError(
                f"{type(base).__name__} cannot show tokens in parts of the picture",
                place="prompt_tokens, visible: in_boxes",
                remedy="use visible 'everywhere', or another base",
            )
        self.to(base.device)

    def eject(self) -> None:
        """Nothing to restore."""

    def apply(  # type: ignore[override]
        self, inputs: DenoiserInputs, signal: GraphTokens | None, scale: float = 1.0
    ) -> DenoiserInputs:
        """Inputs whose context is the prompt's tokens, then the graph's.

        Raises:
            InputError: ``scale`` is negative, which no weight in a softmax is; or tokens are to be added to
                words, and the signal does not say which belong together, or names words beyond the prompt.
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
        tokens, present = signal.tokens.masked_fill(~signal.present[..., None], 0), signal.present
        if self.alpha_obj is not None:
            alignment = aligned(signal)
            tokens = alignment.hidden + self.alpha_obj * means_at_words(tokens, alignment.words)
            present = alignment.present & signal.has_graph[:, None]
        tokens = tokens.to(inputs.context.dtype)
        length = inputs.length
        in_boxes = self._in_boxes(signal)
        weight = inputs.context_weight
        if self.place != "append" or scale != 1 or in_boxes or not bool(present.all()):
            weight = inputs.weights(places=in_boxes)
        own: Tensor | None = None
        if weight is not None:
            own = present.to(weight) * scale
            if weight.ndim > 2:
                own = own[..., None, None].expand(-1, -1, *weight.shape[2:])
            if in_boxes and signal.boxes is not None and signal.boxed is not None:
                shares = shares_in_boxes(signal.boxes, signal.boxed, present, *weight.shape[2:])
                own = own * shares.transpose(1, 2).unflatten(2, weight.shape[2:])
            if self.place != "append":
                kept = torch.where(signal.has_graph, max(0.0, 1 - scale), 1.0)
                kept = kept.view(-1, *[1] * (weight.ndim - 1))
                weight = torch.cat([weight[:, :length] * kept, weight[:, length:]], dim=1)
        sentence = tokens.shape[1] == length  # each of them is one of the prompt's tokens
        return replace(inputs, context_weight=weight).with_tokens(tokens, own, sentences=int(sentence))

    def _in_boxes(self, signal: GraphTokens) -> bool:
        """Whether tokens are shown in boxes; it is said once where they should be, and none has a box."""
        if self.visible != "in_boxes":
            return False
        if signal.boxed is not None and bool(signal.boxed.any()):
            return True
        if not self._said_unplaced:
            self._said_unplaced = True
            warnings.warn(
                "prompt_tokens: visible is 'in_boxes', and the objects have no boxes, so every token is seen "
                "everywhere; give the data boxes, or choose an encoder that predicts them",
                Notice,
                stacklevel=3,
            )
        return False

    def figures(self) -> dict[str, float]:
        """The gate, where tokens are added."""
        return {} if self.alpha_obj is None else {"gate": self.alpha_obj.item()}


def shares_in_boxes(
    boxes: Float[Tensor, "b n 4"],
    boxed: Bool[Tensor, "b n"],
    present: Bool[Tensor, "b n"],
    height: int,
    width: int,
) -> Float[Tensor, "b cells n"]:
    """What tokens count in each cell; 1 for a token without a box.

    Those with a box count together as much as their boxes cover of the cell, and the share of each is
    proportional to what its box covers, divided by the area of the box. So small boxes win over large ones
    that contain them, and where boxes do not overlap each counts as much as it covers.
    """
    shares = coverage(boxes, boxed, height, width)
    covered = shares * (present & boxed)[:, None]
    tiny = torch.finfo(shares.dtype).tiny
    dense = covered / covered.mean(1, keepdim=True).clamp(min=tiny)
    dense = dense * (covered.sum(2, keepdim=True) / dense.sum(2, keepdim=True).clamp(min=tiny))
    return torch.where(boxed[:, None], dense, shares)


def aligned(signal: GraphTokens) -> Alignment:
    """The alignment of a signal to its sentence.

    Raises:
        InputError: it has none, or it names tokens beyond the sentence.
    """
    found, place = signal.alignment, "prompt_tokens, place: add"
    if found is None:
        raise InputError(
            "the graph tokens are not aligned to words",
            place=place,
            remedy="use an encoder that gives an alignment, or place 'replace'",
        )
    length = found.hidden.shape[1]
    if found.words.shape[1:] != (signal.tokens.shape[1], length):
        raise InputError(
            f"expected an alignment of {signal.tokens.shape[1]} graph tokens to {length} tokens of the "
            f"prompt, got one of {found.words.shape[1]} to {found.words.shape[2]}",
            place=place,
            remedy="align the sentence as the base's text encoder cuts it",
        )
    return found


def means_at_words(tokens: Float[Tensor, "b n c"], words: Bool[Tensor, "b n l"]) -> Float[Tensor, "b l c"]:
    """At each token of a sentence, the mean of the graph tokens that belong to it; 0 where none does."""
    shares = words.transpose(1, 2).to(tokens.dtype)
    return shares @ tokens / shares.sum(-1, keepdim=True).clamp(min=1)
