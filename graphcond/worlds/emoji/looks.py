"""What the judges of emoji look at: outlines for the subject, colors and lines for the studio.

Every function reads pixels (B, 3, 64, 64) in [-1, 1] on a white ground, and has nothing that is learned.
"""

from collections.abc import Sequence
from itertools import product
from math import pi

import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d, pad

SIDE = 64
STRENGTHS = (0.03, 0.06, 0.1, 0.15, 0.22, 0.32, 0.45, 0.65, 0.9, 1.3, 1.9, 2.8)
"""Gradients among which those of a picture are counted."""
CURVATURES = (-4.0, -2.0, -1.0, -0.5, -0.25, -0.1, -0.03, 0.0, 0.03, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Values of the Laplacian, likewise."""


def outlines(pixels: Float32[Tensor, "b 3 64 64"]) -> Float[Tensor, "b 2542"]:
    """Return what tells a subject: histograms of oriented gradients, coarse colors and the silhouette.

    The histograms follow Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection" (2005).
    """
    silhouette = avg_pool2d((pixels.amin(1, keepdim=True) < 0.9).float(), 4).flatten(1)
    colors = avg_pool2d(pixels, 8).flatten(1)
    return torch.cat([_oriented(pixels, 8, 8), _oriented(pixels, 6, 16), 0.5 * colors, 0.7 * silhouette], 1)


def manner(pixels: Float32[Tensor, "b 3 64 64"]) -> Float[Tensor, "b 1334"]:
    """Return what tells a studio: colors, those along the border, how sharp lines are, and the place."""
    drawn = _drawn(pixels)
    places = [
        avg_pool2d(drawn, 8).flatten(1),
        drawn.amax(2)[..., ::2].flatten(1),
        drawn.amax(3)[..., ::2].flatten(1),
    ]
    ground = 1 - drawn
    border = (max_pool2d(ground, 5, 1, 2) - ground).clamp(min=0)
    return torch.cat(
        [_colors(pixels, drawn, 10), _lines(pixels), 0.3 * torch.cat(places, 1), _colors(pixels, border, 5)],
        1,
    )


def _drawn(pixels: Tensor) -> Tensor:
    """Where a picture is not white, softly: (B, 1, H, W) from 0 to 1. A VAE's white counts as white."""
    return (0.96 - pixels.amin(1, keepdim=True)).clamp(0, 0.16) / 0.16


def _oriented(pixels: Tensor, bins: int, cell: int) -> Tensor:
    """Histograms of the direction of the strongest channel's gradient in overlapping cells."""
    framed = pad(pixels, (1,) * 4, mode="replicate")
    across = framed[:, :, 1:-1, 2:] - framed[:, :, 1:-1, :-2]
    down = framed[:, :, 2:, 1:-1] - framed[:, :, :-2, 1:-1]
    length = across.hypot(down)
    channel = length.argmax(1, keepdim=True)
    across, down, length = (part.gather(1, channel) for part in (across, down, length))
    place = torch.atan2(down, across) % pi / pi * bins
    low = place.floor()
    weight = length.clamp(max=1).sqrt()
    found = torch.zeros(len(pixels), bins, *pixels.shape[-2:])
    found.scatter_add_(1, low.long() % bins, (1 - place + low) * weight)
    found.scatter_add_(1, (low.long() + 1) % bins, (place - low) * weight)
    cells = avg_pool2d(avg_pool2d(found, 3, 1, 1), cell, cell // 2)
    # The fourth root of the energy: faint outlines count, though less than strong ones.
    return (cells / (cells.square().sum(1, keepdim=True) + 1e-3).pow(0.25)).flatten(1)


def _colors(pixels: Tensor, weights: Tensor, bins: int) -> Tensor:
    """The share of each of ``bins ** 3`` colors, as its square root; a pixel counts for those around it."""
    places = (pixels.flatten(2).clamp(-1, 1) + 1) / 2 * (bins - 1)
    low = places.floor().clamp(max=bins - 2)
    rest, weights = places - low, weights.flatten(1)
    found = torch.zeros(len(pixels), bins**3)
    for corner in product((0, 1), repeat=3):
        sides = torch.tensor(corner)[:, None]
        number = torch.tensor([bins**2, bins, 1.0]) @ (low + sides)
        share = (1 - sides - rest).abs().prod(1)
        found.scatter_add_(1, number.long(), share * weights)
    return (found / weights.sum(1, keepdim=True).clamp(min=1)).sqrt()


def _lines(pixels: Tensor) -> Tensor:
    """How strong gradients and curvatures are, at three scales."""
    found = []
    for _ in range(3):
        here = pixels[:, :, 1:, 1:]
        across, down = here - pixels[:, :, 1:, :-1], here - pixels[:, :, :-1, 1:]
        found.append(_counted((across.square() + down.square()).sum(1).sqrt(), STRENGTHS))
        middle = 4 * pixels[:, :, 1:-1, 1:-1] - pixels[:, :, 2:, 1:-1] - pixels[:, :, :-2, 1:-1]
        found.append(
            _counted((middle - pixels[:, :, 1:-1, 2:] - pixels[:, :, 1:-1, :-2]).mean(1), CURVATURES)
        )
        pixels = avg_pool2d(pixels, 2)
    return torch.cat(found, 1)


def _counted(values: Tensor, marks: Sequence[float]) -> Tensor:
    """The share of values at each mark, as its square root; a value is shared between the marks around it."""
    points = torch.tensor(marks)
    values = values.flatten(1).clamp(points[0], points[-1])
    place = torch.bucketize(values, points[1:-1])
    share = (values - points[place]) / (points[place + 1] - points[place])
    found = torch.zeros(len(values), len(points))
    found.scatter_add_(1, place, 1 - share).scatter_add_(1, place + 1, share)
    return (found / values.shape[1]).sqrt()
