"""Disturbances of pictures, so that a network reads what it was not shown."""

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample


def moved(pixels: Tensor, generator: torch.Generator, reach: float = 1.0) -> Tensor:
    """Turn, scale and shift each picture (B, 3, H, W), on white; ``reach`` says how far."""
    turn, across, down, right, below = torch.rand(5, len(pixels), generator=generator)
    angle = reach * (turn - 0.5) * 0.5
    across, down = 1 + reach * (0.4 * across - 0.15), 1 + reach * (0.4 * down - 0.15)
    right, below = (0.3 * reach * (shift - 0.5) for shift in (right, below))
    rows = torch.stack(
        [
            torch.stack([across * angle.cos(), -down * angle.sin(), right], -1),
            torch.stack([across * angle.sin(), down * angle.cos(), below], -1),
        ],
        1,
    )
    grid = affine_grid(rows, list(pixels.shape), align_corners=False)
    return grid_sample(pixels - 1, grid, align_corners=False) + 1  # outside the picture is 0: white


def recolored(pixels: Tensor, reach: float, generator: torch.Generator) -> Tensor:
    """Mix the channels of each picture (B, 3, H, W) a little; white stays white."""
    mix = torch.eye(3) + reach * torch.randn(len(pixels), 3, 3, generator=generator)
    return 1 - torch.einsum("bij,bjhw->bihw", mix, 1 - pixels).clamp(0, 2)
