"""FID: how far apart the made and the true pictures lie as Gaussians of features."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance

from graphcond.evaluation.metric import SetMetric
from graphcond.evaluation.samples import Samples
from graphcond.models.features import FeatureExtractor

TRUSTED_SIZE = 10_000


class FID(SetMetric):
    """Frechet distance between Gaussians fitted to the features of made and true pictures.

    Heusel et al. 2017, arXiv 1706.08500, through torchmetrics. Published figures look through
    `InceptionExtractor`.
    """

    name = "fid"
    looks_at_truths = True
    higher_is_better = False

    def __init__(self, extractor: FeatureExtractor) -> None:
        self.extractor = extractor

    @property
    def network(self) -> str:
        """The identity of the feature network."""
        return self.extractor.identity

    def caution(self, n: int) -> str | None:
        """FID shrinks as samples grow."""
        if n >= TRUSTED_SIZE:
            return None
        return (
            f"fid over {n:,} samples is too high, as it is for any n below about {TRUSTED_SIZE:,}: "
            "compare it between equal n only"
        )

    def score(self, samples: Samples, chosen: Int64[np.ndarray, " m"]) -> float:
        """The distance; 0 for equal distributions."""
        made = samples.pictures.embedded(self.extractor)[chosen]
        true = samples.targets.truths.embedded(self.extractor)[chosen]
        return frechet_distance(made, true)


def frechet_distance(made: Float32[np.ndarray, "n d"], true: Float32[np.ndarray, "m d"]) -> float:
    """Frechet distance between Gaussians fitted to two sets of features, in float64."""
    identity = nn.Identity()
    identity.num_features = made.shape[1]  # type: ignore[assignment]
    metric = FrechetInceptionDistance(feature=identity)
    metric.update(torch.from_numpy(true).double(), real=True)
    metric.update(torch.from_numpy(made).double(), real=False)
    return float(metric.compute())
