"""What a recipe says of the pictures that are trained on: sizes, weights of the loss, prior preservation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from graphcond.config import Config, Names

LARGEST = 16_384
"""Side in pixels of the largest square whose pixels are divided into sizes."""


class BucketConfig(Config):
    """Sizes for pictures of several proportions, in place of squares to which they are padded.

    A picture is scaled to cover the size with the nearest proportions, and the rest is cut off. All
    pictures of a batch have one size.
    """

    resolutions: tuple[PositiveInt, ...] = ()
    """Sides of the squares whose number of pixels the sizes have at most; `data.resolution` unless given. A
    picture gets the largest to which it need not be enlarged."""
    step: Annotated[int, Field(ge=8)] = 64
    """Heights and widths are multiples of it, in pixels."""
    longest: Annotated[float, Field(ge=1, le=8)] = 2.0
    """Most by which one side is longer than the other."""
    fewest: PositiveInt = 16
    """A size with fewer training pictures is not used: its pictures get the size next to it."""
    crops: Annotated[int, Field(ge=1, le=256)] = 1
    """Parts of each picture, at random places of its longer side, one of which is taken each time; all are
    encoded once. 1 is the middle."""

    def sizes(self, resolution: int) -> list[list[tuple[int, int]]]:
        """Heights and widths: of each resolution, the smallest first, from the widest to the tallest.

        Raises:
            ValueError: a resolution is not a multiple of the step.
        """
        found = []
        for side in sorted(set(self.resolutions)) or [resolution]:
            if side > LARGEST:
                raise ValueError(f"data.buckets: expected sides of at most {LARGEST}, got {side}; lower it")
            if side % self.step:
                raise ValueError(
                    f"data.buckets.step: the resolution {side} is not a multiple of {self.step}; use a step "
                    "that divides it"
                )
            widths = range(side, int(side * self.longest) + 1, self.step)
            wide = [(side * side // width // self.step * self.step, width) for width in widths]
            wide = [(height, width) for height, width in wide if width <= height * self.longest]
            tall = [(width, height) for height, width in wide if width != height]
            found.append([*reversed(wide), *tall])
        return found


class BoxWeightConfig(Config):
    """By the boxes of a scene's objects; a picture without boxes is weighted evenly."""

    kind: Literal["boxes"] = "boxes"
    inside: PositiveFloat = 2.0
    """Weight inside a box, ..."""
    outside: NonNegativeFloat = 1.0
    """... and outside of all; only their ratio counts, since the mean over a picture is 1."""
    area_power: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Divides `inside` by this power of the box's area: with 1, small objects count as much as large ones."""


class MaskWeightConfig(Config):
    """By a mask for each picture, whose white parts are learned from."""

    kind: Literal["mask"] = "mask"
    column: str = "mask"
    """Column of the nodes with the file of each mask, in the data's folder; the rest are weighted evenly."""
    outside: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Weight of black, where that of white is 1."""


LossWeightConfig: TypeAlias = Annotated[BoxWeightConfig | MaskWeightConfig, Field(discriminator="kind")]


def check_loss_weight(training: Any, data: Any) -> None:
    """Check that the data can have what the loss is weighted by.

    Raises:
        ValueError: nodes have no boxes, and scenes no masks of pictures.
    """
    weight = training.loss_weight
    if weight is not None and (weight.kind == "boxes") != data.has_scenes:
        problem = "scenes have no masks" if data.has_scenes else "nodes have no boxes"
        other = "boxes" if data.has_scenes else "mask"
        raise ValueError(f"training.loss_weight.kind: {problem}; use '{other}', or leave loss_weight out")


class PriorConfig(Config):
    """Keeps what an adapted base draws without a graph (DreamBooth, arXiv 2208.12242, section 3.2)."""

    path: Path | None = None
    """A folder of pictures with a `metadata.jsonl` of `{"file_name": ..., "text": ...}`."""
    generate: PositiveInt | None = None
    """In its place: the number of pictures to draw once, by the base before it is trained."""
    prompts: Names = ()
    """What to draw, in turn; the prompts of training targets unless given."""
    share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """The chance that a sample is one of these pictures."""
    weight: PositiveFloat = 1.0
    """Multiplies their loss."""

    @model_validator(mode="after")
    def _one_source(self) -> PriorConfig:
        if (self.path is None) == (self.generate is None):
            raise ValueError("expected either `path` or `generate`; give one of them")
        if self.prompts and self.generate is None:
            raise ValueError("prompts: pictures at a path have their own; leave them out")
        return self
