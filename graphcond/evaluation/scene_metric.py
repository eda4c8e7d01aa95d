"""What the metrics over scene graphs share: a detector, and graphs to compare with what it sees."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from jaxtyping import Float64

from graphcond.errors import InputError
from graphcond.evaluation.metric import RatioMetric
from graphcond.evaluation.samples import Samples, Targets
from graphcond.evaluation.scene_detector import SceneDetector
from graphcond.types import SceneGraph


class SceneMetric(RatioMetric):
    """Counts, in each picture, how much of its graph a detector sees.

    Args:
        detector: reads scene graphs off pictures.
    """

    counted: str
    """What a graph must hold for the metric to say anything, in the plural."""

    def __init__(self, detector: SceneDetector) -> None:
        self.detector = detector

    @property
    def network(self) -> str:
        """The identity of the detector."""
        return self.detector.identity

    @abstractmethod
    def chances(self, wanted: SceneGraph) -> int:
        """How many of what is ``counted`` a graph holds."""

    @abstractmethod
    def tally(self, wanted: SceneGraph, seen: SceneGraph) -> tuple[float, float]:
        """Hits and chances of one picture."""

    def count(self, samples: Samples) -> Float64[np.ndarray, "n 2"]:
        """Hits and chances of each picture."""
        graphs = samples.targets.scenes
        seen = samples.pictures.detected(self.detector, graphs)
        return np.array([self.tally(*pair) for pair in zip(graphs, seen, strict=True)], np.float64)

    def check(self, targets: Targets) -> None:
        """There must be graphs, and something to count in them."""
        super().check(targets)
        if not len(targets.scenes):
            raise InputError(
                f"{self.name} needs scene graphs to compare with",
                place="evaluation",
                remedy=f"evaluate a scene model, or leave out {self.name}",
            )
        if not any(map(self.chances, targets.scenes)):
            raise InputError(
                f"no scene graph has {self.counted}",
                place="evaluation",
                remedy=f"evaluate graphs that have, or leave out {self.name}",
            )

    def basis(self, targets: Targets) -> str | None:
        """How many there are to count, in how many graphs."""
        found = [count for count in map(self.chances, targets.scenes) if count]
        return f"{self.name}: {sum(found):,} {self.counted} in {len(found):,} graphs"
