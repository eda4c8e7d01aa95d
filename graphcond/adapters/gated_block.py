"""One gated self-attention layer; GLIGEN (arXiv 2301.07093, eq. 9) has one in each transformer block."""

from __future__ import annotations

import torch
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from jaxtyping import Bool, Float
from torch import Tensor, nn

from graphcond.adapters.position_net import keep_scale
from graphcond.types import Grounding


class GatedBlock(nn.Module):
    """What stands between a block's self- and cross-attention; gates are 0 at the start.

    v + tanh(alpha) * SelfAttention([v, h])[: len(v)], then v + tanh(beta) * FF(v). Parameters are named
    as in GLIGEN's released UNets (diffusers' layout): alpha is ``alpha_attn``, beta ``alpha_dense``.

    Args:
        width: of the block's features v.
        token_width: c, of the grounding tokens.
        heads: of the attention.
        head_width: of each head.
    """

    def __init__(self, *, width: int, token_width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(token_width, width)
        keep_scale(self.linear)
        self.attn = Attention(query_dim=width, heads=heads, dim_head=head_width)
        self.ff = FeedForward(width, activation_fn="geglu")
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.alpha_attn = nn.Parameter(torch.zeros(()))
        self.alpha_dense = nn.Parameter(torch.zeros(()))

    def forward(self, visual: Float[Tensor, "b v w"], grounding: Grounding) -> Float[Tensor, "b v w"]:
        """What the layer adds to ``visual``; both gates are multiplied by the grounding's strength."""
        strength = grounding.strength.to(visual)[:, None, None]
        keys = torch.cat([visual, self.linear(grounding.tokens.to(visual))], dim=1)
        seen = self.attn(
            self.norm1(visual),
            encoder_hidden_states=self.norm1(keys),
            attention_mask=_visible(grounding.present, visual),
        )
        first = strength * self.alpha_attn.tanh() * seen
        second = strength * self.alpha_dense.tanh() * self.ff(self.norm2(visual + first))
        return (first + second).to(visual.dtype)


def key_of(block_name: str) -> str:
    """A block's module name as a key of an ``nn.ModuleDict``, which allows no dots."""
    return block_name.replace(".", "/")


def _visible(present: Bool[Tensor, "b n"], visual: Float[Tensor, "b v w"]) -> Bool[Tensor, "b 1 keys"]:
    """True for the keys that are seen: the block's own features, and the tokens that are present."""
    own = torch.ones(visual.shape[:2], dtype=torch.bool, device=visual.device)
    return torch.cat([own, present.to(visual.device)], dim=1)[:, None]
