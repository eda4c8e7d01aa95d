"""Metrics that ask an oracle: a classifier whose answers are true by construction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from graphcond.evaluation.metrics.base import SampleMetric
from graphcond.evaluation.samples import PictureSet, Samples, Targets
from graphcond.io.pictures import to_pixels, to_square

BATCH = 64


@runtime_checkable
class Oracle(Protocol):
    """A classifier whose answers are true by construction, such as the art world's."""

    def classify(self, pixels: Float32[Tensor, "b 3 height width"]) -> Any:
        """An object with one attribute for each fact: the index of the answer for each picture."""

    def features(self, pixels: Float32[Tensor, "b 3 height width"]) -> Float[Tensor, "b d"]:
        """Vectors whose distance measures how different two pictures are."""


@dataclass(frozen=True)
class OracleReader:
    """An oracle together with the meaning of its answers.

    Args:
        oracle: reads pixels in -1..1.
        names: for each fact the names of its classes, by index.
        resolution: side of the pictures that the oracle reads.
    """

    oracle: Oracle
    names: Mapping[str, Sequence[str]]
    resolution: int = 64

    @property
    def identity(self) -> str:
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
        answers = []
        for start in range(0, len(pictures), BATCH):
            batch = pictures.pictures[start : start + BATCH]
            pixels = np.stack([to_pixels(to_square(picture, self.resolution)) for picture in batch])
            answers.append(look(torch.from_numpy(pixels)).cpu())
        return torch.cat(answers)


class OracleAccuracy(SampleMetric):
    """Share of samples in which the oracle recognizes the target's true fact, 0..1."""

    network = "oracle"
    net: OracleReader

    fact: ClassVar[str]
    """The question to the oracle: a key of `OracleReader.names` and of the targets' facts."""

    def check(self, targets: Targets) -> None:
        """The fact must be known."""
        super().check(targets)
        if self.fact not in targets.facts:
            problem = f"the graph does not say the '{self.fact}' of its nodes"
            raise self.unsuited(problem, "with the protocol own")

    def chance(self, targets: Targets) -> float:
        """One of all answers."""
        return 1 / len(self.net.names[self.fact])

    def score(self, samples: Samples) -> Float64[np.ndarray, " n"]:
        """1 where the oracle is right about the fact, else 0."""
        told = self.net.tell(samples.pictures, self.fact)
        return np.array([a == b for a, b in zip(told, samples.targets.facts[self.fact], strict=True)], float)


class StyleAccuracy(OracleAccuracy):
    """Share of samples in which the oracle recognizes the target's artist."""

    name = "style_accuracy"
    fact = "artist"


class SubjectAccuracy(OracleAccuracy):
    """Share of samples in which the oracle recognizes the target's subject."""

    name = "subject_accuracy"
    fact = "subject"


class OracleDistance(SampleMetric):
    """Euclidean distance of the oracle's features, made against true; it ranks where accuracies saturate."""

    name = "oracle_distance"
    network = "oracle"
    looks_at_truths = True
    higher_is_better = False
    net: OracleReader

    def score(self, samples: Samples) -> Float64[np.ndarray, " n"]:
        """One distance for each sample, 0 if the oracle sees no difference from the true picture."""
        made = self.net.features(samples.pictures)
        true = self.net.features(samples.targets.truths)
        return np.linalg.norm((made - true).astype(np.float64), axis=1)
