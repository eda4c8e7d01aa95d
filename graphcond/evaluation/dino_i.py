"""DINO-I: does the picture look like the true one to a network that never read a text?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from graphcond.evaluation.cosine import clipped_cosine
from graphcond.evaluation.metric import SampleMetric
from graphcond.evaluation.samples import Samples
from graphcond.models.features import FeatureExtractor


class DinoI(SampleMetric):
    """Cosine of DINOv2's pooled outputs, made against true, cut off below 0, times 100.

    InstructG2I (arXiv 2410.07157) reports it with DINOv2-large.
    """

    name = "dino_i"
    looks_at_truths = True

    def __init__(self, dino: FeatureExtractor) -> None:
        self.dino = dino

    @property
    def network(self) -> str:
        """The identity of the DINOv2."""
        return self.dino.identity

    def score(self, samples: Samples) -> Float64[np.ndarray, " n"]:
        """One similarity in 0..100 for each sample."""
        made, true = samples.pictures.embedded(self.dino), samples.targets.truths.embedded(self.dino)
        return clipped_cosine(made, true)
