"""Vectors of objects spread over the picture: each over its mask, warped into its box (sg2im)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def warped_masks(
    boxes: Float[Tensor, "*b 4"], masks: Float[Tensor, "*b side side"], size: int, samples: int
) -> Float[Tensor, "*b size size"]:
    """Masks where their boxes are, in a picture of ``size`` cells a side.

    The value of a cell is the mean over ``samples`` x ``samples`` points in it. At a point lies the mask
    between its pixels, bilinear, its outermost pixels on the box's edges; beyond them it falls to 0 within
    one pixel of the mask (`torch.nn.functional.grid_sample` with aligned corners and zero padding). The two
    axes are sampled one after the other, so cost and memory stay small, and gradients reach the boxes.

    Args:
        boxes: x0 y0 x1 y1 in 0..1.
        masks: what is spread, 0..1.
        size: cells a side.
        samples: points a side of each cell; more for coarse pictures, where points alone miss objects.
    """
    side = masks.shape[-1]
    across = _shares(boxes[..., 0], boxes[..., 2], side, size, samples)
    down = _shares(boxes[..., 1], boxes[..., 3], side, size, samples)
    return down @ masks @ across.transpose(-1, -2)


def spread(
    vectors: Float[Tensor, "b n c"], masks: Float[Tensor, "b n height width"]
) -> Float[Tensor, "b c height width"]:
    """The sum over nodes of each vector times its mask."""
    return torch.einsum("bnc,bnhw->bchw", vectors, masks)


def _shares(
    low: Float[Tensor, "*b"], high: Float[Tensor, "*b"], side: int, size: int, samples: int
) -> Float[Tensor, "*b size side"]:
    """How much each of ``side`` mask pixels counts in each of ``size`` cells, along one axis."""
    points = (torch.arange(size * samples, device=low.device, dtype=low.dtype) + 0.5) / (size * samples)
    length = (high - low).clamp(min=1e-4)[..., None]
    places = (points - low[..., None]) / length * (side - 1)
    pixels = torch.arange(side, device=low.device, dtype=low.dtype)
    tents = (1 - (places[..., None] - pixels).abs()).clamp(min=0)
    return tents.unflatten(-2, (size, samples)).mean(-2)
