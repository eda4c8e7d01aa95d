"""Graph-QFormer: the prompt's tokens query the target's neighbors (InstructG2I, arXiv 2410.07157)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn

from graphcond.component import ComponentConfig
from graphcond.encoders.base import BaseSite, Encoder
from graphcond.encoders.text_transformer import MultiHeadAttention, TextTransformer, TransformerShape
from graphcond.types import GraphTokens, NeighborFeatures, TextTokens


class GraphQFormer(Encoder):
    """Turns a prompt and the embeddings of its neighbors into as many graph tokens as the prompt has.

    Parameter names and shapes are those of the InstructG2I release (``text_model...`` with
    ``crossattention`` and ``layer_norm3`` in every n-th layer, ``projector.proj``, ``projector.norm``).

    Args:
        shape: sizes of the text transformer; its width is the width of the graph tokens.
        feature_width: d, width of a neighbor's embedding.
        token_width: width of the neighbor tokens, the base's cross-attention width in the release.
        tokens_per_neighbor: tokens that one embedding becomes.
        cross_attention_every: layers 0, n, 2n ... attend to the neighbors.
        zero_start: start the output of every cross-attention at zero.
        neighbor_self_attention: neighbor tokens attend to each other before they are read.
        normalize_embeddings: bring embeddings to one length first.
    """

    def __init__(
        self,
        *,
        shape: TransformerShape,
        feature_width: int,
        token_width: int,
        tokens_per_neighbor: int = 4,
        cross_attention_every: int = 2,
        zero_start: bool = True,
        neighbor_self_attention: bool = False,
        normalize_embeddings: bool = False,
    ) -> None:
        super().__init__()
        self.normalize_embeddings = normalize_embeddings
        self.projector = NeighborProjector(feature_width, token_width, tokens_per_neighbor)
        self.mixer = NeighborMixer(token_width, heads=shape.heads) if neighbor_self_attention else None
        self.text_model = TextTransformer(shape, token_width, cross_attention_every)
        if zero_start:
            for name, parameter in self.text_model.named_parameters():
                if "crossattention.out_proj" in name:
                    nn.init.zeros_(parameter)

    def start_from(self, text_encoder: nn.Module) -> None:
        """Take over all weights that a transformers ``CLIPTextModel`` of the same shape has."""
        weights = {key.removeprefix("text_model."): value for key, value in text_encoder.state_dict().items()}
        missing, surplus = self.text_model.load_state_dict(weights, strict=False)
        ours = [key for key in missing if "crossattention" not in key and "layer_norm3" not in key]
        foreign = [key for key in surplus if "position_ids" not in key]
        if ours or foreign:
            raise ValueError(f"not a CLIP text model of this shape: missing {ours}, surplus {foreign}")

    def forward(self, context: NeighborFeatures, text: TextTokens) -> GraphTokens:
        """Graph tokens (b, n, c) for prompts (b, n); hidden for targets without any neighbor."""
        embeddings = context.embeddings.to(self.projector.proj.weight.dtype)
        if self.normalize_embeddings:
            embeddings = F.normalize(embeddings, dim=-1) * embeddings.shape[-1] ** 0.5
        neighbors, present = self.projector(embeddings), context.present
        present = (
            present.repeat_interleave(neighbors.shape[1] // present.shape[1], dim=1)
            if present.shape[1]
            else present
        )
        some = context.present.any(dim=1)
        visible = (
            present | ~some[:, None]
        )  # a softmax over nothing is not a number; such rows are hidden below
        if self.mixer is not None:
            neighbors = self.mixer(neighbors, visible)
        tokens = self.text_model(text.ids, neighbors, visible)
        return GraphTokens(tokens, some[:, None].expand(tokens.shape[:2]))


class NeighborProjector(nn.Module):
    """Each embedding becomes a few tokens: Linear, then LayerNorm."""

    def __init__(self, feature_width: int, token_width: int, tokens_per_neighbor: int) -> None:
        super().__init__()
        self.proj = nn.Linear(feature_width, tokens_per_neighbor * token_width)
        self.norm = nn.LayerNorm(token_width)

    def forward(self, embeddings: Float[Tensor, "b k d"]) -> Float[Tensor, "b m c"]:
        """Tokens of all neighbors in a row, m = k times the tokens per neighbor."""
        return self.norm(
            rearrange(self.proj(embeddings), "b k (t c) -> b (k t) c", c=self.norm.normalized_shape[0])
        )


class NeighborMixer(nn.Module):
    """Pre-norm self-attention among the neighbor tokens of one target."""

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = MultiHeadAttention(width, width, heads)

    def forward(self, tokens: Float[Tensor, "b m c"], visible: Bool[Tensor, "b m"]) -> Float[Tensor, "b m c"]:
        """Tokens that have seen each other."""
        normed = self.norm(tokens)
        return tokens + self.attention(normed, normed, mask=visible[:, None, None, :])


class GraphQFormerConfig(ComponentConfig):
    """A CLIP text transformer whose every n-th layer also attends to the neighbors' embeddings."""

    component: ClassVar = GraphQFormer
    kind: Literal["graph_qformer"] = "graph_qformer"
    tokens_per_neighbor: int = Field(4, ge=1)
    """Tokens that each neighbor's embedding is projected to."""
    cross_attention_every: int = Field(2, ge=1)
    """Layers 0, n, 2n ... attend to the neighbors."""
    width: int | None = Field(None, ge=1)
    """Width of the graph tokens; follows the base's text encoder unless given."""
    init: Literal["text_encoder", "random"] = "text_encoder"
    """Start from the weights of the base's text encoder, or from noise."""
    zero_start: bool = True
    """Cross-attention starts at zero, so that training starts from the prompt's own tokens."""
    neighbor_self_attention: bool = False
    """Let neighbor tokens attend to each other first, as the paper says and the release does not."""
    normalize_embeddings: bool = False
    """Scale neighbor embeddings to length one times the square root of their width."""

    def build(self, *, feature_width: int, base: BaseSite) -> GraphQFormer:
        """The encoder for a base, reading neighbor embeddings of ``feature_width``."""
        text = base.text_encoder.config
        qformer = GraphQFormer(
            shape=TransformerShape(
                vocabulary=text.vocab_size,
                positions=text.max_position_embeddings,
                width=self.width or text.hidden_size,
                layers=text.num_hidden_layers,
                heads=text.num_attention_heads,
                hidden=text.intermediate_size,
                activation=text.hidden_act,
                norm_eps=text.layer_norm_eps,
            ),
            feature_width=feature_width,
            token_width=base.token_width,
            tokens_per_neighbor=self.tokens_per_neighbor,
            cross_attention_every=self.cross_attention_every,
            zero_start=self.zero_start,
            neighbor_self_attention=self.neighbor_self_attention,
            normalize_embeddings=self.normalize_embeddings,
        )
        if self.init == "text_encoder":
            qformer.start_from(base.text_encoder)
        return qformer
