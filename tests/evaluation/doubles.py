"""Feature networks and an oracle so simple that every figure can be computed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import Tensor

from graphcond.evaluation import OracleReader, PictureSet, Samples, Targets
from graphcond.evaluation.metrics.oracle import OracleAccuracy

COLORS = ("red", "lime", "blue")


class MeanColor:
    """Embeds a picture as its mean color and a text as the color it names; counts the pictures it saw."""

    identity = "mean-color"
    width = 3

    def __init__(self) -> None:
        self.seen = 0

    def embed_pictures(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        self.seen += len(pictures)
        return np.array([np.asarray(picture).mean((0, 1)) for picture in pictures], np.float32)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        return self.embed_pictures([plain(text) for text in texts])


class Look:
    """Embeds picture ``i`` of a set as row ``i`` of given features; made pictures are 1 pixel wide."""

    width = 0

    def __init__(self, made: np.ndarray, true: np.ndarray) -> None:
        self.made, self.true, self.identity = made, true, "look"

    def embed_pictures(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        return self.made if pictures[0].width == 1 else self.true

    def samples(self) -> Samples:
        count = len(self.made)
        return samples([plain("red", 1)] * count, [plain("red", 2)] * count)


@dataclass(frozen=True)
class Answer:
    color: Tensor


class ColorOracle:
    """Says which of three colors is the strongest."""

    def classify(self, pixels: Tensor) -> Answer:
        return Answer(pixels.mean((2, 3)).argmax(1))

    def features(self, pixels: Tensor) -> Tensor:
        return pixels.mean((2, 3))


READER = OracleReader(ColorOracle(), {"color": COLORS}, resolution=4)


class ColorAccuracy(OracleAccuracy):
    name, fact = "style_accuracy", "color"


def plain(color: str | tuple[int, int, int], size: int = 4) -> Image.Image:
    return Image.new("RGB", (size, size), color)


def targets(
    truths: Sequence[Image.Image], texts: Sequence[str] | None = None, **facts: Sequence[str]
) -> Targets:
    count = len(truths)
    return Targets(np.arange(count), PictureSet(truths), texts or ["red"] * count, facts)


def samples(
    made: Sequence[Image.Image],
    truths: Sequence[Image.Image],
    texts: Sequence[str] | None = None,
    **facts: Sequence[str],
) -> Samples:
    return Samples(targets(truths, texts, **facts), PictureSet(made))


def noise(generator: np.random.Generator, count: int, size: int = 4) -> list[Image.Image]:
    return [Image.fromarray(generator.integers(0, 256, (size, size, 3), np.uint8)) for _ in range(count)]
