"""Which cells of a grid the boxes of objects cover."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def coverage(
    boxes: Float[Tensor, "b n 4"], boxed: Bool[Tensor, "b n"], height: int, width: int
) -> Float[Tensor, "b cells n"]:
    """The share, 0..1, of each cell's area that each box covers, exactly.

    The mean over the cells is the area of the box within the picture. A box without an area, or turned inside
    out, covers nothing.

    Args:
        boxes: x0 y0 x1 y1 in shares of the picture; what lies outside of it counts for nothing.
        boxed: False for what has no box, which is everywhere: its share is 1.
        height: rows of the grid.
        width: columns of the grid.

    Returns:
        Float32; cell ``row * width + column`` stands at that place.
    """
    columns, rows = (
        _lengths(boxes[..., axis].float(), boxes[..., axis + 2].float(), count) * count
        for axis, count in ((0, width), (1, height))
    )
    shares = (rows[:, :, None] * columns[:, None]).flatten(1, 2)
    return torch.where(boxed[:, None], shares, 1.0)


def _lengths(low: Float[Tensor, "b n"], high: Float[Tensor, "b n"], count: int) -> Float[Tensor, "b count n"]:
    """The length of each span within each of ``count`` equal parts of 0..1."""
    edges = torch.arange(count + 1, device=low.device, dtype=low.dtype)[:, None] / count
    low, high = low[:, None], high[:, None]
    return (torch.minimum(high, edges[1:]) - torch.maximum(low, edges[:-1])).clamp(min=0)
