"""Whether a model uses its graph at all: a run may converge and the graph still change nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphcond.model import GraphModel

FEWEST = 100
"""A run is not judged in its middle before so many steps."""


def warnings_of(model: GraphModel, validation: Mapping[str, Any] | None) -> list[str]:
    """A sentence for each sign that a graph is as good as not used.

    Args:
        model: whose injectors are asked.
        validation: the newest record of the validation loss; None where there is none.
    """
    reasons = [f"{name}: {reason}" for name, reason in _idle(model).items()]
    gap = None if validation is None else validation["graph_gap"]
    if gap is not None and not gap > 0:
        reasons.append(f"with it the validation loss is no lower than without (graph_gap {gap:.2g})")
    return [f"the graph is not being used: {reason}" for reason in reasons]


def injector_figures(model: GraphModel) -> dict[str, dict[str, float]]:
    """What each condition's injector shows of itself: gates, sizes of what it adds."""
    found = {name: condition.injector.figures() for name, condition in model.conditions.items()}
    return {name: figures for name, figures in found.items() if figures}


def middle(steps: int) -> int | None:
    """The step after which a run of ``steps`` is judged once before its end; None for a short run."""
    return max(steps // 2, FEWEST) if steps > FEWEST else None


def _idle(model: GraphModel) -> dict[str, str]:
    reasons = {name: condition.injector.unused() for name, condition in model.conditions.items()}
    return {name: reason for name, reason in reasons.items() if reason}
