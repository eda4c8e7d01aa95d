from __future__ import annotations

import math

import pytest

from graphcond.recipe import TrainingConfig
from graphcond.training.optimizer import rate_factor


def test_warm_up_then_constant() -> None:
    factor = rate_factor(TrainingConfig(steps=10, warmup=4))
    assert [factor(step) for step in range(7)] == [0, 0.25, 0.5, 0.75, 1, 1, 1]


def test_cosine() -> None:
    factor = rate_factor(TrainingConfig(steps=12, warmup=2, schedule="cosine"))
    assert factor(2) == 1
    assert factor(7) == pytest.approx(0.5)
    assert factor(9) == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.7)))


def test_linear() -> None:
    factor = rate_factor(TrainingConfig(steps=12, warmup=2, schedule="linear"))
    assert factor(7) == pytest.approx(0.5)
    assert factor(12) == 0
