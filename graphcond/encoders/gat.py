"""Graph attention, GATv2 (arXiv 2105.14491), that weighs neighbors by themselves and the predicate."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from graphcond.encoders.graph_network import GraphLayer
from graphcond.encoders.scene_graphs import PackedGraphs, picked, summed

SLOPE = 0.2
"""Of the leaky ReLU in the scores, as in the paper."""


class GatLayer(GraphLayer):
    """h_v + W' sum over u of a_uv (V h_u + predicate), over normalized h; v is among its own neighbors.

    a_uv is the softmax over u of a . leaky_relu(U h_v + V h_u + predicate), in every head. Each triple is
    read either way, with its own reading of the predicate; a node's own edge has none.

    Args:
        width: w, a multiple of ``heads``.
        heads: attentions side by side.
    """

    predicate_parts = 2

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.asking, self.told = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.score = nn.Parameter(torch.randn(heads, width // heads) * (width // heads) ** -0.5)
        self.out = nn.Linear(width, width)

    def forward(self, graph: PackedGraphs) -> PackedGraphs:
        """Nodes that have attended to their neighbors; predicates stay."""
        nodes, (there, back) = self.norm(graph.nodes), graph.predicates.chunk(2, dim=-1)
        own = torch.arange(len(nodes), device=nodes.device)
        sources = torch.cat([graph.subjects, graph.objects, own])
        targets = torch.cat([graph.objects, graph.subjects, own])
        told = picked(self.told(nodes), sources) + torch.cat([there, back, torch.zeros_like(nodes)])
        pairs = rearrange(picked(self.asking(nodes), targets) + told, "m (h w) -> m h w", h=self.heads)
        scores = (F.leaky_relu(pairs, SLOPE) * self.score).sum(-1)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        # The shares of the messages to one node sum to 1 in every head.
        index, none = targets[:, None].expand_as(scores), scores.new_zeros(len(nodes), self.heads)
        highest = none.scatter_reduce(0, index, scores.detach(), "amax", include_self=False)
        raised = (scores - highest[targets]).exp()
        weights = raised / picked(summed(raised, targets, len(nodes)), targets)
        parts = rearrange(told, "m (h w) -> m h w", h=self.heads) * weights[..., None]
        heard = summed(rearrange(parts, "m h w -> m (h w)"), targets, len(nodes))
        return graph.having(graph.nodes + self.out(heard), graph.predicates)
