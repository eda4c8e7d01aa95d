"""CLIP's text transformer with cross-attention to neighbors, under the InstructG2I release's names.

It reads token ids as CLIP does, or states of another text encoder.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from transformers.activations import ACT2FN


@dataclass(frozen=True)
class TransformerShape:
    """The sizes of a CLIP text transformer; with ``states`` it reads states of that width in place of ids."""

    vocabulary: int
    positions: int
    width: int
    layers: int
    heads: int
    hidden: int
    activation: str
    norm_eps: float = 1e-5
    states: int | None = None

    @classmethod
    def over_states(cls, state_width: int, positions: int, layers: int) -> TransformerShape:
        """As wide as CLIP ViT-L/14's, at most as wide as the states that it reads."""
        width = min(768, state_width)
        return cls(
            vocabulary=0,
            positions=positions,
            width=width,
            layers=layers,
            heads=max(1, width // 64),
            hidden=4 * width,
            activation="gelu",
            states=state_width,
        )

    @classmethod
    def of(cls, config: Any) -> TransformerShape:
        """The sizes that a transformers ``CLIPTextConfig`` names."""
        return cls(
            vocabulary=config.vocab_size,
            positions=config.max_position_embeddings,
            width=config.hidden_size,
            layers=config.num_hidden_layers,
            heads=config.num_attention_heads,
            hidden=config.intermediate_size,
            activation=config.hidden_act,
            norm_eps=config.layer_norm_eps,
        )


class TextTransformer(nn.Module):
    """CLIP's text transformer with cross-attention to neighbors in some of its layers."""

    def __init__(self, shape: TransformerShape, neighbor_width: int, cross_attention_every: int) -> None:
        super().__init__()
        self.embeddings = (
            TextEmbeddings(shape) if shape.states is None else StateEmbeddings(shape, shape.states)
        )
        self.encoder = LayerStack(
            QFormerLayer(shape, neighbor_width if number % cross_attention_every == 0 else None)
            for number in range(shape.layers)
        )
        self.final_layer_norm = nn.LayerNorm(shape.width, eps=shape.norm_eps)

    def forward(
        self,
        text: Int64[Tensor, "b n"] | Float[Tensor, "b n s"],
        neighbors: Float[Tensor, "b m c"],
        visible: Bool[Tensor, "b m"],
    ) -> Float[Tensor, "b n w"]:
        """Hidden states after the final layer norm, for token ids or states."""
        return self.final_layer_norm(self.encoder(self.embeddings(text), neighbors, visible))


class LayerStack(nn.Module):
    """Layers one after another; a separate module because the release's names are ``encoder.layers``."""

    def __init__(self, layers: Iterable[QFormerLayer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(
        self, hidden: Float[Tensor, "b n w"], neighbors: Float[Tensor, "b m c"], visible: Bool[Tensor, "b m"]
    ) -> Float[Tensor, "b n w"]:
        """Hidden states of the last layer."""
        for layer in self.layers:
            hidden = layer(hidden, neighbors, visible)
        return hidden

    def last_cross_attention(self) -> MultiHeadAttention:
        """The cross-attention nearest to the output."""
        layers = [layer for layer in self.layers if isinstance(layer, QFormerLayer)]
        return [layer.crossattention for layer in layers if layer.crossattention is not None][-1]


class TextEmbeddings(nn.Module):
    """Token plus position."""

    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.position_embedding = nn.Embedding(shape.positions, shape.width)
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.position_embedding.weight, std=0.02)

    def forward(self, ids: Int64[Tensor, "b n"]) -> Float[Tensor, "b n w"]:
        """Embeddings of ``ids``."""
        positions = torch.arange(ids.shape[1], device=ids.device)
        return self.token_embedding(ids) + self.position_embedding(positions)


class StateEmbeddings(nn.Module):
    """Normed and projected states plus position."""

    def __init__(self, shape: TransformerShape, state_width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(state_width)
        self.projection = nn.Linear(state_width, shape.width)
        self.position_embedding = nn.Embedding(shape.positions, shape.width)
        nn.init.normal_(self.position_embedding.weight, std=0.02)

    def forward(self, states: Float[Tensor, "b n s"]) -> Float[Tensor, "b n w"]:
        """Embeddings of ``states``."""
        positions = torch.arange(states.shape[1], device=states.device)
        return self.projection(self.norm(states)) + self.position_embedding(positions)


class QFormerLayer(nn.Module):
    """Causal self-attention, cross-attention to neighbors (in some layers), MLP; all pre-norm."""

    def __init__(self, shape: TransformerShape, neighbor_width: int | None) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(shape.width, eps=shape.norm_eps)
        self.self_attn = MultiHeadAttention(shape.width, shape.width, shape.heads)
        self.layer_norm2 = nn.LayerNorm(shape.width, eps=shape.norm_eps)
        self.mlp = TextMLP(shape)
        self.crossattention: MultiHeadAttention | None = None
        if neighbor_width is not None:
            self.layer_norm3 = nn.LayerNorm(shape.width, eps=shape.norm_eps)
            self.crossattention = MultiHeadAttention(shape.width, neighbor_width, shape.heads)

    def forward(
        self, hidden: Float[Tensor, "b n w"], neighbors: Float[Tensor, "b m c"], visible: Bool[Tensor, "b m"]
    ) -> Float[Tensor, "b n w"]:
        """Hidden states of the next layer."""
        normed = self.layer_norm1(hidden)
        hidden = hidden + self.self_attn(normed, normed, causal=True)
        if self.crossattention is not None and neighbors.shape[1]:
            queries = self.layer_norm3(hidden)
            hidden = hidden + self.crossattention(queries, neighbors, mask=visible[:, None, None, :])
        return hidden + self.mlp(self.layer_norm2(hidden))


class MultiHeadAttention(nn.Module):
    """Attention with CLIP's parameter names; keys and values may be of another width."""

    def __init__(self, width: int, key_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(key_width, width)
        self.v_proj = nn.Linear(key_width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(
        self,
        queries: Float[Tensor, "b n w"],
        keys: Float[Tensor, "b m c"],
        *,
        mask: Bool[Tensor, "b 1 1 m"] | None = None,
        causal: bool = False,
    ) -> Float[Tensor, "b n w"]:
        """Attend from ``queries`` to ``keys`` where ``mask`` is True."""
        q, k, v = (
            rearrange(project(inputs), "b n (h w) -> b h n w", h=self.heads)
            for project, inputs in ((self.q_proj, queries), (self.k_proj, keys), (self.v_proj, keys))
        )
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        return self.out_proj(rearrange(attended, "b h n w -> b n (h w)"))


class TextMLP(nn.Module):
    """The two-layer MLP of a CLIP text layer."""

    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.fc1 = nn.Linear(shape.width, shape.hidden)
        self.fc2 = nn.Linear(shape.hidden, shape.width)
        self.activation = ACT2FN[shape.activation]

    def forward(self, hidden: Float[Tensor, "b n w"]) -> Float[Tensor, "b n w"]:
        """fc2(activation(fc1))."""
        return self.fc2(self.activation(self.fc1(hidden)))
