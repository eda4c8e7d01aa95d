"""A token for the target and for each of its neighbors, from any graph network."""

from __future__ import annotations

import torch
from torch import nn

from graphcond.context import NeighborFeatures, NeighborStructure
from graphcond.encoders.base import Encoder
from graphcond.encoders.graph_network import GraphNetwork
from graphcond.encoders.relations import RelationEmbedding, numbered
from graphcond.encoders.scene_graphs import PackedGraphs
from graphcond.signals import GraphTokens, TextTokens

FAR = 3
"""Neighbors that are this many steps away or more are not distinguished by their distance."""


class NeighborTokens(Encoder[NeighborFeatures, GraphTokens]):
    """Graph tokens of a target and its neighbors, after messages along the edges among them.

    With GraphSAGE or GAT as the network these are the graph networks that the InstructG2I paper (arXiv
    2410.07157) compares with the Graph-QFormer. Features without a structure (pictures that a caller gives)
    are read as a star: each neighbor is linked to the target.

    Args:
        network: gives a vector for each node.
        feature_width: d, width of a neighbor's embedding.
        token_width: c, width of the base's context tokens.
        relations: names of the relations by which edges are distinguished.
        target_text: start the target from the embedding of its own text, where it is given.
    """

    def __init__(
        self,
        network: GraphNetwork,
        *,
        feature_width: int,
        token_width: int,
        relations: tuple[str, ...] = (),
        target_text: bool = False,
    ) -> None:
        super().__init__()
        self.read = NeighborGraph(
            feature_width, relations, target_text=target_text, predicates=network.reads_predicates
        )
        self.network = network
        self.out = nn.Sequential(nn.Linear(network.width, token_width), nn.LayerNorm(token_width))

    def forward(self, context: NeighborFeatures, text: TextTokens) -> GraphTokens:
        """Tokens (b, 1 + k, c), the target's first; ``text`` is not read."""
        graph = self.read(context)
        return GraphTokens(self.out(self.network.vectors(graph)), graph.present)


class NeighborGraph(nn.Module):
    """Neighbors as a graph: a node for the target, one for each neighbor, and edges as triples.

    The target starts from a learned vector. A neighbor's embedding gets two learned vectors added, both zero
    before training: one for its steps from the target, one times its score. The embedding of a triple is a
    learned vector, and one for its relation.

    Args:
        width: d, of embeddings.
        relations: names of the relations that are distinguished.
        target_text: add the embedding of the target's own text to the target's vector.
        predicates: embed triples, for a network that reads them.
    """

    def __init__(
        self, width: int, relations: tuple[str, ...], target_text: bool, *, predicates: bool
    ) -> None:
        super().__init__()
        self.target_text = target_text
        self.target = nn.Parameter(torch.randn(width))
        self.hops = nn.Embedding.from_pretrained(torch.zeros(FAR + 1, width), freeze=False)
        self.score = nn.Parameter(torch.zeros(width))
        self.names = relations
        self.edge = nn.Parameter(torch.randn(width)) if predicates else None
        self.relations = RelationEmbedding(relations, width) if predicates and relations else None

    def forward(self, context: NeighborFeatures) -> PackedGraphs:
        """The graph of each target that has a neighbor."""
        context = context.to(dtype=self.target.dtype)
        structure = context.structure or star_of(context)
        present = torch.cat([context.present.any(1, keepdim=True), context.present], dim=1)
        place = torch.cumsum(present.reshape(-1), 0).reshape(present.shape) - 1
        row, source, target = structure.linked.nonzero(as_tuple=True)
        types = torch.zeros_like(row)
        if self.names and structure.relations is not None:
            types = numbered(structure.relations[row, source, target], context.relation_names, self.names)
        targets = self.target.expand(len(present), 1, -1)
        if self.target_text and context.target is not None:
            targets = targets + context.target[:, None]
        placed = self.hops(structure.hops.clamp(max=FAR)) + structure.scores[..., None] * self.score
        edges = self.target.new_zeros(len(types), 0)
        if self.edge is not None:
            edges = self.edge.expand(len(types), -1)
        if self.relations is not None:
            edges = edges + self.relations.table(types)
        return PackedGraphs(
            nodes=torch.cat([targets, context.embeddings + placed], dim=1)[present],
            predicates=edges,
            subjects=place[row, source],
            objects=place[row, target],
            present=present,
            types=types,
        )


def star_of(context: NeighborFeatures) -> NeighborStructure:
    """A structure for neighbors whose edges are not known: each is linked to the target, either way."""
    rows, count = context.present.shape
    linked = torch.zeros(rows, 1 + count, 1 + count, dtype=torch.bool, device=context.present.device)
    linked[:, 0, 1:] = linked[:, 1:, 0] = context.present
    relations = None
    if context.relations is not None:
        relations = torch.zeros_like(linked, dtype=torch.long)
        relations[:, 0, 1:] = relations[:, 1:, 0] = context.relations
    return NeighborStructure(context.embeddings.new_zeros(rows, count), linked, relations)
