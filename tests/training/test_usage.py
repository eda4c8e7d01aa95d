"""Saying that a graph is not used."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from graphcond.training.validation import injector_figures, middle, warnings_of


def model(reason: str | None = None, **figures: float) -> Any:
    injector = SimpleNamespace(unused=lambda: reason, figures=lambda: figures)
    return SimpleNamespace(conditions={"scene": SimpleNamespace(injector=injector)})


@pytest.mark.parametrize("gap", [0.0, -0.01, float("nan")])
def test_a_gap_that_is_not_above_zero_is_said(gap: float) -> None:
    (text,) = warnings_of(model(), {"graph_gap": gap})
    assert text.startswith("the graph is not being used: with it the validation loss is no lower")


def test_every_reason_is_said() -> None:
    assert warnings_of(model(), None) == []
    assert warnings_of(model(), {"graph_gap": 0.02}) == []
    first, second = warnings_of(model("its gates lie near 0"), {"graph_gap": -1.0})
    assert first == "the graph is not being used: scene: its gates lie near 0"
    assert "graph_gap -1" in second


def test_only_injectors_that_show_something_are_logged() -> None:
    assert injector_figures(model(gate=0.5)) == {"scene": {"gate": 0.5}}
    assert injector_figures(model()) == {}


@pytest.mark.parametrize(
    ("steps", "judged"), [(3, None), (100, None), (150, 100), (400, 200), (20_000, 10_000)]
)
def test_long_runs_are_judged_in_their_middle_too(steps: int, judged: int | None) -> None:
    assert middle(steps) == judged
