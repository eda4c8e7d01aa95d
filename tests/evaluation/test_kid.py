"""KID against the unbiased estimate written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphcond.evaluation.metrics import distribution as kid
from graphcond.evaluation.metrics.distribution import KID
from tests.evaluation.doubles import Look


def _features(seed: int, count: int = 40, width: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)


def _unbiased(made: np.ndarray, true: np.ndarray) -> float:
    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a.astype(float) @ b.astype(float).T / a.shape[1] + 1) ** 3

    def within(values: np.ndarray) -> float:
        count = len(values)
        return (values.sum() - np.trace(values)) / (count * (count - 1))

    return float(within(kernel(made, made)) + within(kernel(true, true)) - 2 * kernel(made, true).mean())


def test_score_is_the_unbiased_estimate() -> None:
    look = Look(_features(0), _features(1) + 0.3)
    expected = _unbiased(look.made, look.true)
    assert KID(look).score(look.samples(), np.arange(40)) == pytest.approx(expected, rel=1e-6)
    some = np.arange(10, 30)
    expected = _unbiased(look.made[some], look.true[some])
    assert KID(look).score(look.samples(), some) == pytest.approx(expected, rel=1e-6)


def test_many_samples_are_taken_in_subsets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kid, "SUBSET_SIZE", 30)
    look = Look(_features(0, 200), _features(1, 200) + 0.3)
    score = KID(look).score(look.samples(), np.arange(200))
    expected = _unbiased(look.made, look.true)
    assert score != pytest.approx(expected, rel=1e-6)
    assert score == pytest.approx(expected, rel=0.2)


def test_scores_repeat_and_leave_the_generator_alone() -> None:
    look = Look(_features(0), _features(1))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    scores = {KID(look).score(look.samples(), np.arange(40)) for _ in range(3)}
    assert len(scores) == 1
    assert torch.equal(torch.get_rng_state(), before)
    assert not KID.higher_is_better
