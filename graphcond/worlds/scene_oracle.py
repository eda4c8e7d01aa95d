"""The scene world's oracle: a small detector that finds shapes, their colours and their boxes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Float32
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from graphcond.scene_graph import Box, SceneGraph, iou
from graphcond.worlds.shapes import COLORS, SHAPES

WEIGHTS = Path(__file__).with_name("scene_oracle.safetensors")
HARD_WEIGHTS = Path(__file__).with_name("hard_scene_oracle.safetensors")
CELL = 4
"""Pixels per side of a cell of the map on which centres are found."""

PLAIN_LEVELS, HARD_LEVELS = (0.5,), (0.3, 0.5)
"""Sides, as shares of the picture, from which on an object is of the next level.

Levels have maps of their own, since the centres of a small and of a large object may coincide.
"""


@dataclass(frozen=True)
class Detected:
    """The objects found in one picture, best score first."""

    labels: tuple[str, ...]
    colors: tuple[str, ...]
    boxes: tuple[Box, ...]
    scores: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def as_scene_graph(self) -> SceneGraph:
        """The objects as a scene graph: a colour and a box for each, no relations."""
        return SceneGraph(self.labels, (), tuple((color,) for color in self.colors), self.boxes)


def conv_block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Convolution, normalization and activation, of the oracles of all worlds."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1), nn.GroupNorm(8, outputs), nn.SiLU()
    )


class SceneOracle(nn.Module):
    """A dense CNN in the manner of CenterNet (Zhou et al. 2019): peaks of a heat map are objects.

    For each level of size and each cell of 4x4 pixels it gives a logit of every shape, a logit of every
    colour, and the box: centre within the cell, width and height. It was trained on the world's own
    procedural pictures alone, softened or sent through the VAE, never on generated ones.

    Args:
        widths: channels at a half, a fourth and an eighth of the resolution.
        resolution: side in pixels to which pictures are resized first.
        levels: sides that divide the levels of size.
    """

    shapes: tuple[str, ...] = tuple(SHAPES)
    colors: tuple[str, ...] = tuple(COLORS)

    def __init__(
        self,
        widths: tuple[int, int, int] = (24, 48, 56),
        *,
        resolution: int = 64,
        levels: tuple[float, ...] = PLAIN_LEVELS,
    ) -> None:
        super().__init__()
        self.resolution, self.levels = resolution, levels
        first, second, third = widths
        self.down = nn.Sequential(conv_block(3, first, 2), conv_block(first, second, 2))
        self.deep = nn.Sequential(
            conv_block(second, third, 2), conv_block(third, third), conv_block(third, third)
        )
        self.up = nn.Sequential(conv_block(second + third, second), conv_block(second, second))
        self.head = nn.Conv2d(second, (len(levels) + 1) * (len(self.shapes) + len(self.colors) + 4), 1)

    @classmethod
    def for_hard_scenes(cls) -> SceneOracle:
        """A new oracle that sees hard scenes: smaller objects, and three within each other."""
        return cls(resolution=96, levels=HARD_LEVELS)

    @classmethod
    def load(cls, *, hard: bool = False) -> SceneOracle:
        """Load the oracle of plain or of hard scenes, in evaluation mode and frozen."""
        oracle, path = (cls.for_hard_scenes(), HARD_WEIGHTS) if hard else (cls(), WEIGHTS)
        oracle.load_state_dict({name: value.float() for name, value in load_file(path).items()})
        return oracle.eval().requires_grad_(False)

    def forward(
        self, pixels: Float32[Tensor, "b 3 h w"]
    ) -> tuple[
        Float[Tensor, "b levels shapes grid grid"],
        Float[Tensor, "b levels colors grid grid"],
        Float[Tensor, "b levels 4 grid grid"],
    ]:
        """Logits of shapes and of colours, and boxes (x and y in cells, width and height as shares)."""
        if pixels.shape[-2:] != (self.resolution, self.resolution):
            size = (self.resolution, self.resolution)
            pixels = interpolate(pixels, size, mode="bilinear", antialias=True)
        low = self.down(pixels)
        deep = interpolate(self.deep(low), scale_factor=2.0, mode="nearest")
        maps = self.head(self.up(torch.cat([low, deep], 1))).unflatten(1, (len(self.levels) + 1, -1))
        heat, color, box = maps.split([len(self.shapes), len(self.colors), 4], 2)
        return heat, color, box.sigmoid()

    @torch.no_grad()
    def detect(self, pixels: Float32[Tensor, "b 3 h w"], threshold: float = 0.4) -> list[Detected]:
        """Find the objects of each picture, pixels in [-1, 1], best score first.

        Args:
            pixels: pictures.
            threshold: lowest score of an object, 0..1.
        """
        heat, color, box = self(pixels.float())
        score, shape = heat.sigmoid().max(2)
        # A cell holds an object if its score is the highest of the 3x3 cells around it.
        peak = (score == max_pool2d(score, 3, 1, 1)) & (score >= threshold)
        return [
            self._read(peak[row], score[row], shape[row], color[row].argmax(1), box[row])
            for row in range(len(pixels))
        ]

    def _read(self, peak: Tensor, score: Tensor, shape: Tensor, color: Tensor, box: Tensor) -> Detected:
        """The objects in the maps of a picture, (levels, grid, grid) each; box is (levels, 4, grid, grid)."""
        kept: list[tuple[float, str, str, Box]] = []
        places = sorted(peak.nonzero().tolist(), key=lambda place: -score[tuple(place)].item())
        for level, row, column in places:
            dx, dy, across, down = box[level, :, row, column].tolist()
            x, y = (column + dx) / score.shape[-1], (row + dy) / score.shape[-2]
            width, height = max(across, 0.02) / 2, max(down, 0.02) / 2
            found = Box(max(x - width, 0.0), max(y - height, 0.0), min(x + width, 1.0), min(y + height, 1.0))
            # Of boxes that overlap by half only the best is kept.
            if all(iou(found, other) < 0.5 for *_, other in kept):
                look = self.shapes[shape[level, row, column]], self.colors[color[level, row, column]]
                kept.append((score[level, row, column].item(), *look, found))
        return Detected(
            labels=tuple(label for _, label, _, _ in kept),
            colors=tuple(name for _, _, name, _ in kept),
            boxes=tuple(found for *_, found in kept),
            scores=tuple(value for value, *_ in kept),
        )
