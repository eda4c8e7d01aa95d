"""A loss of a condition's own beside the denoising loss, in the main training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphcond.config import Config
from graphcond.objectives import AnyObjectiveConfig
from graphcond.recipe.sections import Fraction


class OwnLossConfig(Config):
    """An objective that trains a condition's encoder in the main training.

    The loss of a step is (1 - share) times the denoising loss plus share times the objective's; with several
    conditions, every one has its share, and the rest is the denoising loss's.
    """

    objective: AnyObjectiveConfig
    """The objective, one without weights of its own."""
    share: Fraction
    """Its share of the loss; 1 - lambda in arXiv 2401.14111."""


def check_own_losses(conditions: Sequence[Any]) -> None:
    """Check that every condition's own objective suits its encoder, and that the shares add up to 1 at most.

    Raises:
        ValueError: it does not, or they do not.
    """
    total = 0.0
    for number, condition in enumerate(conditions):
        if (own := condition.own_loss) is None:
            continue
        place = f"conditions.{number}.own_loss.objective"
        check_trains(place, own.objective, condition.encoder)
        if own.objective.has_weights:
            raise ValueError(
                f"{place}: '{own.objective.kind}' has weights of its own, which belong to a stage; "
                "name it in a stage, or choose another objective"
            )
        total += own.share
    if total > 1:
        raise ValueError(f"conditions: the shares of own losses add up to {total:g}; use at most 1")


def check_trains(place: str, objective: Any, encoder: Any) -> None:
    """Check that an encoder has the method that an objective calls.

    Raises:
        ValueError: it has not.
    """
    if not encoder.has(objective.asks):
        raise ValueError(
            f"{place}: '{objective.kind}' cannot train the encoder '{encoder.kind}', "
            f"which has no {objective.asks}(); choose a pair that fits"
        )
