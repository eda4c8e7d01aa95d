"""Convolution over triples, as in sg2im (Johnson et al. 2018, arXiv 1804.01622)."""

from __future__ import annotations

from torch import nn

from graphcond.encoders.graph_network import GraphLayer
from graphcond.encoders.scene_graphs import PackedGraphs, proposed


class TripleConvolution(GraphLayer):
    """Each triple proposes new vectors for its three parts; a node takes the mean of its proposals.

    An MLP reads (subject, predicate, object). It gives the predicate's new vector and, for either end, a
    proposal; the mean of all proposals to a node goes through a second MLP. Unlike sg2im's, both MLPs read
    normalized vectors and add to what they read, so that several layers train within minutes.

    Args:
        width: w, width of nodes and predicates.
        hidden: width of the hidden layers and of the proposals.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.sizes = [hidden, width, hidden]
        self.node_norm, self.predicate_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.propose = nn.Sequential(
            nn.Linear(3 * width, hidden), nn.ReLU(), nn.Linear(hidden, sum(self.sizes)), nn.ReLU()
        )
        self.combine = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, width))

    def forward(self, graph: PackedGraphs) -> PackedGraphs:
        """Nodes and predicates with what their triples say added to them."""
        normed = graph.having(self.node_norm(graph.nodes), self.predicate_norm(graph.predicates))
        pooled, change = proposed(normed, self.propose, self.sizes)
        return graph.having(graph.nodes + self.combine(pooled), graph.predicates + change)
