"""What evaluation needs from a world's oracle: it tells facts about a picture, and how it sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32
from PIL import Image
from torch import Tensor

from graphcond.evaluation.samples import PictureSet
from graphcond.pictures import to_pixels, to_square

BATCH = 64


@runtime_checkable
class Oracle(Protocol):
    """A classifier whose answers are true by construction, such as the art world's."""

    def classify(self, pixels: Float32[Tensor, "b 3 height width"]) -> Any:
        """An object with one attribute for each fact: the index of the answer for each picture."""

    def features(self, pixels: Float32[Tensor, "b 3 height width"]) -> Float[Tensor, "b d"]:
        """Vectors whose distance says how different two pictures are."""


@dataclass(frozen=True)
class OracleReader:
    """An oracle together with what its answers mean.

    Args:
        oracle: reads pixels in -1..1.
        names: for each fact the names of its classes, by index.
        resolution: side of the pictures that the oracle reads.
    """

    oracle: Oracle
    names: Mapping[str, Sequence[str]]
    resolution: int = 64

    @property
    def network(self) -> str:
        """The oracle's class name."""
        return type(self.oracle).__name__

    def tell(self, pictures: PictureSet, fact: str) -> list[str]:
        """The name that the oracle gives for ``fact`` of each picture."""
        indices = self._read(pictures, lambda pixels: getattr(self.oracle.classify(pixels), fact))
        return [self.names[fact][index] for index in indices.tolist()]

    def features(self, pictures: PictureSet) -> Float32[np.ndarray, "n d"]:
        """The oracle's features of each picture."""
        return self._read(pictures, self.oracle.features).float().numpy()

    def _read(self, pictures: PictureSet, look: Callable[[Tensor], Tensor]) -> Tensor:
        batches = [
            pictures.pictures[start : start + BATCH] for start in range(0, len(pictures.pictures), BATCH)
        ]
        return torch.cat([look(self._pixels(batch)).cpu() for batch in batches])

    def _pixels(self, pictures: Sequence[Image.Image]) -> Float32[Tensor, "b 3 height width"]:
        return torch.from_numpy(
            np.stack([to_pixels(to_square(picture, self.resolution)) for picture in pictures])
        )
