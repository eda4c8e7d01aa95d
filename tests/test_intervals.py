"""Intervals hold the truth about as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from graphcond.intervals import bootstrap_interval, half_sample_figures, half_sample_interval


def test_bootstrap_matches_scipy() -> None:
    scores = np.random.default_rng(1).gamma(2.0, size=80)
    expected = stats.bootstrap((scores,), np.mean, method="percentile", n_resamples=9999, rng=2)
    np.testing.assert_allclose(bootstrap_interval(scores, seed=0), expected.confidence_interval, rtol=0.02)


def test_equal_seeds_give_equal_intervals() -> None:
    scores = np.random.default_rng(1).random(50)
    assert bootstrap_interval(scores, seed=3) == bootstrap_interval(scores, seed=3)
    assert bootstrap_interval(scores, seed=3) != bootstrap_interval(scores, seed=4)


@pytest.mark.parametrize("method", ["bootstrap", "halves"])
def test_intervals_cover_the_truth(method: str) -> None:
    generator = np.random.default_rng(0)
    hits, trials = 0, 150
    for trial in range(trials):
        scores = generator.normal(5.0, 2.0, 60)
        if method == "bootstrap":
            low, high = bootstrap_interval(scores, seed=trial)
        else:
            low, high = _by_halves(scores, trial)
        hits += low <= 5.0 <= high
    assert 0.88 <= hits / trials <= 0.99


def _by_halves(scores: np.ndarray, seed: int) -> tuple[float, float]:
    figures = half_sample_figures(lambda chosen: float(scores[chosen].mean()), len(scores), seed=seed)
    return half_sample_interval(figures)


def test_halves_are_halves_without_repeats() -> None:
    seen: list[np.ndarray] = []

    def figure(chosen: np.ndarray) -> float:
        seen.append(chosen)
        return float(len(chosen))

    figures = half_sample_figures(figure, 11, seed=0)
    assert figures.tolist() == [11] + [5] * 20
    assert all(len(np.unique(chosen)) == len(chosen) for chosen in seen)
    assert len({tuple(chosen) for chosen in seen}) > 15


def test_half_sample_interval_is_centered_on_the_whole() -> None:
    low, high = half_sample_interval(np.array([3.0, 1.0, 2.0]))
    assert low + high == pytest.approx(6.0)
    assert high - 3.0 == pytest.approx(1.959964 * np.std([1.0, 2.0], ddof=1))
