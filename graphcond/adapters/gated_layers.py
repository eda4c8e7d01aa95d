"""The layers of gated self-attention: those of GLIGEN (arXiv 2301.07093), and ones that place by coverage."""

from __future__ import annotations

import torch
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from jaxtyping import Bool, Float
from torch import Tensor, nn

from graphcond.adapters.config import Keys, Start
from graphcond.bases.sites import ContextReader
from graphcond.bases.token_weights import bias_of_shares
from graphcond.denoiser_inputs import Grounding

FREQUENCIES = 8
"""Number of frequencies in the encoding of a coordinate."""

HIDDEN = 512
"""Width of the hidden layers, as released."""

_BASE = 100.0
"""Frequencies are its powers 0, 1/8 ... 7/8."""


def box_fourier(boxes: Float[Tensor, "b n 4"]) -> Float[Tensor, "b n f"]:
    """Sines and cosines of box coordinates (0..1), in the order in which GLIGEN lays them out."""
    powers = torch.arange(FREQUENCIES, device=boxes.device, dtype=boxes.dtype) / FREQUENCIES
    angles = boxes[..., None, :] * (_BASE**powers)[:, None]
    return torch.stack([angles.sin(), angles.cos()], dim=-2).flatten(-3)


def keep_scale(layer: nn.Linear) -> None:
    """Initialize a layer so that its output has the scale of its input, and without a bias.

    torch's own start shrinks it and adds a bias, so that after a few layers all tokens look alike; the gates
    then have little to open for.
    """
    nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
    nn.init.zeros_(layer.bias)


class PositionNet(nn.Module):
    """h = MLP([embedding, Fourier(box)]), with a learned null for either where it is missing.

    Parameters are named as in GLIGEN's released UNets (diffusers' layout).

    Args:
        width: c, of the embeddings and of h.
        residual: h = embedding + MLP(...), and the MLP gives 0 at the start.
    """

    def __init__(self, width: int, *, residual: bool = False) -> None:
        super().__init__()
        self.residual = residual
        position = FREQUENCIES * 2 * 4
        self.linears = nn.Sequential(
            nn.Linear(width + position, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, width),
        )
        layers = [layer for layer in self.linears if isinstance(layer, nn.Linear)]
        for layer in layers:
            keep_scale(layer)
        if residual:
            zero(layers[-1])
        self.null_positive_feature = nn.Parameter(torch.zeros(width))
        self.null_position_feature = nn.Parameter(torch.zeros(position))

    def forward(
        self,
        embeddings: Float[Tensor, "b n c"],
        embedded: Bool[Tensor, "b n"],
        boxes: Float[Tensor, "b n 4"],
        boxed: Bool[Tensor, "b n"],
    ) -> Float[Tensor, "b n c"]:
        """Tokens for gated self-attention.

        Args:
            embeddings: the embeddings of the slots.
            embedded: True where a slot has an embedding.
            boxes: x0 y0 x1 y1 in 0..1.
            boxed: True where a box is known.
        """
        what = torch.where(embedded[..., None], embeddings, self.null_positive_feature.to(embeddings))
        place = torch.where(boxed[..., None], box_fourier(boxes), self.null_position_feature.to(boxes))
        h: Tensor = self.linears(torch.cat([what, place.to(what)], dim=-1))
        return what + h if self.residual else h


