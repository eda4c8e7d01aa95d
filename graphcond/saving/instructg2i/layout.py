"""File names and weight names of a released checkpoint."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

BASE_KIND = "stable_diffusion"
"""The kind of the base in a checkpoint."""

QFORMER = Path("gnn", "ckpt.pt")
PROJECTOR = Path("image_proj_model", "ckpt.pt")
IMAGE_ENCODER = "image_encoder"

TEXT_MODEL = "text_model."
"""Prefixes of the names of the Graph-QFormer's weights, in the release and in our `GraphQFormer`."""

OURS = "projector."
"""Prefix of the names of the projector's weights in our `GraphQFormer`; the release has none."""

_CROSS_ATTENTION = re.compile(r"encoder\.layers\.(\d+)\.crossattention\.q_proj\.weight")


def is_release(folder: Path) -> bool:
    """Whether ``folder`` holds a released checkpoint, complete or not."""
    return (folder / QFORMER).is_file() or (folder / PROJECTOR).is_file()


def reading_layers(names: Iterable[str]) -> list[int]:
    """The layers of a Graph-QFormer that attend to the neighbors, ascending."""
    found = (_CROSS_ATTENTION.search(name) for name in names)
    return sorted(int(match[1]) for match in found if match)


def cross_attention_every(names: Iterable[str], layers: int) -> int | None:
    """The n of which layers 0, n, 2n ... attend to the neighbors; None if no n fits.

    Args:
        names: of the Graph-QFormer's weights.
        layers: how many layers it has.
    """
    reading = reading_layers(names)
    every = reading[1] if len(reading) > 1 else layers
    return every if reading and reading == list(range(0, layers, every)) else None


def tokens_per_neighbor(projector: Mapping[str, Tensor]) -> int | None:
    """The number of tokens that the projector makes of an embedding; None if its shapes leave it open."""
    weights = [projector.get(name) for name in ("proj.weight", "norm.weight")]
    rows, width = (0 if one is None else one.shape[:1].numel() for one in weights)
    return rows // width if rows and width and rows % width == 0 else None
