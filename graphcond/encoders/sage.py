"""GraphSAGE with mean aggregation (arXiv 1706.02216) whose messages carry the predicate."""

from __future__ import annotations

import torch
from torch import nn

from graphcond.encoders.graph_network import GraphLayer
from graphcond.encoders.scene_graphs import PackedGraphs, averaged, picked


class SageLayer(GraphLayer):
    """h + relu(W h + mean over neighbors u of V relu(h_u + predicate)), over normalized h.

    Each triple sends a message either way, with its own reading of the predicate; adding an edge's vector
    before a nonlinearity is GINE's way (arXiv 1905.12265).
    """

    predicate_parts = 2

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.own, self.heard = nn.Linear(width, width), nn.Linear(width, width, bias=False)

    def forward(self, graph: PackedGraphs) -> PackedGraphs:
        """Nodes that have heard their neighbors; predicates stay."""
        nodes, (there, back) = self.norm(graph.nodes), graph.predicates.chunk(2, dim=-1)
        messages = torch.cat(
            [picked(nodes, graph.subjects) + there, picked(nodes, graph.objects) + back]
        ).relu()
        mean = averaged(messages, torch.cat([graph.objects, graph.subjects]), len(nodes))
        return graph.having(graph.nodes + (self.own(nodes) + self.heard(mean)).relu(), graph.predicates)
