"""Boxes and masks from a graph (sg2im, arXiv 1804.01622), and boxes that keep what the graph states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from graphcond.context import SceneFeatures
from graphcond.objectives.base import (
    Objective,
    ObjectiveResult,
    PretrainBatch,
)
from graphcond.objectives.relations import RULES, pairs_of, shortfall, stated
from graphcond.scene_graph import Box, holds

Boxes = Float[Tensor, "*#b 4"]
"""x0 y0 x1 y1 each; two tensors of boxes broadcast against each other."""
_Pairwise = Callable[[Tensor, Tensor], Tensor]


class Overlap(NamedTuple):
    """Intersection over union, its generalised form, and the share of the smaller box that is covered."""

    iou: Float[Tensor, "*b"]
    giou: Float[Tensor, "*b"]
    covered: Float[Tensor, "*b"]


def area(boxes: Boxes) -> Float[Tensor, "*#b"]:
    """Share of the picture; 0 for a box turned inside out."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def overlap(one: Boxes, other: Boxes) -> Overlap:
    """Overlap of boxes x0 y0 x1 y1, pair by pair (GIoU: Rezatofighi et al., arXiv 1902.09630)."""
    shared = area(_box(torch.maximum, torch.minimum, one, other))
    hull = area(_box(torch.minimum, torch.maximum, one, other)).clamp(min=1e-6)
    first, second = area(one), area(other)
    union = (first + second - shared).clamp(min=1e-6)
    iou = shared / union
    return Overlap(iou, iou - (hull - union) / hull, shared / torch.minimum(first, second).clamp(min=1e-4))


def _box(low: _Pairwise, high: _Pairwise, one: Boxes, other: Boxes) -> Boxes:
    return torch.cat([low(one[..., :2], other[..., :2]), high(one[..., 2:], other[..., 2:])], dim=-1)


INSIDE = RULES.index("inside")
DIRECTIONS = {RULES.index("left of"): "left of", RULES.index("above"): "above", INSIDE: "inside"}


class LayoutObjective(Objective):
    """Trains an encoder to predict the boxes and masks of a graph's objects.

    Known boxes cost their mean absolute difference and 1 - GIoU (sg2im: the squared difference), known
    masks their cross-entropy. Many layouts keep one graph, and regression alone settles on their middle,
    which may keep nothing. So two terms speak of the prediction itself: a hinge on each geometric relation
    that the graph states (`graphcond.objectives.relations`), which needs no boxes, and the share of
    the smaller object that another one covers, but for pairs that are stated or known to overlap.

    Works for any encoder with ``predicted_boxes(context)``; masks are taught where it also has
    ``predicted_layout(context)``. Figures: ``box_iou`` with the known boxes, ``relations``, the share of
    the stated spatial relations that predicted boxes keep (`graphcond.scene_graph.holds`), and every term.

    Args:
        box: weight of the known boxes.
        mask: weight of the known masks.
        relation: weight of the relations.
        overlap: weight of the overlaps.
    """

    def __init__(self, *, box: float, mask: float, relation: float, overlap: float) -> None:
        super().__init__()
        self.weights = {"box": box, "mask": mask, "relation": relation, "overlap": overlap}

    def forward(self, encoder: Any, batch: PretrainBatch) -> ObjectiveResult:
        """The loss of ``encoder`` on ``batch``; terms that nothing is known about are 0."""
        context = batch.context
        if batch.scenes is None:
            raise ValueError("the batch lacks scenes, whose words say which relations are geometric")
        boxes, masks = (
            encoder.predicted_layout(context)
            if hasattr(encoder, "predicted_layout")
            else (encoder.predicted_boxes(context), None)
        )
        known = context.is_object & context.boxed
        truth = context.boxes.to(boxes.dtype)
        relations = stated(batch.scenes, context.present.device)
        near = overlap(boxes[known], truth[known])
        terms = {
            "box": _mean((boxes[known] - truth[known]).abs().mean(-1) + 1 - near.giou, boxes),
            "mask": _mask_loss(masks, context, known),
            "relation": _mean(shortfall(boxes, relations), boxes),
            "overlap": _overlap_loss(boxes, context, relations),
        }
        loss = torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()
        figures = {name: float(term.detach()) for name, term in terms.items()}
        if len(near.iou):
            figures["box_iou"] = float(near.iou.detach().mean())
        kept = kept_relations(boxes, relations)
        if kept:
            figures["relations"] = sum(kept) / len(kept)
        return ObjectiveResult(loss, figures)


def kept_relations(boxes: Float[Tensor, "b n 4"], relations: Int64[Tensor, "r 4"]) -> list[bool]:
    """True where a spatial relation holds between boxes, by the rule of `scene_graph.predicate`."""
    places = boxes.detach().cpu().tolist()
    return [
        holds(DIRECTIONS[rule], Box(*places[scene][first]), Box(*places[scene][second]))
        for scene, first, second, rule in relations.tolist()
        if rule in DIRECTIONS
    ]


def _mask_loss(
    logits: Float[Tensor, "b n 16 16"] | None, context: SceneFeatures, known: Bool[Tensor, "b n"]
) -> Float[Tensor, ""]:
    """The cross-entropy of the known masks; an empty mask counts as unknown."""
    if logits is None or context.masks is None:
        return context.boxes.new_zeros(())
    here = known & context.masks.flatten(2).any(-1)
    losses = F.binary_cross_entropy_with_logits(
        logits[here], context.masks[here].to(logits.dtype), reduction="none"
    )
    return _mean(losses.flatten(1).mean(1), logits)


def _overlap_loss(
    boxes: Float[Tensor, "b n 4"], context: SceneFeatures, relations: Int64[Tensor, "r 4"]
) -> Float[Tensor, ""]:
    """The mean covered share over pairs of objects that should be apart."""
    here, truth = context.is_object, context.boxes
    apart = (here[:, :, None] & here[:, None, :]).triu(diagonal=1)
    nested = relations[relations[:, 3] == INSIDE]
    low, high = nested[:, 1:3].amin(1), nested[:, 1:3].amax(1)
    apart[nested[:, 0], low, high] = False
    apart &= overlap(truth[:, :, None], truth[:, None, :]).iou == 0
    return _mean(overlap(*pairs_of(boxes, *apart.nonzero(as_tuple=True))).covered, boxes)


def _mean(losses: Float[Tensor, " m"], like: Tensor) -> Float[Tensor, ""]:
    """The mean, 0 with a gradient of 0 where there is nothing to average."""
    return losses.mean() if len(losses) else like.sum() * 0
