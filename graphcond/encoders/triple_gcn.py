"""Convolution over triples, as in sg2im (Johnson et al. 2018, arXiv 1804.01622)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from graphcond.encoders.graph_network import GraphLayer, GraphNetwork
from graphcond.encoders.object_tokens import ObjectTokensConfig
from graphcond.encoders.scene_graphs import PackedScenes, averaged


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

    def forward(self, graph: PackedScenes) -> PackedScenes:
        """Nodes and predicates with what their triples say added to them."""
        nodes, predicates = self.node_norm(graph.nodes), self.predicate_norm(graph.predicates)
        triples = torch.cat([nodes[graph.subjects], predicates, nodes[graph.objects]], dim=-1)
        to_subject, change, to_object = self.propose(triples).split(self.sizes, dim=-1)
        ends = torch.cat([graph.subjects, graph.objects])
        pooled = averaged(torch.cat([to_subject, to_object]), ends, len(nodes))
        return graph.having(graph.nodes + self.combine(pooled), graph.predicates + change)


class TripleGCNConfig(ObjectTokensConfig):
    """Tokens of objects from sg2im's convolution over triples."""

    kind: Literal["triple_gcn"] = "triple_gcn"
    layers: int = Field(5, ge=1, le=64)
    """Rounds; after n of them an object has heard of others up to n relations away."""
    hidden: int | None = Field(None, ge=1)
    """Width of the layers' MLPs; four times `node_width` unless given, as in sg2im."""

    def network(self, input_width: int) -> GraphNetwork:
        """The graph network over words of ``input_width``."""
        layers = [
            TripleConvolution(self.node_width, self.hidden or 4 * self.node_width) for _ in range(self.layers)
        ]
        return GraphNetwork(input_width, self.node_width, layers)
