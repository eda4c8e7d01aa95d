"""A scene graph as a map of the picture: each object's vector at the place of the object (sg2im)."""

from __future__ import annotations

from copy import deepcopy
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from graphcond.config import checked
from graphcond.context import SceneFeatures
from graphcond.encoders.base import Encoder
from graphcond.encoders.boxes import BoxHead
from graphcond.encoders.config import LayoutConfig
from graphcond.encoders.graph_network import GraphNetwork
from graphcond.signals import LayoutMap, TextTokens

DEFAULT = LayoutConfig.model_construct()


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
        masks: the masks to spread, 0..1.
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
    """The weight of each of ``side`` mask pixels in each of ``size`` cells, along one axis."""
    points = (torch.arange(size * samples, device=low.device, dtype=low.dtype) + 0.5) / (size * samples)
    length = (high - low).clamp(min=1e-4)[..., None]
    places = (points - low[..., None]) / length * (side - 1)
    pixels = torch.arange(side, device=low.device, dtype=low.dtype)
    tents = (1 - (places[..., None] - pixels).abs()).clamp(min=0)
    return tents.unflatten(-2, (size, samples)).mean(-2)


FINE = 64
"""Points a side at which a layout is sampled at least, whatever its size."""


class PredictedLayout(NamedTuple):
    """Boxes x0 y0 x1 y1 in 0..1 and masks, before the sigmoid, of all nodes; meant for objects only."""

    boxes: Float[Tensor, "b n 4"]
    masks: Float[Tensor, "b n 16 16"]


class MaskHead(nn.Module):
    """A mask of 16 x 16 for each vector, by transposed convolutions from 4 x 4.

    Args:
        width: w, width of the vectors.
        channels: of the 4 x 4 map; half of them at 8 x 8.
    """

    def __init__(self, width: int, channels: int = 64) -> None:
        super().__init__()
        self.start = nn.Linear(width, channels * 16)
        self.grow = nn.Sequential(
            nn.Unflatten(1, (channels, 4, 4)),
            nn.ReLU(),
            nn.ConvTranspose2d(channels, channels // 2, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(channels // 2, 1, 4, stride=2, padding=1),
        )

    def forward(self, vectors: Float[Tensor, "m w"]) -> Float[Tensor, "m 16 16"]:
        """Masks before the sigmoid."""
        return self.grow(self.start(vectors))[:, 0]


@checked(LayoutConfig)
class Layout(Encoder[SceneFeatures, LayoutMap]):
    """A layout of features from a graph (Johnson et al. 2018, arXiv 1804.01622), differentiable throughout.

    A graph network describes each object; attributes take part as nodes of the graph. A second one places
    it: heads predict its box and its mask, over which, within the box, the description is spread. Where
    objects overlap their features add up. As in sg2im's training a given box counts for more than the
    predicted one, so that features lie where the picture shows the object; boxes are learned in a stage
    before (`graphcond.objectives.LayoutObjective`), and then predicted where a scene gives none.
    Predicted boxes know nothing of given ones.

    sg2im describes and places with one network, and trains both losses together. Here the stage that
    teaches places is over when denoising teaches descriptions; in one network the second would undo the
    first, unseen as long as boxes are given (docs/decisions/0011).

    Args:
        network: gives a vector for each node; a copy of it does the placing.
        **settings: those of `LayoutConfig`.
    """

    reads = SceneFeatures
    gives = LayoutMap
    predicts_boxes = True

    def __init__(
        self,
        network: GraphNetwork,
        *,
        channels: int = DEFAULT.channels,
        size: int = 64,
        given_boxes: bool = DEFAULT.given_boxes,
    ) -> None:
        super().__init__()
        self.network, self.placing = network, deepcopy(network)
        self.signal_width, self.size, self.given_boxes = channels, size, given_boxes
        self.box_head = BoxHead(network.width, 4 * network.width)
        self.mask_head = MaskHead(network.width)
        self.out = nn.Linear(network.width, channels)

    def forward(self, context: SceneFeatures, text: TextTokens) -> LayoutMap:
        """The layout (b, C, size, size); ``text`` is not read. A scene without objects has none."""
        here = context.is_object & context.present
        boxes, masks = self.predicted_layout(context)
        if self.given_boxes:
            boxes = torch.where(context.boxed[..., None], context.boxes.to(boxes.dtype), boxes)
        shapes = masks.sigmoid() * here[..., None, None]
        samples = -(-FINE // self.size)
        where = warped_masks(boxes, shapes.to(boxes.dtype), self.size, samples)
        features = self.out(self.network(context))
        return LayoutMap(spread(features, where.to(features.dtype)), here.any(1))

    def predicted_layout(self, context: SceneFeatures) -> PredictedLayout:
        """Boxes and masks as the graph alone tells, whatever boxes are given."""
        vectors = self.placing(context)
        masks = self.mask_head(vectors.flatten(0, 1)).unflatten(0, vectors.shape[:2])
        return PredictedLayout(self.box_head(vectors), masks)

    def predicted_boxes(self, context: SceneFeatures) -> Float[Tensor, "b n 4"]:
        """Boxes x0 y0 x1 y1 in 0..1 of all nodes, as the graph alone tells; meant for objects only."""
        return self.box_head(self.placing(context))
