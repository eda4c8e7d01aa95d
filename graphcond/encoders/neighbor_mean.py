"""The mean of the neighbors' embeddings through one MLP: the control that a Graph-QFormer must beat."""

from __future__ import annotations

from einops import rearrange
from torch import nn

from graphcond.config import checked
from graphcond.context import NeighborFeatures
from graphcond.encoders.base import Encoder
from graphcond.encoders.config import NeighborMeanConfig
from graphcond.encoders.relations import RelationEmbedding
from graphcond.signals import GraphTokens, TextTokens

DEFAULT = NeighborMeanConfig.model_construct()


@checked(NeighborMeanConfig)
class NeighborMean(Encoder[NeighborFeatures, GraphTokens]):
    """Graph tokens from the mean embedding of the neighbors that are there.

    A cheap, strong control: GWM-E (ICML 2025) builds on such averages.

    Args:
        feature_width: d, width of a neighbor's embedding.
        token_width: c, width of the base's context tokens.
        relations: names of the relations that weigh a neighbor's embedding, each feature by a learned factor.
        **settings: those of `NeighborMeanConfig`.
    """

    def __init__(
        self,
        *,
        feature_width: int,
        token_width: int,
        tokens: int = DEFAULT.tokens,
        hidden: int = DEFAULT.hidden,
        relations: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.tokens = self.token_count = tokens
        self.relations = RelationEmbedding(relations, feature_width) if relations else None
        self.mlp = nn.Sequential(
            nn.LayerNorm(feature_width),
            nn.Linear(feature_width, hidden),
            nn.GELU(),
            nn.Linear(hidden, tokens * token_width),
        )
        self.norm = nn.LayerNorm(token_width)

    def forward(self, context: NeighborFeatures, text: TextTokens) -> GraphTokens:
        """Graph tokens (b, tokens, c); hidden for targets without any neighbor."""
        here = context.present[..., None].to(self.norm.weight.dtype)
        embeddings = context.embeddings.to(here.dtype)
        if self.relations is not None:
            # Vectors that were added would not say which neighbor they belong to: a mean forgets that.
            embeddings = embeddings * (1 + self.relations(context))
        mean = (embeddings * here).sum(1) / here.sum(1).clamp(min=1)
        tokens = self.norm(rearrange(self.mlp(mean), "b (n c) -> b n c", n=self.tokens))
        return GraphTokens(tokens, context.present.any(dim=1)[:, None].expand(tokens.shape[:2]))
