"""Cosines: of a made picture with the true one, with its prompt, and with others of the same target."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from jaxtyping import Float, Float32, Float64

from graphcond.errors import InputError
from graphcond.evaluation.metrics.base import SampleMetric
from graphcond.evaluation.samples import Samples
from graphcond.features.clip import FeatureExtractor, TextExtractor


def unit_rows(rows: Float[np.ndarray, "n d"]) -> Float64[np.ndarray, "n d"]:
    """Rows of length 1; those that are zero stay so."""
    exact = rows.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=1, keepdims=True)
    return exact / np.where(lengths > 0, lengths, 1)


def clipped_cosine(
    left: Float32[np.ndarray, "n d"], right: Float32[np.ndarray, "n d"]
) -> Float64[np.ndarray, " n"]:
    """Cosine of paired rows, cut off below 0, times 100; 0 where a row is zero."""
    return 100.0 * np.maximum((unit_rows(left) * unit_rows(right)).sum(axis=1), 0.0)


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


class Diversity(SampleMetric):
    """Mean cosine distance of the features of pictures of one target, drawn from different noise, 0..2.

    sg2im's successors report it with AlexNet's features (LPIPS); here any feature network will do. It only
    says something beside the other figures: noise is diverse.

    Args:
        net: the feature network.
        draws: pictures of each target, at least 2; evaluation then draws as many.
    """

    name = "diversity"
    network = "clip"
    net: FeatureExtractor

    def __init__(self, net: FeatureExtractor, draws: int = 2) -> None:
        super().__init__(net)
        if draws < 2:
            raise InputError(
                f"{draws} pictures have no distance", place="diversity", remedy="draw at least 2"
            )
        self.draws = draws

    def score(self, samples: Samples) -> Float64[np.ndarray, " n"]:
        """The mean distance of each target's pictures.

        Raises:
            InputError: there is only one picture of each target.
        """
        sets = [samples.pictures, *samples.pictures.redrawn][: self.draws]
        if len(sets) < 2:
            raise InputError(
                "there is one picture of each target, diversity compares several",
                place="evaluation",
                remedy="make pictures with draws=2 or more",
            )
        unit = [unit_rows(pictures.embedded(self.net)) for pictures in sets]
        return np.mean([1.0 - (a * b).sum(axis=1) for a, b in combinations(unit, 2)], axis=0)
