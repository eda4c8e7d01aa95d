"""Weights of the denoising loss over the places of each picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from graphcond.coverage import coverage
from graphcond.data.dataset import Dataset
from graphcond.errors import InputError
from graphcond.features.feature_cache import FeatureCache
from graphcond.io.ahead import batches_ahead
from graphcond.io.cache import Arrays, Layout, cached_rows
from graphcond.io.files import file_inside
from graphcond.io.fingerprint import fingerprint
from graphcond.io.frames import Frame, Frames
from graphcond.io.pictures import open_picture
from graphcond.recipe.pictures import BoxWeightConfig, LossWeightConfig, MaskWeightConfig
from graphcond.scene_graph import Box
from graphcond.training.latents import PictureTable

PART = 128
"""Masks that are kept together."""

SKEW = 0.05
"""By how much the proportions of a mask may differ from its picture's."""

Weights: TypeAlias = Float[Tensor, "b height width"]


def even(weights: Weights) -> Weights:
    """Weights whose mean over each picture is 1; a picture whose weights are all 0 keeps them."""
    mean = weights.double().mean(dim=(1, 2), keepdim=True)
    return (weights / torch.where(mean > 0, mean, 1.0)).float()


@dataclass(frozen=True)
class BoxWeights:
    """Weights by the boxes of scenes.

    Args:
        config: of the recipe.
        pictures: of the examples.
        boxes: of each example's objects.
    """

    config: BoxWeightConfig
    pictures: PictureTable
    boxes: Sequence[Sequence[Box | None]]

    def __call__(
        self,
        rows: Int64[np.ndarray, " b"],
        views: Int64[np.ndarray, " b"],
        mirrored: Bool[np.ndarray, " b"] | None,
    ) -> Weights:
        """The weights over the latents of ``rows``; scenes are never mirrored."""
        frames = self.pictures.shown(rows, views)
        assert frames is not None
        shown = [
            [found for box in self.boxes[row] if box is not None and (found := frame.box(box)) is not None]
            for row, frame in zip(rows.tolist(), frames, strict=True)
        ]
        boxes = pad_sequence([torch.tensor(own).view(-1, 4) for own in shown], batch_first=True)
        present = pad_sequence([torch.ones(len(own), dtype=torch.bool) for own in shown], batch_first=True)
        _, height, width = self.pictures.shape(rows)
        return even(self._of(boxes, present, height, width))

    def _of(
        self, boxes: Float[Tensor, "b n 4"], present: Bool[Tensor, "b n"], height: int, width: int
    ) -> Weights:
        shares = coverage(boxes, present, height, width) * present[:, None]
        area = (boxes[..., 2:] - boxes[..., :2]).prod(-1).clamp(min=1 / (height * width))
        strength = self.config.inside * area**-self.config.area_power
        gains = shares * (strength - self.config.outside)[:, None]
        gains = torch.cat([gains, gains.new_zeros(*gains.shape[:2], 1)], dim=2)
        weights = self.config.outside + gains.amax(2) + gains.amin(2)
        return torch.where(present.any(1)[:, None], weights, 1.0).view(-1, height, width)


@dataclass(frozen=True)
class MaskWeights:
    """Weights by masks, one for a picture.

    Args:
        config: of the recipe.
        pictures: of the examples.
        levels: of each bucket, 0..255 at the size of its latents; memory-mapped.
    """

    config: MaskWeightConfig
    pictures: PictureTable
    levels: Sequence[UInt8[np.ndarray, "_m _views _height _width"]]

    def __call__(
        self,
        rows: Int64[np.ndarray, " b"],
        views: Int64[np.ndarray, " b"],
        mirrored: Bool[np.ndarray, " b"] | None,
    ) -> Weights:
        """The weights over the latents of ``rows``."""
        bucket, places = self.pictures.bucket(rows), self.pictures.places(rows)
        white = torch.from_numpy(self.levels[bucket][places, views]).float() / 255
        weights = even(self.config.outside + (1 - self.config.outside) * white)
        if mirrored is None:
            return weights
        return torch.where(torch.from_numpy(mirrored)[:, None, None], weights.flip(-1), weights)


