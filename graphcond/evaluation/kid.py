"""KID: a distance between feature distributions that few samples do not bias."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import nn
from torchmetrics.image.kid import KernelInceptionDistance

from graphcond.evaluation.metric import SetMetric
from graphcond.evaluation.samples import Samples
from graphcond.models.features import FeatureExtractor

SUBSET_SIZE = 1000
SUBSETS = 100


class KID(SetMetric):
    """Squared maximum mean discrepancy with a cubic kernel between features of made and true pictures.

    Binkowski et al. 2018, arXiv 1801.01401, through torchmetrics: the mean over `SUBSETS` subsets of
    `SUBSET_SIZE` samples, or all samples at once where there are no more. It may fall below 0.
    """

    name = "kid"
    looks_at_truths = True
    higher_is_better = False

    def __init__(self, extractor: FeatureExtractor) -> None:
        self.extractor = extractor

    @property
    def network(self) -> str:
        """The identity of the feature network."""
        return self.extractor.identity

    def score(self, samples: Samples, chosen: Int64[np.ndarray, " m"]) -> float:
        """The unbiased estimate; 0 in expectation for equal distributions."""
        made = samples.pictures.embedded(self.extractor)[chosen]
        true = samples.targets.truths.embedded(self.extractor)[chosen]
        return kernel_distance(made, true)


def kernel_distance(made: Float32[np.ndarray, "n d"], true: Float32[np.ndarray, "m d"]) -> float:
    """Kernel distance between two sets of features, in float64; the same answer at each call."""
    smaller = min(len(made), len(true))
    subsets = 1 if smaller <= SUBSET_SIZE else SUBSETS
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*save all extracted features.*")
        metric = KernelInceptionDistance(
            feature=nn.Identity(), subsets=subsets, subset_size=min(smaller, SUBSET_SIZE)
        )
    metric.update(torch.from_numpy(true).double(), real=True)
    metric.update(torch.from_numpy(made).double(), real=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return float(metric.compute()[0])
