"""Tokens that know where they are: GLIGEN's text and box projection (arXiv 2301.07093, section 3.1)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

FREQUENCIES = 8
"""How many frequencies a coordinate is written in."""

HIDDEN = 512
"""Width of the hidden layers, as released."""

_BASE = 100.0
"""Frequencies are its powers 0, 1/8 ... 7/8."""


def box_fourier(boxes: Float[Tensor, "b n 4"]) -> Float[Tensor, "b n f"]:
    """Sines and cosines of box coordinates (0..1), in the order in which GLIGEN lays them out."""
    powers = torch.arange(FREQUENCIES, device=boxes.device, dtype=boxes.dtype) / FREQUENCIES
    angles = boxes[..., None, :] * (_BASE**powers)[:, None]
    return torch.stack([angles.sin(), angles.cos()], dim=-2).flatten(-3)


def keep_scale(layer: nn.Linear) -> None:
    """Start a layer so that what goes through it keeps its scale, and without a bias.

    torch's own start shrinks it and adds a bias, so that after a few layers all tokens look alike; the gates
    then have little to open for.
    """
    nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
    nn.init.zeros_(layer.bias)


class PositionNet(nn.Module):
    """h = MLP([embedding, Fourier(box)]), with a learned null for either where it is missing.

    Parameters are named as in GLIGEN's released UNets (diffusers' layout).

    Args:
        width: c, of the embeddings and of h.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        position = FREQUENCIES * 2 * 4
        self.linears = nn.Sequential(
            nn.Linear(width + position, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, width),
        )
        for layer in self.linears:
            if isinstance(layer, nn.Linear):
                keep_scale(layer)
        self.null_positive_feature = nn.Parameter(torch.zeros(width))
        self.null_position_feature = nn.Parameter(torch.zeros(position))

    def forward(
        self,
        embeddings: Float[Tensor, "b n c"],
        embedded: Bool[Tensor, "b n"],
        boxes: Float[Tensor, "b n 4"],
        boxed: Bool[Tensor, "b n"],
    ) -> Float[Tensor, "b n c"]:
        """Tokens for gated self-attention.

        Args:
            embeddings: what stands there.
            embedded: True where ``embeddings`` says so.
            boxes: x0 y0 x1 y1 in 0..1.
            boxed: True where a box is known.
        """
        what = torch.where(embedded[..., None], embeddings, self.null_positive_feature.to(embeddings))
        place = torch.where(boxed[..., None], box_fourier(boxes), self.null_position_feature.to(boxes))
        h: Tensor = self.linears(torch.cat([what, place.to(what)], dim=-1))
        return h