LossWeights: TypeAlias = BoxWeights | MaskWeights


def loss_weights(
    config: LossWeightConfig, data: Dataset, targets: Int64[np.ndarray, " n"], pictures: PictureTable
) -> LossWeights:
    """The weights for examples of ``targets``; further pictures behind them are weighted evenly.

    Raises:
        InputError: no scene has a box; there is no such column of masks, or a mask cannot be read, has other
            proportions than its picture, or is black.
    """
    if isinstance(config, BoxWeightConfig):
        boxes: list[Sequence[Box | None]] = [graph.boxes for graph in data.scene_graphs(targets)]
        if not any(box is not None for own in boxes for box in own):
            raise InputError(
                "no scene has a box", place="training.loss_weight", remedy="leave it out, or add boxes"
            )
        return BoxWeights(config, pictures, [*boxes, *[()] * (len(pictures) - len(boxes))])
    assert pictures.frames is not None
    names = data.labels(config.column)
    files = [file_inside(data.root, names[target] or None) for target in targets.tolist()]
    files += [None] * (len(pictures) - len(files))
    levels = [
        _levels([files[row] for row in rows.tolist()], frames, shape[2:])
        for rows, frames, shape in zip(pictures.members, pictures.frames, pictures.shapes, strict=True)
    ]
    return MaskWeights(config, pictures, levels)


def _levels(
    files: Sequence[Path | None], frames: Frames, size: tuple[int, int]
) -> UInt8[np.ndarray, "n views height width"]:
    """The mean level of each mask, if any, over each latent; white without one."""
    views = frames.regions.shape[1]
    known = [file for file in files if file is not None]
    digest_of = dict(zip(known, FeatureCache().digests(known), strict=True))

    def levels(row: int) -> UInt8[np.ndarray, "views height width"]:
        file = files[row]
        if file is None:
            return np.full((views, *size), 255, np.uint8)
        several = frames.of(row)
        mask = open_mask(file, several[0].original)
        return np.stack([_shown(mask, frame, size) for frame in several])

    def fill(rows: slice) -> Iterator[Arrays]:
        for batch in batches_ahead(levels, range(*rows.indices(len(files))), PART):
            yield {"levels": np.stack(batch)}

    digests = [file and digest_of[file] for file in files]
    key = f"masks-{fingerprint(digests, frames.size, frames.originals, frames.regions, size)}"
    layouts = {"levels": Layout((len(files), views, *size), np.uint8)}
    return cached_rows(key, layouts, fill, at_once=PART)["levels"]


def open_mask(file: Path, original: tuple[int, int]) -> Image.Image:
    """A mask as a grey picture.

    Args:
        file: a picture.
        original: height and width of the picture that it belongs to.

    Raises:
        InputError: it cannot be read, has other proportions than its picture, or is black.
    """
    mask = open_picture(file).convert("L")
    if abs(mask.width / mask.height * original[0] / original[1] - 1) > SKEW:
        raise InputError(
            f"the mask has {mask.width} x {mask.height} pixels, its picture {original[1]} x {original[0]}",
            place=file,
            remedy="give it the proportions of the picture",
        )
    if mask.getextrema() == (0, 0):
        raise InputError(
            "the mask is black", place=file, remedy="make white what is learned, or name no mask"
        )
    return mask


def _shown(mask: Image.Image, frame: Frame, size: tuple[int, int]) -> UInt8[np.ndarray, "height width"]:
    """What a frame shows of a mask, black where the frame is padded."""
    edges = [round(share * side) for share, side in zip(frame.region, (*mask.size, *mask.size), strict=True)]
    left, top, right, bottom = edges
    part = mask.crop((left, top, max(right, left + 1), max(bottom, top + 1)))
    return np.asarray(part.resize(size[::-1], Image.Resampling.BOX))
