"""The recipe: one strict description of a graph-conditioned model, its data and its training."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, model_validator

from graphcond.adapters import InjectorConfig, LoraConfig
from graphcond.component import Config
from graphcond.encoders import EncoderConfig
from graphcond.files import atomic_file
from graphcond.models import BaseConfig, StableDiffusionConfig
from graphcond.models.loading import BaseFacts
from graphcond.recipe.sections import (
    ClipFeatures,
    DataConfig,
    EvaluationConfig,
    FileFeatures,
    GuidanceConfig,
    MmagData,
    TinyFeatures,
    TrainingConfig,
)
from graphcond.samplers import SamplerConfig

FeaturesConfig = Annotated[ClipFeatures | TinyFeatures | FileFeatures, Field(discriminator="kind")]
Null = Literal["absent", "zeros"]
LORA = "lora"
"""What learning rates and files call the LoRA."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class ConditionConfig(Config):
    """Sampler, encoder and injector under one name."""

    name: Name
    """What guidance scales, learning rates and files call this condition."""
    sampler: SamplerConfig
    """Chooses context from the graph."""
    encoder: EncoderConfig
    """Turns the context into a signal."""
    injector: InjectorConfig
    """Feeds the signal to the denoiser."""
    null: Null = "absent"
    """What stands in for no graph: nothing at all, or zero tokens as in the InstructG2I release."""


class Recipe(Config):
    """Everything that a run needs to know; checked as a whole before any weight is loaded."""

    name: str = Field(pattern=r"^[^/\\]+$")
    """Name of the recipe, without slashes; run folders are called after it."""
    description: str = ""
    """One line on what the recipe is."""
    base: BaseConfig = StableDiffusionConfig()
    """The frozen model."""
    data: DataConfig = MmagData()
    """The graph."""
    features: FeaturesConfig = ClipFeatures()
    """Where neighbor embeddings come from."""
    conditions: tuple[ConditionConfig, ...] = Field(min_length=1)
    """What steers the base."""
    lora: LoraConfig | None = None
    """A low-rank update of the base, trained beside the conditions."""
    guidance: GuidanceConfig = GuidanceConfig()
    """Default scales."""
    training: TrainingConfig = TrainingConfig()
    """How it is trained."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """How it is scored."""
    tiny: dict[str, Any] = Field(default_factory=dict)
    """Settings that `--base tiny` changes, by path: what suits a base that trains in minutes."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Recipe:
        names = [condition.name for condition in self.conditions]
        if len(set(names)) < len(names):
            raise ValueError("conditions: two have the same name; rename one")
        if LORA in names:
            raise ValueError(f"conditions: '{LORA}' is the name of the LoRA's own group; choose another")
        for number, condition in enumerate(self.conditions):
            check_signal(f"conditions.{number}", condition.encoder, condition.injector)
            check_width(f"conditions.{number}.encoder", condition.encoder, self.base.facts())
        _known("guidance.graph", self.guidance.graph, names)
        _known("training.learning_rates", self.training.learning_rates, [*names, LORA])
        if self.guidance.start >= self.guidance.end:
            raise ValueError("guidance: start must lie before end")
        return self

    @classmethod
    def load(
        cls, name_or_path: str | Path, *, base: Literal["tiny"] | None = None, overrides: Iterable[str] = ()
    ) -> Recipe:
        """A shipped recipe or a file; see `graphcond.recipe.load_recipe`.

        Raises:
            InputError: the file or an override is wrong; the message names each YAML path.
        """
        from graphcond.recipe.load import load_recipe

        return load_recipe(name_or_path, base=base, overrides=overrides)

    def save(self, path: str | Path) -> None:
        """Write the resolved recipe as YAML, atomically."""
        with atomic_file(Path(path)) as temporary:
            temporary.write_text(self.to_yaml(), encoding="utf-8")

    def to_yaml(self) -> str:
        """The resolved recipe: every setting, defaults included."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def check_signal(place: str, encoder: Any, injector: Any) -> None:
    """See that ``injector`` reads the signal that ``encoder`` gives.

    Raises:
        ValueError: it does not.
    """
    gives, reads = encoder.component.gives, injector.component.reads
    if reads is None:
        raise ValueError(
            f"{place}.injector: '{injector.kind}' reads no signal; name it at the top of the recipe instead"
        )
    if gives is not reads:
        raise ValueError(
            f"{place}: the injector '{injector.kind}' reads {reads.__name__}, "
            f"but the encoder '{encoder.kind}' gives {gives.__name__}; choose a pair that fits"
        )


def check_width(place: str, encoder: Any, facts: BaseFacts | None) -> None:
    """See that the tokens of ``encoder`` are as wide as the base's, as far as its files tell.

    Raises:
        ValueError: they are not.
    """
    width = getattr(encoder, "width", None)
    if width is not None and facts is not None and width != facts.token_width:
        raise ValueError(
            f"{place}.width: {width} does not fit, the base reads tokens of width {facts.token_width}; "
            "leave it out to follow the base"
        )


def _known(place: str, given: dict[str, Any], names: list[str]) -> None:
    for name in given:
        if name not in names:
            raise ValueError(f"{place}: there is no '{name}'; known are {', '.join(names)}")
