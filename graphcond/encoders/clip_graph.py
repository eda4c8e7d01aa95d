"""A graph's embedding in CLIP's space, and tokens that hold it (Mishra & Subramanyam, arXiv 2401.14111)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from graphcond.config import checked
from graphcond.context import SceneFeatures
from graphcond.encoders.base import Encoder
from graphcond.encoders.config import ClipGraphConfig
from graphcond.encoders.graph_network import GraphNetwork
from graphcond.signals import GraphTokens, TextTokens

DEFAULT = ClipGraphConfig.model_construct()


@checked(ClipGraphConfig)
class ClipGraph(Encoder[SceneFeatures, GraphTokens]):
    """A token for the graph and one for each object, from an embedding of the graph in CLIP's space.

    The embedding is made of the mean of the network's vectors; `ClipGan` or `ClipAlignment` teach it to lie
    where CLIP has the picture. The paper fuses it with CLIP's embedding of each object's label. Both are the
    same for all circles of a scene, so that by default the network's vector of the object, which has heard
    its attributes and relations, is fused with them. Nothing here has a box: where things are is for the
    denoiser to learn.

    Args:
        network: gives a vector for each node.
        feature_width: d, width of CLIP's embeddings, of words and of pictures.
        token_width: c, width of the base's context tokens.
        node_vectors: fuse the object's vector too.
    """

    reads = SceneFeatures
    gives = GraphTokens

    def __init__(
        self,
        network: GraphNetwork,
        *,
        feature_width: int,
        token_width: int,
        node_vectors: bool = DEFAULT.node_vectors,
    ) -> None:
        super().__init__()
        self.network, self.embedding_width, self.node_vectors = network, feature_width, node_vectors
        width, hidden = network.width, 4 * network.width
        fused = 2 * feature_width + (width if node_vectors else 0)
        self.embed = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, feature_width))
        self.of_scene, self.of_object = (
            nn.Sequential(
                *(nn.Linear(read, hidden), nn.GELU()),
                *(nn.Linear(hidden, token_width), nn.LayerNorm(token_width)),
            )
            for read in (feature_width, fused)
        )

    def forward(self, context: SceneFeatures, text: TextTokens) -> GraphTokens:
        """Tokens (b, 1 + n, c) for up to n objects in a scene; ``text`` is not read."""
        count = context.most_objects
        scene, objects = self._tokens(context)
        tokens = torch.cat([scene[:, None], objects[:, :count]], dim=1)
        return GraphTokens(
            tokens, torch.cat([context.has_graph[:, None], context.is_object[:, :count]], dim=1)
        )

    def object_tokens(self, context: SceneFeatures) -> Float[Tensor, "b n c"]:
        """A token for each node; meant for objects only."""
        return self._tokens(context.masked())[1]

    def embed_scenes(self, context: SceneFeatures) -> Float[Tensor, "b d"]:
        """Each scene in CLIP's space, of any length; the same for all empty scenes."""
        context = context.masked()
        return self._scenes(context, self.network(context))

    def _scenes(self, context: SceneFeatures, vectors: Float[Tensor, "b n w"]) -> Float[Tensor, "b d"]:
        count = context.present.sum(1, keepdim=True).clamp(min=1)
        return self.embed(vectors.sum(1) / count)

    def _tokens(self, context: SceneFeatures) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b n c"]]:
        vectors = self.network(context)
        scene, labels = _scaled(self._scenes(context, vectors)), _scaled(context.nodes.to(vectors.dtype))
        parts = [labels, scene[:, None].expand_as(labels), *([vectors] if self.node_vectors else [])]
        return self.of_scene(scene), self.of_object(torch.cat(parts, dim=-1))


def _scaled(embeddings: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
    """Embeddings of one length, as CLIP compares them, with components of about 1, as layers read them."""
    return F.normalize(embeddings, dim=-1) * embeddings.shape[-1] ** 0.5
