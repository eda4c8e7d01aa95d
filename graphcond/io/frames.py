"""The part of a picture that is shown, and the size to which it is scaled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float64, Int64
from numpy import ndarray
from PIL import Image

from graphcond.io.pictures import open_picture, open_square

WHOLE = (0.0, 0.0, 1.0, 1.0)
"""The region of a picture that is shown as it is."""


@dataclass(frozen=True)
class Frame:
    """A part of a picture, scaled to a size.

    Args:
        original: height and width of the picture in pixels.
        size: height and width of what is shown, in pixels.
        region: x0 y0 x1 y1 of what is shown, in shares of the picture; beyond 0..1 it is white.
    """

    original: tuple[int, int]
    size: tuple[int, int]
    region: tuple[float, float, float, float] = WHOLE

    @classmethod
    def padded(cls, original: tuple[int, int], side: int) -> Frame:
        """The whole picture in the middle of a white square, as `graphcond.io.pictures.to_square` does."""
        longer = max(original)
        height, width = original
        left, top = round((longer - width) / 2), round((longer - height) / 2)
        region = (-left / width, -top / height, (longer - left) / width, (longer - top) / height)
        return cls(original, (side, side), region)

    @classmethod
    def covered(cls, original: tuple[int, int], size: tuple[int, int], place: float = 0.5) -> Frame:
        """The largest part with the proportions of ``size``.

        Args:
            original: height and width of the picture.
            size: height and width of the frame.
            place: of the part along the side that is cut, from 0 (left, top) to 1.
        """
        tall, wide = (length / side for length, side in zip(original, size, strict=True))
        height, width = (min(tall, wide) / length for length in (tall, wide))
        left, top = (1 - width) * place, (1 - height) * place
        return cls(original, size, (left, top, left + width, top + height))

    @property
    def scaled(self) -> tuple[float, float]:
        """Height and width of the whole picture at the scale at which it is shown."""
        x0, y0, x1, y1 = self.region
        return self.size[0] / (y1 - y0), self.size[1] / (x1 - x0)

    def numbers(self, *, mirrored: bool = False) -> tuple[float, ...]:
        """What SDXL knows a picture's size by (arXiv 2307.01952).

        Original height and width, top and left of the part at the scale at which it is shown, its height
        and width.
        """
        height, width = self.scaled
        left = 1 - self.region[2] if mirrored else self.region[0]
        return (*self.original, max(self.region[1] * height, 0), max(left * width, 0), *self.size)

    def box(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float] | None:
        """A box of the picture in shares of the frame; None where nothing of it is shown."""
        x0, y0, x1, y1 = self.region
        edges = [
            min(max((edge - low) / (high - low), 0.0), 1.0)
            for edge, low, high in zip(box, (x0, y0, x0, y0), (x1, y1, x1, y1), strict=True)
        ]
        left, top, right, bottom = edges
        return (left, top, right, bottom) if min(right - left, bottom - top) > LEAST else None

    def open(self, path: Path) -> Image.Image:
        """What is shown of a picture file.

        Raises:
            InputError: as `graphcond.io.pictures.open_picture`.
        """
        if min(self.region) < 0 or max(self.region) > 1 + 1e-9:
            return open_square(path, self.size[0])
        picture = open_picture(path, longest=round(2 * max(self.scaled)))
        part = tuple(share * side for share, side in zip(self.region, 2 * picture.size, strict=True))
        right, bottom = min(part[2], picture.width), min(part[3], picture.height)
        box = (part[0], part[1], right, bottom)
        return picture.resize((self.size[1], self.size[0]), Image.Resampling.BICUBIC, box=box)


LEAST = 1e-3
"""Share of a frame's side; where less of a box is inside, the box is not shown."""


@dataclass(frozen=True)
class Frames:
    """The frames of pictures that are shown at one size; each may have several, the same number for all.

    Args:
        size: height and width in pixels.
        originals: height and width of each picture in pixels.
        regions: of each picture's frames; see `Frame`.
    """

    size: tuple[int, int]
    originals: Int64[ndarray, "n 2"]
    regions: Float64[ndarray, "n frames 4"]

    def of(self, picture: int) -> list[Frame]:
        """All frames of one picture."""
        return [self.frame(picture, number) for number in range(self.regions.shape[1])]

    def frame(self, picture: int, number: int = 0) -> Frame:
        """One frame of one picture."""
        height, width = self.originals[picture].tolist()
        x0, y0, x1, y1 = self.regions[picture, number].tolist()
        return Frame((height, width), self.size, (x0, y0, x1, y1))