def zero(layer: nn.Linear) -> None:
    """Initialize a layer so that it gives 0."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


def token_bias(weight: Float[Tensor, "b v n"]) -> Float[Tensor, "b v n"]:
    """What is added to the logits of tokens, for their weight in each cell, so that small boxes win.

    The log of weight / area, where the area of a token is the mean of its weight over the cells. So where a
    box lies within a larger one, the smaller is seen; a token without a box weighs like one as large as
    the picture.
    """
    area = weight.mean(1, keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)
    return bias_of_shares(weight / area)


class GatedBlock(nn.Module):
    """The layer between a block's self- and cross-attention.

    With GLIGEN's settings it is v + tanh(alpha) * SelfAttention([v, h])[: len(v)], then
    v + tanh(beta) * FF(v), and alpha and beta are 0 at the start. Parameters are named as in GLIGEN's
    released UNets (diffusers' layout): alpha is ``alpha_attn``, beta ``alpha_dense``.

    Where the grounding has a coverage c of cells by tokens, the share of token j in the softmax of cell p
    is multiplied by c_pj / area_j, and what the cell reads by min(1, sum_j c_pj).

    Args:
        width: of the block's features v.
        token_width: c, of the grounding tokens.
        heads: of the attention.
        head_width: of each head.
        keys: the tokens are keys beside the features (``both``), or alone (``tokens``).
        start: ``gates``, as GLIGEN. Otherwise alpha and beta are plain factors, 1 at the start, and the last
            layer of FF is 0: ``zero``, and that of the attention too; ``cross_attention``, and ``reader``
            takes the place of the attention.
        reader: a copy of the block's own cross-attention, for that start.
    """

    def __init__(
        self,
        *,
        width: int,
        token_width: int,
        heads: int,
        head_width: int,
        keys: Keys = "both",
        start: Start = "gates",
        reader: ContextReader | None = None,
    ) -> None:
        super().__init__()
        self.keys, self.start, self.reader = keys, start, reader
        if reader is None:
            self.linear = nn.Linear(token_width, width)
            keep_scale(self.linear)
            self.attn = Attention(query_dim=width, heads=heads, dim_head=head_width)
            self.norm1 = nn.LayerNorm(width)
        self.ff = FeedForward(width, activation_fn="geglu")
        self.norm2 = nn.LayerNorm(width)
        self.alpha_attn = nn.Parameter(torch.tensor(float(start != "gates")))
        self.alpha_dense = nn.Parameter(torch.tensor(float(start != "gates")))
        if start != "gates":
            zero(self.ff.net[-1])
        if start == "zero":
            zero(self.attn.to_out[0])

    def gate(self, name: str) -> Tensor:
        """What ``alpha_attn`` or ``alpha_dense`` multiplies by."""
        alpha: Tensor = getattr(self, name)
        return alpha.tanh() if self.start == "gates" else alpha

    def forward(
        self,
        visual: Float[Tensor, "b v w"],
        grounding: Grounding,
        coverage: Float[Tensor, "b v n"] | None = None,
    ) -> Float[Tensor, "b v w"]:
        """The layer's residual for ``visual``; both gates are multiplied by the grounding's strength.

        Args:
            visual: the features of the cells.
            grounding: the tokens.
            coverage: of the cells by the tokens; None where every cell sees every token alike.
        """
        strength = grounding.strength.to(visual)[:, None, None]
        seen = self._read(visual, grounding, coverage)
        if coverage is not None:
            seen = seen * coverage.sum(-1, keepdim=True).clamp(max=1).to(seen)
        first = strength * self.gate("alpha_attn") * seen
        second = strength * self.gate("alpha_dense") * self.ff(self.norm2(visual + first))
        return (first + second).to(visual.dtype)

    def _read(
        self, visual: Float[Tensor, "b v w"], grounding: Grounding, coverage: Float[Tensor, "b v n"] | None
    ) -> Float[Tensor, "b v w"]:
        """What every cell sees through the attention."""
        tokens, here = grounding.tokens.to(visual), grounding.present.to(visual.device)
        bias = token_bias(here[:, None].float() if coverage is None else coverage)
        if self.reader is not None:
            read: Tensor = self.reader(visual, tokens, bias.to(visual))
            return read
        keys = self.linear(tokens)
        if self.keys == "both":
            keys = torch.cat([visual, keys], dim=1)
            if coverage is not None:  # otherwise few tokens drown in many cells
                bias = bias + (visual.shape[1] / here.sum(1).clamp(min=1)).log()[:, None, None]
            bias = torch.cat([bias.new_zeros(*bias.shape[:2], visual.shape[1]), bias], dim=-1)
        seen: Tensor = self.attn(
            self.norm1(visual), encoder_hidden_states=self.norm1(keys), attention_mask=bias.to(visual)
        )
        return seen
