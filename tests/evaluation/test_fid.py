"""FID against its closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from graphcond.errors import InputError
from graphcond.evaluation.metrics.distribution import FID
from tests.evaluation.doubles import Look, plain, targets


def _features(seed: int, count: int = 60, width: int = 5) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (generator.standard_normal((count, width)) @ generator.standard_normal((width, width))).astype(
        np.float32
    )


def _closed_form(made: np.ndarray, true: np.ndarray) -> float:
    a, b = made.astype(float), true.astype(float)
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.real(sqrtm(first @ second))
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second - 2 * root))


def test_score_is_the_frechet_distance() -> None:
    look = Look(_features(0), _features(1) + 0.5)
    metric, samples = FID(look), look.samples()
    everything, some = np.arange(60), np.arange(0, 60, 2)
    assert metric.score(samples, everything) == pytest.approx(_closed_form(look.made, look.true), rel=1e-6)
    expected = _closed_form(look.made[some], look.true[some])
    assert metric.score(samples, some) == pytest.approx(expected, rel=1e-6)


def test_a_shift_adds_its_square() -> None:
    features = _features(0)
    look = Look(features, features + 2)
    assert FID(look).score(look.samples(), np.arange(60)) == pytest.approx(4 * 5, rel=1e-5)


def test_the_interval_is_narrower_with_more_samples() -> None:
    widths = []
    for count in (40, 640):
        look = Look(_features(0, count), _features(1, count) + 1)
        metric = FID(look)
        figure = metric.measure(metric.evidence(look.samples(), seed=0), count, seed=0)
        assert figure.low < figure.mean < figure.high
        widths.append(figure.high - figure.low)
    assert 2 < widths[0] / widths[1] < 10


def test_few_samples_are_cautioned_about() -> None:
    metric = FID(Look(_features(0), _features(0)))
    assert "fid over 1,000 samples" in (metric.caution(1000) or "")
    assert metric.caution(10_000) is None
    assert not metric.higher_is_better


def test_too_few_targets_are_refused() -> None:
    with pytest.raises(InputError, match="3 targets are too few for fid"):
        FID(Look(_features(0), _features(0))).check(targets([plain("red")] * 3))
