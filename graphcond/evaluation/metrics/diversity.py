"""Diversity: how different are several pictures of one graph?"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from jaxtyping import Float64

from graphcond.errors import InputError
from graphcond.evaluation.metrics.base import SampleMetric
from graphcond.evaluation.samples import Samples
from graphcond.features.clip import FeatureExtractor


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
        features = [pictures.embedded(self.net).astype(np.float64) for pictures in sets]
        lengths = [np.linalg.norm(rows, axis=1, keepdims=True) for rows in features]
        unit = [rows / np.where(norm > 0, norm, 1.0) for rows, norm in zip(features, lengths, strict=True)]
        return np.mean([1.0 - (a * b).sum(axis=1) for a, b in combinations(unit, 2)], axis=0)
