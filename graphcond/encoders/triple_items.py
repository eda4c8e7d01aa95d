"""What a transformer over triples reads of a scene: relations, attributes, and objects in neither."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from graphcond.types import SceneFeatures

ItemKind: TypeAlias = Literal["relation", "attribute", "object"]

ITEM_KINDS: tuple[ItemKind, ...] = ("relation", "attribute", "object")


@dataclass(frozen=True)
class Items:
    """The items of a batch, those that stand first in each row.

    Args:
        ends: positions of head and tail among the scene's nodes; a lone object has itself as both.
        predicates: embeddings of the predicates; zero for lone objects.
        kinds: numbers of the kinds in `ITEM_KINDS`.
        present: True where an item stands.
    """

    ends: Int64[Tensor, "b m 2"]
    predicates: Float[Tensor, "b m d"]
    kinds: Int64[Tensor, "b m"]
    present: Bool[Tensor, "b m"]


def items_of(context: SceneFeatures, most: int) -> Items:
    """The triples between objects, then those of attributes, then objects in no triple; at most ``most``.

    Within a kind the scene's order stays.
    """
    nodes = torch.arange(context.nodes.shape[1], device=context.present.device)
    lone = context.is_object & ~in_triple(context)
    lone_ends = nodes[None, :, None].expand(*lone.shape, 2)
    between = _at(context.is_object, context.triples[..., 1])
    kinds = torch.cat([torch.where(between, 0, 1), torch.full_like(lone, 2, dtype=torch.int64)], dim=1)
    present = torch.cat([context.related, lone], dim=1)
    ends = torch.cat([context.triples, lone_ends], dim=1)
    nothing = context.predicates.new_zeros(*lone.shape, context.predicates.shape[-1])
    predicates = torch.cat([context.predicates, nothing], dim=1)
    order = torch.where(present, kinds, len(ITEM_KINDS)).argsort(dim=1, stable=True)[:, :most]
    row = torch.arange(len(order), device=order.device)[:, None]
    return Items(ends[row, order], predicates[row, order], kinds[row, order], present[row, order])


def in_triple(context: SceneFeatures) -> Bool[Tensor, "b n"]:
    """True for nodes that are an end of a triple."""
    found = torch.zeros_like(context.present)
    scene, number = context.related.nonzero(as_tuple=True)
    for end in (0, 1):
        found[scene, context.triples[scene, number, end]] = True
    return found


def mean_attribute(context: SceneFeatures) -> Float[Tensor, "b n d"]:
    """The mean embedding of each object's attributes; zero where it has none."""
    subject, target = context.triples.unbind(-1)
    here = context.related & ~_at(context.is_object, target)
    scene, number = here.nonzero(as_tuple=True)
    words = context.nodes[scene, target[scene, number]]
    place = (scene, subject[scene, number])
    total = torch.zeros_like(context.nodes).index_put(place, words, accumulate=True)
    count = torch.zeros_like(context.nodes[..., :1]).index_put(
        place, torch.ones_like(words[:, :1]), accumulate=True
    )
    return total / count.clamp(min=1)


def _at(values: Bool[Tensor, "b n"], places: Int64[Tensor, "b t"]) -> Bool[Tensor, "b t"]:
    """``values`` at ``places``; False where there are no nodes at all."""
    return values.gather(1, places) if values.shape[1] else torch.zeros_like(places, dtype=torch.bool)
