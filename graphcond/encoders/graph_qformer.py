"""Graph-QFormer: the prompt's tokens query the target's neighbors (InstructG2I, arXiv 2410.07157)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from graphcond.config import checked
from graphcond.context import NeighborFeatures
from graphcond.encoders.base import Encoder
from graphcond.encoders.config import GraphQFormerConfig
from graphcond.encoders.relations import RelationEmbedding
from graphcond.encoders.text_transformer import MultiHeadAttention, TextTransformer, TransformerShape
from graphcond.signals import GraphTokens, TextTokens

DEFAULT = GraphQFormerConfig.model_construct()

PASS_THROUGH = 3.0
"""Weight of the neighbor state relative to the prompt state under ``start_from_clip``."""


@checked(GraphQFormerConfig)
class GraphQFormer(Encoder[NeighborFeatures, GraphTokens]):
    """Turns a prompt and its neighbors' embeddings into graph tokens, at most as many as the prompt has.

    Parameter names and shapes are those of the InstructG2I release (``text_model...`` with
    ``crossattention`` and ``layer_norm3`` in every n-th layer, ``projector.proj``, ``projector.norm``).

    Args:
        shape: sizes of the text transformer.
        feature_width: d, width of a neighbor's embedding.
        token_width: c, width of the graph tokens, the base's cross-attention width. Where the text
            transformer is narrower, a last linear layer leads from its states to the tokens.
        masks_padding: hide the tokens of the prompt's padding, where the transformer reads states.
        relations: names of the relations whose learned vectors are added to the neighbor tokens.
        **settings: those of `GraphQFormerConfig`.
    """

    def __init__(
        self,
        *,
        shape: TransformerShape,
        feature_width: int,
        token_width: int,
        tokens_per_neighbor: int = DEFAULT.tokens_per_neighbor,
        cross_attention_every: int = DEFAULT.cross_attention_every,
        zero_start: bool = DEFAULT.zero_start,
        neighbor_self_attention: bool = DEFAULT.neighbor_self_attention,
        normalize_embeddings: bool = DEFAULT.normalize_embeddings,
        tokens: int | None = DEFAULT.tokens,
        relations: tuple[str, ...] = (),
        masks_padding: bool = False,
    ) -> None:
        super().__init__()
        self.token_count = tokens or "prompt"
        self.normalize_embeddings = normalize_embeddings
        self.reads_states, self.masks_padding = shape.states is not None, masks_padding
        self.reads_words = not self.reads_states
        self.starts_at_states = False
        self.projector = NeighborProjector(feature_width, shape.width, tokens_per_neighbor)
        self.mixer = NeighborMixer(shape.width, heads=shape.heads) if neighbor_self_attention else None
        self.relations = RelationEmbedding(relations, shape.width) if relations else None
        self.text_model = TextTransformer(shape, shape.width, cross_attention_every)
        self.to_tokens = nn.Linear(shape.width, token_width) if shape.width != token_width else None
        if zero_start:
            for name, parameter in self.text_model.named_parameters():
                if "crossattention.out_proj" in name:
                    nn.init.zeros_(parameter)

    @torch.no_grad()
    def start_from(self, text_encoder: nn.Module, columns: slice = slice(None)) -> None:
        """Take over all weights that a transformers ``CLIPTextModel`` of the same shape has.

        Args:
            text_encoder: with or without a projection, which is not used.
            columns: the part of a token that its states fill; the rest starts at zero.
        """
        weights = {key.removeprefix("text_model."): value for key, value in text_encoder.state_dict().items()}
        weights.pop("text_projection.weight", None)
        missing, surplus = self.text_model.load_state_dict(weights, strict=False)
        ours = [key for key in missing if "crossattention" not in key and "layer_norm3" not in key]
        foreign = [key for key in surplus if "position_ids" not in key]
        if ours or foreign:
            raise ValueError(f"not a CLIP text model of this shape: missing {ours}, surplus {foreign}")
        if self.to_tokens is not None:
            nn.init.zeros_(self.to_tokens.weight)
            nn.init.zeros_(self.to_tokens.bias)
            self.to_tokens.weight[columns] = torch.eye(self.to_tokens.in_features)

    @torch.no_grad()
    def start_at_states(self) -> None:
        """Give the prompt's own states, to which the tokens are added, which start at zero."""
        if self.to_tokens is None:
            width = self.text_model.final_layer_norm.weight.shape[0]
            self.to_tokens = nn.Linear(width, width)
        nn.init.zeros_(self.to_tokens.weight)
        nn.init.zeros_(self.to_tokens.bias)
        # Behind the zeros of `to_tokens`, zeros in the cross-attention would get no gradient.
        for name, parameter in self.text_model.named_parameters():
            if name.endswith("crossattention.out_proj.weight"):
                nn.init.xavier_uniform_(parameter)
        self.starts_at_states = True

    @torch.no_grad()
    def start_from_clip(
        self, empty_prompt: Int64[Tensor, "1 n"], text_projection: Float[Tensor, "d w"]
    ) -> None:
        """Read a neighbor's picture embedding as the text state with that meaning, from the first step on.

        CLIP projects the text state at the end of a prompt into the space that it shares with pictures;
        the pseudo-inverse of that projection leads back. Each neighbor token starts as that state, and the
        last cross-attention adds the neighbors' states to the prompt's. Since nothing about a particular
        style has to be learned, styles that training never met come through as well.

        Args:
            empty_prompt: token ids of the empty prompt, whose state fills what the projection ignores.
            text_projection: CLIP's projection of text states, in the space of the embeddings.

        Raises:
            ValueError: the projection does not lead from this text model to these embeddings.
        """
        norm, proj = self.text_model.final_layer_norm, self.projector.proj
        width, tokens = norm.weight.shape[0], self.projector.tokens
        if text_projection.shape != (proj.in_features, width) or proj.out_features != tokens * width:
            shape = tuple(text_projection.shape)
            raise ValueError(f"a projection of shape {shape} does not fit this encoder")
        nothing, prompt = proj.weight.new_zeros(1, 0, width), self.text_model.embeddings(empty_prompt)
        before = self.text_model.encoder(prompt, nothing, nothing[..., 0].bool())[0, 1]
        back = torch.linalg.pinv(text_projection)
        rest = norm(before) - back @ (text_projection @ norm(before))
        # Factors near 1 tell the tokens of one neighbor apart, so that they can learn to differ.
        factors = 1 + 0.02 * torch.randn_like(proj.weight)
        proj.weight.copy_((back / norm.weight[:, None]).repeat(tokens, 1) * factors)
        proj.bias.copy_(((rest - norm.bias) / norm.weight).repeat(tokens))
        last = self.text_model.encoder.last_cross_attention()
        for linear, gain in ((last.v_proj, 1.0), (last.out_proj, PASS_THROUGH * float(before.std()))):
            linear.weight.copy_(torch.eye(width) * gain)
            linear.bias.zero_()

    def freeze_text(self) -> None:
        """Leave only the projector and the cross-attention layers with their norms to training."""
        for name, parameter in self.text_model.named_parameters():
            parameter.requires_grad_("crossattention" in name or "layer_norm3" in name)

    def forward(self, context: NeighborFeatures, text: TextTokens) -> GraphTokens:
        """Graph tokens (b, n, c) for the prompts' first n; hidden for targets without any neighbor."""
        if isinstance(self.token_count, int):
            text = text.first(self.token_count)
        embeddings = context.embeddings.to(self.projector.proj.weight.dtype)
        if self.normalize_embeddings:
            embeddings = F.normalize(embeddings, dim=-1) * embeddings.shape[-1] ** 0.5
        neighbors = self.projector(embeddings)
        if self.relations is not None:
            neighbors = neighbors + self.relations(context).repeat_interleave(self.projector.tokens, dim=1)
        present = context.present.repeat_interleave(self.projector.tokens, dim=1)
        some = context.present.any(dim=1)
        # A softmax over nothing is not a number: such rows see everything here, and are hidden below.
        visible = present | ~some[:, None]
        if self.mixer is not None:
            neighbors = self.mixer(neighbors, visible)
        states = text.hidden.to(embeddings.dtype)
        tokens = self.text_model(states if self.reads_states else text.ids, neighbors, visible)
        if self.to_tokens is not None:
            tokens = self.to_tokens(tokens)
        if self.starts_at_states:
            tokens = states + tokens
        shown = text.attended(self.masks_padding and self.reads_states)
        return GraphTokens(tokens, some[:, None] & shown)


class NeighborProjector(nn.Module):
    """Each embedding becomes a few tokens: Linear, then LayerNorm."""

    def __init__(self, feature_width: int, token_width: int, tokens_per_neighbor: int) -> None:
        super().__init__()
        self.tokens = tokens_per_neighbor
        self.proj = nn.Linear(feature_width, tokens_per_neighbor * token_width)
        self.norm = nn.LayerNorm(token_width)

    def forward(self, embeddings: Float[Tensor, "b k d"]) -> Float[Tensor, "b m c"]:
        """Tokens of all neighbors in a row, m = k times the tokens per neighbor."""
        return self.norm(rearrange(self.proj(embeddings), "b k (t c) -> b (k t) c", t=self.tokens))


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
