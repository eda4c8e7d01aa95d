"""Measures in the feature space of the model's own recipe, for data of which nothing else is known."""

from __future__ import annotations

from collections import Counter

import numpy as np
from jaxtyping import Float64

from graphcond.errors import InputError
from graphcond.evaluation.metrics.base import RatioMetric, SampleMetric
from graphcond.evaluation.metrics.cosine import unit_rows
from graphcond.evaluation.samples import PictureSet, Samples, Targets
from graphcond.features.clip import FeatureExtractor

CLASS = "class"
"""The fact that `SameClass` reads: a label of each target; empty where it has none."""

TIE = 1e-6
"""Cosines that differ by less are equal: float32 embeddings of one picture, made in two batches."""


class _FeatureMetric(SampleMetric):
    """Looks at the features of made and true pictures."""

    network = "features"
    looks_at_truths = True
    net: FeatureExtractor

    def gains(self, samples: Samples) -> Float64[np.ndarray, "n n"]:
        """For each made picture, by how much it is nearer to each true picture than to its own."""
        made, true = _directions(samples.pictures, self.net), _directions(samples.targets.truths, self.net)
        cosines = made @ true.T
        return cosines - cosines.diagonal()[:, None]


class FeatureDistance(_FeatureMetric):
    """Cosine distance (0..2) of the features of the made picture to those of the true one."""

    name = "feature_distance"
    higher_is_better = False

    def score(self, samples: Samples) -> Float64[np.ndarray, " n"]:
        """One distance for each sample, 0 if the features have one direction."""
        made, true = _directions(samples.pictures, self.net), _directions(samples.targets.truths, self.net)
        return 1 - (made * true).sum(axis=1)


class Retrieval(_FeatureMetric):
    """Share of made pictures that are nearest to their own true picture among those of all targets (R@1)."""

    name = "retrieval"

    def score(self, samples: Samples) -> Float64[np.ndarray, " n"]:
        """1 where no other true picture is nearer, divided by those that are equally near."""
        gains = self.gains(samples)
        nearer, level = (gains >= TIE).any(axis=1), (np.abs(gains) < TIE).sum(axis=1)  # with its own
        return np.where(nearer, 0.0, 1 / level)

    def chance(self, targets: Targets) -> float:
        """One of all targets."""
        return 1 / len(targets)


class RetrievalRank(_FeatureMetric):
    """Share of the other targets whose true picture is farther from the made picture than its own.

    It still distinguishes models whose pictures are hardly ever nearest to their own true picture.
    """

    name = "retrieval_rank"

    def score(self, samples: Samples) -> Float64[np.ndarray, " n"]:
        """1 where all others are farther, 0 where all are nearer; those equally near count half."""
        gains = self.gains(samples)
        nearer, level = (gains >= TIE).sum(axis=1), (np.abs(gains) < TIE).sum(axis=1) - 1
        return 1 - (nearer + level / 2) / (len(samples) - 1)

    def chance(self, targets: Targets) -> float:
        """Half of the others."""
        return 0.5


class SameClass(RatioMetric):
    """Share of made pictures that are nearest to the mean true picture of their target's class.

    The mean of its own class leaves out the target's own true picture. Targets without a label, or alone in
    their class, are not counted.
    """

    name = "same_class"
    network = "features"
    looks_at_truths = True
    net: FeatureExtractor

    def check(self, targets: Targets) -> None:
        """Labels must be given, of two classes at least, one of which has two targets."""
        super().check(targets)
        if CLASS not in targets.facts:
            raise InputError(
                f"{self.name} needs the class of each target",
                place="evaluation",
                remedy=f"name their column (--label COLUMN, label=...), or leave out {self.name}",
            )
        sizes = _sizes(targets)
        if len(sizes) < 2 or max(sizes.values()) < 2:
            raise InputError(
                f"{self.name} needs two classes and two targets of one of them; "
                f"{len(targets)} targets have {len(sizes)} classes",
                place="evaluation",
                remedy="evaluate more targets, or name a column whose values repeat",
            )

    def count(self, samples: Samples) -> Float64[np.ndarray, "n 2"]:
        """Whether each sample is right, and whether it counts."""
        return self._count(samples.targets, samples.pictures)

    def chance(self, targets: Targets) -> float:
        """One of all classes."""
        return 1 / len(_sizes(targets))

    def basis(self, targets: Targets) -> str:
        """The classes, and how well the features tell those of the true pictures."""
        counted = [size for size in _sizes(targets).values() if size > 1]
        hits, count = self._count(targets, targets.truths).sum(axis=0)
        return (
            f"{self.name}: {int(count):,} targets count, {max(counted) / count:.0%} of them in the largest "
            f"class; {hits / count:.0%} of their true pictures are nearest to their own class"
        )

    def _count(self, targets: Targets, pictures: PictureSet) -> Float64[np.ndarray, "n 2"]:
        made, true = _directions(pictures, self.net), _directions(targets.truths, self.net)
        labels = np.array([*_sizes(targets)])
        member = np.array(targets.facts[CLASS])[:, None] == labels
        sums = member.T.astype(np.float64) @ true
        others = member @ sums - true  # of each target's class, without its own picture
        scores = np.where(
            member, (made * unit_rows(others)).sum(axis=1, keepdims=True), made @ unit_rows(sums).T
        )
        counted = (member & (member.sum(axis=0) > 1)).any(axis=1)
        right = member[np.arange(len(member)), scores.argmax(axis=1)]
        return np.stack([right & counted, counted], axis=1).astype(np.float64)


def _sizes(targets: Targets) -> Counter[str]:
    """How many targets each class has."""
    return Counter(label for label in targets.facts[CLASS] if label)


def _directions(pictures: PictureSet, net: FeatureExtractor) -> Float64[np.ndarray, "n d"]:
    return unit_rows(pictures.embedded(net))
