"""Cosines: of a made picture with the true one, and with its prompt."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64

from graphcond.evaluation.metrics.base import SampleMetric
from graphcond.evaluation.samples import Samples
from graphcond.features.clip import FeatureExtractor, TextExtractor


def clipped_cosine(
    left: Float32[np.ndarray, "n d"], right: Float32[np.ndarray, "n d"]
) -> Float64[np.ndarray, " n"]:
    """Cosine of paired rows, cut off below 0, times 100; 0 where a row is zero."""
    a, b = left.astype(np.float64), right.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = (a * b).sum(axis=1) / np.where(lengths > 0, lengths, 1.0)
    return 100.0 * np.maximum(cosine, 0.0)


class _PictureCosine(SampleMetric):
    """Cosine of two embeddings of pictures, made against true, cut off below 0, times 100."""

    looks_at_truths = True
    net: FeatureExtractor

    def score(self, samples: Samples) -> Float64[np.ndarray, " n"]:
        """One similarity in 0..100 for each sample."""
        made, true = samples.pictures.embedded(self.net), samples.targets.truths.embedded(self.net)
        return clipped_cosine(made, true)


class ClipI(_PictureCosine):
    """Cosine of CLIP's picture embeddings, made against true, cut off below 0, times 100.

    InstructG2I (arXiv 2410.07157) reports it with CLIP ViT-L/14.
    """

    name = "clip_i"
    network = "clip"


class DinoI(_PictureCosine):
    """Cosine of DINOv2's pooled outputs, made against true, cut off below 0, times 100.

    InstructG2I (arXiv 2410.07157) reports it with DINOv2-large.
    """

    name = "dino_i"
    network = "dino"


class ClipT(SampleMetric):
    """Cosine of CLIP's embeddings of picture and prompt, cut off below 0, times 100 (CLIPScore, w = 100).

    Hessel et al. 2021, arXiv 2104.08718.
    """

    name = "clip_t"
    network = "clip"
    net: TextExtractor

    def score(self, samples: Samples) -> Float64[np.ndarray, " n"]:
        """One similarity in 0..100 for each sample."""
        made, texts = samples.pictures.embedded(self.net), self.net.embed_texts(samples.targets.texts)
        return clipped_cosine(made, texts)
