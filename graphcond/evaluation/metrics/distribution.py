"""Distances between the features of the made and the true pictures: FID and KID."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float32, Int64
from PIL import Image
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from graphcond.errors import InputError
from graphcond.evaluation.metrics.base import SetMetric
from graphcond.evaluation.samples import Samples
from graphcond.features.clip import FeatureExtractor
from graphcond.io.pictures import to_square
from graphcond.io.quiet import ignored

SUBSET_SIZE = 1000
SUBSETS = 100
TRUSTED_SIZE = 10_000
BATCH = 32


def frechet_distance(made: Float32[np.ndarray, "n d"], true: Float32[np.ndarray, "m d"]) -> float:
    """Frechet distance between Gaussians fitted to two sets of features, in float64."""
    identity = nn.Identity()
    identity.num_features = made.shape[1]  # type: ignore[assignment]
    metric = FrechetInceptionDistance(feature=identity)
    metric.update(torch.from_numpy(true).double(), real=True)
    metric.update(torch.from_numpy(made).double(), real=False)
    return float(metric.compute())


def kernel_distance(made: Float32[np.ndarray, "n d"], true: Float32[np.ndarray, "m d"]) -> float:
    """Kernel distance between two sets of features, in float64; the same answer at each call."""
    smaller = min(len(made), len(true))
    subsets = 1 if smaller <= SUBSET_SIZE else SUBSETS
    with ignored(message=".*save all extracted features.*"):
        metric = KernelInceptionDistance(
            feature=nn.Identity(), subsets=subsets, subset_size=min(smaller, SUBSET_SIZE)
        )
    metric.update(torch.from_numpy(true).double(), real=True)
    metric.update(torch.from_numpy(made).double(), real=False)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # not the generators of GPUs
        return float(metric.compute()[0])


class _FeatureDistance(SetMetric):
    """A distance between features of the made and the true pictures."""

    network = "distribution"
    looks_at_truths = True
    higher_is_better = False
    net: FeatureExtractor
    distance: ClassVar[staticmethod[[np.ndarray, np.ndarray], float]]
    """The distance between two sets of features."""

    def score(self, samples: Samples, chosen: Int64[np.ndarray, " m"]) -> float:
        """The distance of the ``chosen`` samples."""
        made, true = samples.pictures.embedded(self.net), samples.targets.truths.embedded(self.net)
        return self.distance(made[chosen], true[chosen])


class FID(_FeatureDistance):
    """Frechet distance between Gaussians fitted to the features of made and true pictures.

    Heusel et al. 2017, arXiv 1706.08500, through torchmetrics; 0 for equal distributions. Published figures
    look through `InceptionExtractor`.
    """

    name = "fid"
    distance = staticmethod(frechet_distance)

    def caution(self, n: int) -> str | None:
        """FID shrinks as samples grow."""
        if n >= TRUSTED_SIZE:
            return None
        return (
            f"fid over {n:,} samples is too high, as it is for any n below about {TRUSTED_SIZE:,}: "
            "compare it between equal n only"
        )


class KID(_FeatureDistance):
    """Squared maximum mean discrepancy with a cubic kernel between features of made and true pictures.

    Binkowski et al. 2018, arXiv 1801.01401, through torchmetrics: the mean over `SUBSETS` subsets of
    `SUBSET_SIZE` samples, or all samples at once where there are no more. The estimate is unbiased, so it may
    fall below 0.
    """

    name = "kid"
    distance = staticmethod(kernel_distance)


class InceptionExtractor:
    """Pooled features (2048) of the InceptionV3 that torch-fidelity ships; needs the extra ``fid``.

    Pictures are padded to a square and scaled to 256, as InstructG2I's evaluation does.

    Raises:
        InputError: torch-fidelity is not installed, or its weights are neither cached nor downloadable.
    """

    identity = "inception-v3-compat-2048"
    width = 2048
    resolution = 256

    def __init__(self, device: str | torch.device = "cpu") -> None:
        from torchmetrics.image.fid import NoTrainInceptionV3

        try:
            network = NoTrainInceptionV3("inception-v3-compat", ["2048"])
        except ModuleNotFoundError:
            raise InputError(
                "the Inception network of FID and KID is not installed",
                place="evaluation",
                remedy='run: pip install "graphcond[fid]"; or leave out fid and kid, or give them another '
                "feature network",
            ) from None
        except OSError as error:
            raise InputError(
                f"the weights of the Inception network cannot be loaded ({error})",
                place="evaluation",
                remedy="go online once, so that they are downloaded, or leave out fid and kid",
            ) from error
        self.network = network.to(device)
        self.device = device

    @torch.inference_mode()
    def embed_pictures(self, pictures: Sequence[Image.Image]) -> Float32[np.ndarray, "n d"]:
        """One feature vector for each picture."""
        features = [np.empty((0, self.width), np.float32)]
        for start in range(0, len(pictures), BATCH):
            batch = pictures[start : start + BATCH]
            levels = np.stack([np.asarray(to_square(picture, self.resolution)) for picture in batch])
            pixels = torch.from_numpy(levels).permute(0, 3, 1, 2).to(self.device)
            features.append(self.network(pixels).float().cpu().numpy())
        return np.concatenate(features)
