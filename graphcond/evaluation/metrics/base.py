"""The contract of a metric: a score for each sample, or a figure for a set of samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64, Int64

from graphcond.errors import InputError
from graphcond.evaluation.samples import Samples, Targets
from graphcond.intervals import How, Measurement, bootstrap_ratios, half_sample_figures, measured


class Metric(ABC):
    """Compares the pictures drawn for targets with the known facts about the targets.

    Derive from `SampleMetric`, `RatioMetric` or `SetMetric`. Other packages offer theirs under the entry
    point ``graphcond.metrics``.

    Args:
        net: the network that the class names as `network`, loaded; None where it names none.
    """

    name: ClassVar[str]
    """The name of the metric in protocols, commands and reports; each name exists once."""

    network: ClassVar[str | None] = None
    """The field of `Networks` that the metric looks through, such as clip, oracle or detector.

    Evaluation loads it once for all metrics. None where the metric needs none.
    """

    higher_is_better: ClassVar[bool] = True

    looks_at_truths: ClassVar[bool] = False
    """True if the metric compares with the true pictures."""

    how: ClassVar[How] = "mean"
    """How the figure follows from the evidence."""

    draws: int = 1
    """Pictures of each target that it looks at: the first, then `PictureSet.redrawn`."""

    def __init__(self, net: Any = None) -> None:
        self.net = net

    @property
    def identity(self) -> str:
        """The network that looked at the pictures; figures of different networks do not compare."""
        return "no network" if self.net is None else self.net.identity

    @abstractmethod
    def evidence(self, samples: Samples, *, seed: int) -> Float64[np.ndarray, " evidence"]:
        """The quantities from which the figure is computed.

        The evidence of two arms over the same targets, subtracted, is that of their difference. Samples
        are paired so: a target that is hard for both arms does not widen the interval.
        """

    def measure(self, evidence: Float64[np.ndarray, " evidence"], n: int, *, seed: int) -> Measurement:
        """The figure and its interval, from the evidence over ``n`` samples."""
        return measured(self.name, evidence, n, self.how, seed=seed)

    def check(self, targets: Targets) -> None:
        """Called before any picture is made.

        Raises:
            InputError: the targets lack what the metric needs, or are too few.
        """
        if self.looks_at_truths and not len(targets.truths):
            raise self.unsuited(
                f"{self.name} compares with true pictures, and there are none", "targets that have pictures"
            )

    def unsuited(self, problem: str, remedy: str) -> InputError:
        """An error for `check` to raise; the remedy says what to evaluate to score the metric."""
        remedy = f"evaluate {remedy}, or leave out {self.name}"
        return InputError(problem, place="evaluation", remedy=remedy)

    def chance(self, targets: Targets) -> float | None:
        """The figure of pictures that know nothing of their target, where it can be computed."""
        return None

    def caution(self, n: int) -> str | None:
        """Caveats for a figure over ``n`` samples."""
        return None

    def basis(self, targets: Targets) -> str | None:
        """The unit that is counted, if it is not the target itself."""
        return None


class SampleMetric(Metric):
    """A metric that scores each sample; its figure is the mean, its interval a bootstrap."""

    @abstractmethod
    def score(self, samples: Samples) -> Float64[np.ndarray, " n"]:
        """One score for each sample."""

    def evidence(self, samples: Samples, *, seed: int) -> Float64[np.ndarray, " n"]:
        """The scores."""
        return self.score(samples)


class RatioMetric(Metric):
    """A metric that counts within each sample: its figure is all hits over all chances of the samples.

    The interval resamples whole samples, so correlated chances within one sample stay together.
    """

    how = "ratio"

    @abstractmethod
    def count(self, samples: Samples) -> Float64[np.ndarray, "n 2"]:
        """Hits and chances of each sample; one without chances counts for nothing."""

    def evidence(self, samples: Samples, *, seed: int) -> Float64[np.ndarray, " resamples_plus_1"]:
        """The figure of all samples, then of each resample; equal seeds resample equally."""
        return bootstrap_ratios(self.count(samples), seed=seed)


class SetMetric(Metric):
    """A metric of a whole set, such as a distance between distributions; its interval is by half samples."""

    how = "set"

    @abstractmethod
    def score(self, samples: Samples, chosen: Int64[np.ndarray, " m"]) -> float:
        """The figure of the ``chosen`` samples (positions, without repeats)."""

    def check(self, targets: Targets) -> None:
        """Half of the targets must still be a set."""
        super().check(targets)
        if len(targets) < 4:
            raise self.unsuited(
                f"{len(targets)} targets are too few for {self.name}, a distance between sets", "at least 4"
            )

    def evidence(self, samples: Samples, *, seed: int) -> Float64[np.ndarray, " halves_plus_1"]:
        """The figure of all samples, then of random halves."""
        return half_sample_figures(partial(self.score, samples), len(samples), seed=seed)
