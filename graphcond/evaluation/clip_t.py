"""CLIP-T: does the picture show what the text says?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from graphcond.evaluation.cosine import clipped_cosine
from graphcond.evaluation.metric import SampleMetric
from graphcond.evaluation.samples import Samples
from graphcond.models.features import TextExtractor


class ClipT(SampleMetric):
    """Cosine of CLIP's embeddings of picture and prompt, cut off below 0, times 100 (CLIPScore, w = 100).

    Hessel et al. 2021, arXiv 2104.08718.
    """

    name = "clip_t"

    def __init__(self, clip: TextExtractor) -> None:
        self.clip = clip

    @property
    def network(self) -> str:
        """The identity of the CLIP."""
        return self.clip.identity

    def score(self, samples: Samples) -> Float64[np.ndarray, " n"]:
        """One similarity in 0..100 for each sample."""
        return clipped_cosine(
            samples.pictures.embedded(self.clip), self.clip.embed_texts(samples.targets.texts)
        )
