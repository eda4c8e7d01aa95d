"""CLIP-I: does the picture look like the true one?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from graphcond.evaluation.cosine import clipped_cosine
from graphcond.evaluation.metric import SampleMetric
from graphcond.evaluation.samples import Samples
from graphcond.models.features import FeatureExtractor


class ClipI(SampleMetric):
    """Cosine of CLIP's picture embeddings, made against true, cut off below 0, times 100.

    InstructG2I (arXiv 2410.07157) reports it with CLIP ViT-L/14.
    """

    name = "clip_i"
    looks_at_truths = True

    def __init__(self, clip: FeatureExtractor) -> None:
        self.clip = clip

    @property
    def network(self) -> str:
        """The identity of the CLIP."""
        return self.clip.identity

    def score(self, samples: Samples) -> Float64[np.ndarray, " n"]:
        """One similarity in 0..100 for each sample."""
        made, true = samples.pictures.embedded(self.clip), samples.targets.truths.embedded(self.clip)
        return clipped_cosine(made, true)
