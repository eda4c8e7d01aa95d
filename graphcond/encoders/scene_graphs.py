"""A padded batch of graphs as one graph in several pieces, the input of graph networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from graphcond.context import SceneFeatures


@dataclass(frozen=True)
class PackedGraphs:
    """All nodes and triples of a batch without padding; pieces of different graphs are not connected.

    Args:
        nodes: vectors of the nodes of all graphs, graph after graph.
        predicates: vectors of the triples.
        subjects: row in ``nodes`` of each triple's subject.
        objects: row in ``nodes`` of each triple's object.
        present: the positions of the nodes in the batch.
        types: number of each triple's relation; None for scenes, whose relations are words.
    """

    nodes: Float[Tensor, "p d"]
    predicates: Float[Tensor, "e d_e"]
    subjects: Int64[Tensor, " e"]
    objects: Int64[Tensor, " e"]
    present: Bool[Tensor, "b n"]
    types: Int64[Tensor, " e"] | None = None

    def having(self, nodes: Float[Tensor, "p w"], predicates: Float[Tensor, "e w_e"]) -> PackedGraphs:
        """The same graph with other vectors."""
        return replace(self, nodes=nodes, predicates=predicates)

    def unpack(self) -> Float[Tensor, "b n d"]:
        """The nodes' vectors at their positions in the batch; zero at the others."""
        padded = self.nodes.new_zeros(*self.present.shape, self.nodes.shape[-1])
        return padded.masked_scatter(self.present[..., None], self.nodes)


def pack(context: SceneFeatures) -> PackedGraphs:
    """``context`` without padding, its word embeddings as vectors."""
    present, related = context.present, context.related
    place = torch.cumsum(present.reshape(-1), 0).reshape(present.shape) - 1
    scene = torch.arange(len(present), device=present.device)[:, None].expand(related.shape)[related]
    ends = context.triples[related]
    return PackedGraphs(
        nodes=context.nodes[present],
        predicates=context.predicates[related],
        subjects=place[scene, ends[:, 0]],
        objects=place[scene, ends[:, 1]],
        present=present,
    )


def either_way(graph: PackedGraphs) -> tuple[Int64[Tensor, " m"], Int64[Tensor, " m"]]:
    """Sources and targets of edges from each subject to its object, then of edges back."""
    return torch.cat([graph.subjects, graph.objects]), torch.cat([graph.objects, graph.subjects])


def with_predicate_nodes(
    graph: PackedGraphs,
) -> tuple[Float[Tensor, "q w"], Int64[Tensor, " m"], Int64[Tensor, " m"]]:
    """Nodes, sources and targets of a graph whose every triple is two nodes more.

    One is on the way from the subject to the object, one on the way back, each with its own reading of the
    predicate, so that edges without features carry predicates. See `predicates_again` for the way back.
    """
    there, back = graph.predicates.chunk(2, dim=-1)
    nodes, count = torch.cat([graph.nodes, there, back]), len(graph.subjects)
    there_at = len(graph.nodes) + torch.arange(count, device=graph.subjects.device)
    back_at = there_at + count
    sources = torch.cat([graph.subjects, there_at, graph.objects, back_at])
    targets = torch.cat([there_at, graph.objects, back_at, graph.subjects])
    return nodes, sources, targets


def predicates_again(graph: PackedGraphs, nodes: Float[Tensor, "q w"]) -> PackedGraphs:
    """``graph`` with new vectors for the nodes of `with_predicate_nodes`."""
    count = len(graph.subjects)
    objects, there, back = nodes.split([len(graph.nodes), count, count])
    return graph.having(objects, torch.cat([there, back], dim=-1))


def picked(values: Float[Tensor, "p w"], rows: Int64[Tensor, " m"]) -> Float[Tensor, "m w"]:
    """``values[rows]``, with the same gradient in every run.

    The gradient of an index is summed by several threads in any order, that of ``index_select`` is not.
    """
    return values.index_select(0, rows)


def summed(
    messages: Float[Tensor, "m w"], targets: Int64[Tensor, " m"], count: int
) -> Float[Tensor, "count w"]:
    """The sum of the messages that each of ``count`` nodes gets, in float32 or finer."""
    messages = messages.to(torch.promote_types(messages.dtype, torch.float32))
    return messages.new_zeros(count, messages.shape[-1]).index_add(0, targets, messages)


def counted(targets: Int64[Tensor, " m"], count: int) -> Float[Tensor, " count"]:
    """The number of messages to each of ``count`` nodes."""
    return torch.bincount(targets, minlength=count).float()


def averaged(
    messages: Float[Tensor, "m w"], targets: Int64[Tensor, " m"], count: int
) -> Float[Tensor, "count w"]:
    """The mean of the messages that each node gets; zero where there is none."""
    return summed(messages, targets, count) / counted(targets, count).clamp(min=1)[:, None]


def proposed(
    graph: PackedGraphs, propose: nn.Module, sizes: Sequence[int]
) -> tuple[Float[Tensor, "p w"], Float[Tensor, "e w_e"]]:
    """The mean of what triples propose to each node, and what they propose for their predicates.

    Args:
        graph: the vectors that ``propose`` reads: subject, predicate and object side by side.
        propose: a network.
        sizes: the widths of what it gives, for the subject, the predicate and the object.
    """
    ends = picked(graph.nodes, graph.subjects), graph.predicates, picked(graph.nodes, graph.objects)
    to_subject, predicates, to_object = propose(torch.cat(ends, dim=-1)).split(list(sizes), dim=-1)
    rows = torch.cat([graph.subjects, graph.objects])
    return averaged(torch.cat([to_subject, to_object]), rows, len(graph.nodes)), predicates
