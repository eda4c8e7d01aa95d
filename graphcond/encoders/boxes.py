"""Boxes of objects, predicted from the graph."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from graphcond.context import SceneFeatures
from graphcond.encoders.graph_network import GraphNetwork


class BoxHead(nn.Module):
    """A box for each vector: sg2im's two-layer MLP (arXiv 1804.01622), kept within the picture.

    It gives a size and a place in the room that the size leaves, both through a sigmoid; so every box has
    an area and lies in 0..1, and gradients never stop at an edge. (sg2im's own leaves numbers free.)

    Args:
        width: w, width of the vectors.
        hidden: width of the hidden layer.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 4))

    def forward(self, vectors: Float[Tensor, "*b w"]) -> Float[Tensor, "*b 4"]:
        """Boxes x0 y0 x1 y1 in 0..1, in float32 or finer."""
        numbers = self.mlp(vectors)
        shares = numbers.to(torch.promote_types(numbers.dtype, torch.float32)).sigmoid()
        place, size = shares.chunk(2, dim=-1)
        start = place * (1 - size)
        return torch.cat([start, start + size], dim=-1)


class BoxPredictor(nn.Module):
    """A box for each node of a graph, from a separate graph network.

    Args:
        network: gives a vector for each node.
    """

    def __init__(self, network: GraphNetwork) -> None:
        super().__init__()
        self.network, self.head = network, BoxHead(network.width, 4 * network.width)

    def forward(self, context: SceneFeatures) -> Float[Tensor, "b n 4"]:
        """Boxes x0 y0 x1 y1 in 0..1 of all nodes; meant for objects only."""
        return self.head(self.network(context))
