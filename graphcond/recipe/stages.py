"""Stages before the main training: each trains one condition's encoder with its own objective."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from graphcond.config import Config
from graphcond.objectives import AnyObjectiveConfig
from graphcond.recipe.own_loss import check_trains
from graphcond.recipe.sections import DataConfig, Seed, TrainingConfig

StageName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class StageConfig(Config):
    """One stage: its data, its condition, its objective and its steps.

    The result of a finished stage is used again; it is in the run folder under the stage's name.
    """

    name: StageName
    """Name in the run folder and in the logs."""
    condition: str
    """The condition whose encoder it trains, by name."""
    objective: AnyObjectiveConfig
    """The objective that the encoder is trained for."""
    data: DataConfig | None = None
    """Data to use in place of the recipe's own."""
    steps: PositiveInt = 2_000
    """Optimizer steps."""
    batch_size: int = Field(default=64, ge=1, le=65_536)
    """Scenes per step."""
    learning_rate: PositiveFloat = 1e-3
    """Of the encoder and of the objective's own parameters."""
    weight_decay: NonNegativeFloat = 0.0
    """AdamW's weight decay, of matrices."""
    warmup: NonNegativeInt = 0
    """Steps in which the learning rate rises to its full value."""
    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    """Course of the learning rate after the warm-up."""
    max_gradient_norm: PositiveFloat = 1.0
    """Gradients are clipped to this norm."""
    then: Literal["train", "freeze"] = "train"
    """Fine-tune the encoder in the main training, or freeze what the stage trained."""
    log_every: PositiveInt = 50
    """Steps between lines of the stage's metrics."""
    validate_every: PositiveInt | None = 500
    """Steps between figures on held-out scenes (and at the end)."""
    validation_samples: PositiveInt = 256
    """Held-out scenes in those figures."""
    checkpoint_every: PositiveInt | None = 1_000
    """Steps after which a stage that is stopped goes on from there."""
    seed: Seed = 0
    """Decides order, swaps and the objective's initial weights."""

    def as_training(self) -> TrainingConfig:
        """The stage's optimizer and schedule in the words of the main training."""
        shared = set(TrainingConfig.model_fields) & set(StageConfig.model_fields)
        return TrainingConfig(**{name: getattr(self, name) for name in shared})


@runtime_checkable
class _Condition(Protocol):
    name: str
    encoder: Any


def check_stages(stages: Sequence[StageConfig], conditions: Sequence[_Condition]) -> None:
    """Check that every stage trains a condition of the recipe, with an objective that suits its encoder.

    Raises:
        ValueError: it does not, or two stages have one name.
    """
    encoders = {condition.name: condition.encoder for condition in conditions}
    names = [stage.name for stage in stages]
    for number, stage in enumerate(stages):
        place = f"stages.{number}"
        if stage.name in names[:number]:
            raise ValueError(f"{place}.name: '{stage.name}' is taken; rename one")
        if stage.condition not in encoders:
            raise ValueError(
                f"{place}.condition: there is no '{stage.condition}'; known are {', '.join(encoders)}"
            )
        check_trains(f"{place}.objective", stage.objective, encoders[stage.condition])
