"""Boxes against boxes, batched and differentiable."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Boxes = Float[Tensor, "*b 4"]


class Overlap(NamedTuple):
    """Intersection over union, its generalised form, and the share of the smaller box that is covered."""

    iou: Float[Tensor, "*b"]
    giou: Float[Tensor, "*b"]
    covered: Float[Tensor, "*b"]


def area(boxes: Boxes) -> Float[Tensor, "*b"]:
    """Share of the picture; 0 for a box turned inside out."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def overlap(one: Boxes, other: Boxes) -> Overlap:
    """How boxes x0 y0 x1 y1 overlap, pair by pair (GIoU: Rezatofighi et al., arXiv 1902.09630)."""
    shared = area(_box(torch.maximum, torch.minimum, one, other))
    hull = area(_box(torch.minimum, torch.maximum, one, other)).clamp(min=1e-6)
    first, second = area(one), area(other)
    union = (first + second - shared).clamp(min=1e-6)
    iou = shared / union
    return Overlap(iou, iou - (hull - union) / hull, shared / torch.minimum(first, second).clamp(min=1e-4))


def _box(low, high, one: Boxes, other: Boxes) -> Boxes:  # type: ignore[no-untyped-def]
    return torch.cat([low(one[..., :2], other[..., :2]), high(one[..., 2:], other[..., 2:])], dim=-1)
