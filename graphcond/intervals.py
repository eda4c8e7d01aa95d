"""Intervals of 95 %: how much a figure would move with other samples of the same kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float64, Int64


@dataclass(frozen=True)
class Measurement:
    """A figure over ``n`` samples with its 95 % interval, ``low`` to ``high``."""

    name: str
    mean: float
    low: float
    high: float
    n: int


How: TypeAlias = Literal["mean", "ratio", "set"]
"""How a figure follows from its evidence: scores, `bootstrap_ratios` or `half_sample_figures`."""

RESAMPLES = 2000
HALVES = 20
QUANTILES = (0.025, 0.975)
NORMAL_REACH = 1.959964


def bootstrap_interval(scores: Float64[np.ndarray, " n"], *, seed: int) -> tuple[float, float]:
    """Percentile bootstrap of the mean of ``scores``.

    Scores that are all equal, such as an accuracy of 1, give an interval of no width: it then says
    nothing about samples that were not seen.
    """
    generator = np.random.default_rng(seed)
    count = len(scores)
    means = [scores[generator.integers(count, size=count)].mean() for _ in range(RESAMPLES)]
    return percentile_interval(np.array(means))


def bootstrap_ratios(
    counts: Float64[np.ndarray, "n 2"], *, seed: int
) -> Float64[np.ndarray, " resamples_plus_1"]:
    """Hits over chances of all samples, then of each of their resamples; 0 where there are no chances.

    Args:
        counts: hits and chances of each sample.
        seed: draws the resamples; equal seeds draw equal ones.
    """
    count = len(counts)
    times = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    hits, chances = np.vstack([counts.sum(axis=0), times @ counts]).T
    return np.divide(hits, chances, out=np.zeros(len(hits)), where=chances > 0)


def percentile_interval(figures: Float64[np.ndarray, " resamples"]) -> tuple[float, float]:
    """The middle 95 % of the figures of resamples."""
    low, high = np.quantile(figures, QUANTILES)
    return float(low), float(high)


def half_sample_figures(
    figure: Callable[[Int64[np.ndarray, " m"]], float], count: int, *, seed: int
) -> Float64[np.ndarray, " halves_plus_1"]:
    """The figure of all samples, then of random halves of them.

    A half drawn without repeats varies around the figure of the whole set just as that figure varies
    around the truth. Bootstrap samples repeat pictures, which distances between distributions, such
    as FID and KID, take for a lack of variety.

    Args:
        figure: the figure of some of the samples, by position.
        count: how many samples there are, at least 4.
        seed: draws the halves; equal seeds draw equal halves.
    """
    generator = np.random.default_rng(seed)
    halves = [np.sort(generator.permutation(count)[: count // 2]) for _ in range(HALVES)]
    return np.array([figure(np.arange(count)), *map(figure, halves)])


def half_sample_interval(figures: Float64[np.ndarray, " halves_plus_1"]) -> tuple[float, float]:
    """Normal interval around the first of the `half_sample_figures`."""
    reach = NORMAL_REACH * float(np.std(figures[1:], ddof=1))
    return float(figures[0]) - reach, float(figures[0]) + reach


def measured(
    name: str, evidence: Float64[np.ndarray, " evidence"], n: int, how: How, *, seed: int
) -> Measurement:
    """The figure that follows from the evidence over ``n`` samples, with its interval."""
    match how:
        case "mean":
            return Measurement(name, float(evidence.mean()), *bootstrap_interval(evidence, seed=seed), n)
        case "ratio":
            return Measurement(name, float(evidence[0]), *percentile_interval(evidence[1:]), n)
        case "set":
            return Measurement(name, float(evidence[0]), *half_sample_interval(evidence), n)
