"""A padded batch of scenes as one graph in several pieces, the input of graph networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from graphcond.context import SceneFeatures


@dataclass(frozen=True)
class PackedScenes:
    """All nodes and triples of a batch without padding; pieces of different scenes are not connected.

    Args:
        nodes: vectors of the nodes of all scenes, scene after scene.
        predicates: vectors of the triples.
        subjects: row in ``nodes`` of each triple's subject.
        objects: row in ``nodes`` of each triple's object.
        present: the positions of the nodes in the batch.
    """

    nodes: Float[Tensor, "p d"]
    predicates: Float[Tensor, "e d_e"]
    subjects: Int64[Tensor, " e"]
    objects: Int64[Tensor, " e"]
    present: Bool[Tensor, "b n"]

    def having(self, nodes: Float[Tensor, "p w"], predicates: Float[Tensor, "e w_e"]) -> PackedScenes:
        """The same graph with other vectors."""
        return replace(self, nodes=nodes, predicates=predicates)

    def unpack(self) -> Float[Tensor, "b n d"]:
        """The nodes' vectors at their positions in the batch; zero at the others."""
        padded = self.nodes.new_zeros(*self.present.shape, self.nodes.shape[-1])
        return padded.masked_scatter(self.present[..., None], self.nodes)


def pack(context: SceneFeatures) -> PackedScenes:
    """``context`` without padding, its word embeddings as vectors."""
    present, related = context.present, context.related
    place = torch.cumsum(present.reshape(-1), 0).reshape(present.shape) - 1
    scene = torch.arange(len(present), device=present.device)[:, None].expand(related.shape)[related]
    ends = context.triples[related]
    return PackedScenes(
        nodes=context.nodes[present],
        predicates=context.predicates[related],
        subjects=place[scene, ends[:, 0]],
        objects=place[scene, ends[:, 1]],
        present=present,
    )


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
    graph: PackedScenes, propose: nn.Module, sizes: Sequence[int]
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
