"""Saying that a graph is not used."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from graphcond.training.validation import injector_figures, judged, warnings_of


def model(reason: str | None = None, **figures: float) -> Any:
    injector = SimpleNamespace(unused=lambda: reason, figures=lambda: figures)
    return SimpleNamespace(conditions={"scene": SimpleNamespace(injector=injector)})


def percent(mean: float, noise: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - noise, "high": mean + noise, "n": 64}


def validation(gap: float, wrong: float = 0.1, noise: float = 0.1) -> dict[str, Any]:
    return {"gap_percent": percent(gap, 0.5), "shuffled_gap_percent": percent(wrong, noise)}


@pytest.mark.parametrize("gap", [0.13, 0.0, -1.0, float("nan")])
def test_a_gap_below_one_per_cent_is_said(gap: float) -> None:
    (text,) = warnings_of(model(), validation(gap))
    assert text.startswith(f"the graph is not being used: it lowers the validation loss by {gap:.2f} %, 95 %")
    assert text.endswith("n = 64; less than 1 % is next to nothing")


def test_a_gap_within_the_noise_of_the_shuffled_one_is_said() -> None:
    (text,) = warnings_of(model(), validation(2.0, noise=2.5))
    assert text.endswith("what a wrong graph adds to it is within its noise, 2.50 %, too")
    assert warnings_of(model(), validation(2.0, noise=1.5)) == []
    assert warnings_of(model(), validation(2.0, wrong=9.0, noise=2.5)) == [], "a wrong graph does harm"


def test_every_reason_is_said() -> None:
    assert warnings_of(model(), None) == []
    first, second = warnings_of(model("its gates lie near 0"), validation(-1.0))
    assert first == "the graph is not being used: scene: its gates lie near 0"
    assert "by -1.00 %" in second


def test_only_injectors_that_show_something_are_logged() -> None:
    assert injector_figures(model(gate=0.5)) == {"scene": {"gate": 0.5}}
    assert injector_figures(model()) == {}


@pytest.mark.parametrize(
    ("steps", "every", "expected"),
    [
        (3, 1, [3]),
        (100, 40, [100]),
        (150, 60, [100, 120, 150]),
        (400, 200, [200, 400]),
        (600, 100, [200, 300, 400, 500, 600]),
        (600, 700, [300, 600]),
    ],
)
def test_long_runs_are_judged_before_their_end_too(steps: int, every: int, expected: list[int]) -> None:
    days = sorted({*range(every, steps + 1, every), steps, 100, steps // 2})
    assert [day for day in days if day <= steps and judged(day, steps, day // every)] == expected
