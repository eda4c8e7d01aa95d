"""The recipe: one strict description of a graph-conditioned model, its data and its training."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from graphcond.adapters import INJECTORS, InjectorConfig, InjectorFields, LoraConfig
from graphcond.bases import BASES, BaseConfig
from graphcond.bases.config import check_training
from graphcond.config import Config, shown
from graphcond.encoders import EncoderConfig, EncoderFields
from graphcond.errors import InputError, Notice
from graphcond.io.files import atomic_file
from graphcond.recipe.checks import (
    READERS,
    check_base,
    check_compile,
    check_condition,
    check_data,
    check_features,
    check_known,
    check_process,
)
from graphcond.recipe.own_loss import OwnLossConfig, check_own_losses
from graphcond.recipe.pictures import check_loss_weight
from graphcond.recipe.sections import (
    ClipFeatures,
    DataConfig,
    EvaluationConfig,
    FeaturesConfig,
    GuidanceConfig,
    MmagData,
    TrainingConfig,
    check_buckets,
    check_flip,
)
from graphcond.recipe.stages import StageConfig, check_stages
from graphcond.samplers import SamplerConfig

WithoutGraph = Literal["absent", "zeros"]
DATA_PATHS = frozenset({"path", "pictures"})
"""Settings, in any section, that name files or folders of data."""
PATHS = DATA_PATHS | {"model", "start_from"}
"""Settings, in any section, that may name a file or a folder."""
SMALL_FACTOR = 0.1
"""A learning rate below this is meant for an optimizer that does not find its rate itself."""

LORA = "lora"
"""Name of the LoRA in learning rates and files."""

BASE = "base"
"""Name of the denoiser in learning rates, where it is trained."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class ConditionConfig(Config):
    """Sampler, encoder and injector under one name."""

    name: Name
    """Name of this condition in guidance scales, learning rates and files."""
    sampler: SamplerConfig
    """Chooses context from the graph."""
    encoder: EncoderConfig
    """Turns the context into a signal."""
    injector: InjectorConfig
    """Feeds the signal to the denoiser."""
    without_graph: WithoutGraph = "absent"
    """The null, in place of a missing graph: nothing at all, or zero tokens as in the InstructG2I release."""
    own_loss: OwnLossConfig | None = None
    """A loss of the encoder's own beside the denoising loss."""

    @field_validator("encoder")
    @classmethod
    def _read_what_the_sampler_leads_to(cls, encoder: EncoderFields, info: ValidationInfo) -> EncoderFields:
        if "sampler" not in info.data:  # it is wrong itself
            return encoder
        context = READERS[info.data["sampler"].makes]
        return encoder.reading(context) if issubclass(context, encoder.reads) else encoder

    @model_validator(mode="before")
    @classmethod
    def _read_the_old_name(cls, values: Any) -> Any:
        if isinstance(values, dict) and "null" in values and "without_graph" not in values:
            warnings.warn(
                f"conditions.{values.get('name')}.null is called without_graph now; rename it, since the old "
                "name is only read until the next release",
                Notice,
                stacklevel=2,
            )
            return without_null(values)
        return values


def without_null(condition: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of a condition with ``without_graph`` in place of its old name ``null``."""
    return {"without_graph" if key == "null" else key: value for key, value in condition.items()}


class Recipe(Config):
    """All settings of a run, checked as a whole before any weight is loaded."""

    model_config = ConfigDict(
        json_schema_extra=lambda schema: schema["properties"].update(
            {
                kind: {"type": "object", "description": f"An adapter of the kind {kind}."}
                for kind in _updates()
            }
        )
    )

    name: str = Field(pattern=r"^[^/\\]+$")
    """Name of the recipe, without slashes; run folders are called after it."""
    description: str = ""
    """A description in one line."""
    base: BaseConfig = Field(default_factory=next(iter(BASES.values())))
    """The frozen model."""
    data: DataConfig = MmagData()
    """The graph."""
    features: FeaturesConfig = ClipFeatures()
    """Source of the embeddings of neighbors, or of the words of scene graphs."""
    conditions: tuple[ConditionConfig, ...] = Field(min_length=1)
    """The conditions of the base."""
    lora: LoraConfig | None = None
    """A low-rank update of the base, trained beside the conditions."""
    adapters: dict[Name, InjectorConfig] = Field(default_factory=dict)
    """Further updates of the base that are the same for every graph, by name. One of each kind may stand at
    the top as `lora` does: ``peft: {method: lokr}`` is ``adapters: {peft: {kind: peft, method: lokr}}``."""
    start_from: str | None = Field(None, min_length=1)
    """A saved model of the same conditions, or a released checkpoint of InstructG2I: a folder or hub id whose
    trained weights this training starts with."""
    stages: tuple[StageConfig, ...] = ()
    """Stages before the denoising objective of ``training``, in order."""
    guidance: GuidanceConfig = GuidanceConfig()
    """Default scales."""
    training: TrainingConfig = TrainingConfig()
    """Settings of the trainer."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Settings of the evaluation."""
    tiny: dict[str, Any] = Field(default_factory=dict)
    """Settings that a base in the package changes, by path, since it trains in minutes."""
    tiny_dit: dict[str, Any] = Field(default_factory=dict)
    """Settings that `--base tiny-dit` changes after those of `tiny`."""

    @model_validator(mode="before")
    @classmethod
    def _read_updates_by_their_kind(cls, values: Any) -> Any:
        """Put updates at the top, where `lora` stands, under `adapters` with their kind as their name."""
        if not isinstance(values, dict) or not isinstance(values.get("adapters", {}), dict):
            return values
        adapters, updates, rest = dict(values.get("adapters", {})), _updates(), {}
        for key, value in values.items():
            if key not in updates:
                rest[key] = value
            elif key in adapters:
                raise ValueError(f"{key}: adapters has one of that name; give that one another")
            elif isinstance(value, dict):
                adapters[key] = {"kind": key, **value}
            elif value is not None:  # as for the LoRA, null is none
                raise ValueError(f"{key}: expected an object with keys and values, got {shown(value)}")
        return rest | ({"adapters": adapters} if adapters else {})

    @model_validator(mode="after")
    def _parts_fit(self) -> Recipe:
        names = [condition.name for condition in self.conditions]
        if len(set(names)) < len(names):
            raise ValueError("conditions: two have the same name; rename one")
        if LORA in names:
            raise ValueError(f"conditions: '{LORA}' is the name of the LoRA's own group; choose another")
        self._check_adapters(names)
        self._check_train_base(names)
        self.base.check()
        facts = self.base.facts()
        for number, condition in enumerate(self.conditions):
            check_condition(f"conditions.{number}", condition, facts)
            check_base(f"conditions.{number}", condition, self.base)
        if facts is not None:
            check_process(self.base, facts)
            facts.check_text_scale(self.guidance.text, "guidance.text")
            check_training(facts.predicts, self.training.timesteps, self.training.min_snr_gamma)
        check_data(self.data, self.conditions)
        check_features(self.features, self.conditions)
        check_flip(self.data, self.training)
        check_loss_weight(self.training, self.data)
        check_buckets(self.data, None if facts is None else facts.multiple)
        check_compile(self.base, self.training)
        check_stages(self.stages, self.conditions)
        check_own_losses(self.conditions)
        check_known("guidance.graph", self.guidance.graph, names)
        groups = [f"{c.name}.{group}" for c in self.conditions for group in sorted(c.injector.groups)]
        groups += [BASE] if self.training.train_base else []
        check_known(
            "training.learning_rates", self.training.learning_rates, [*names, LORA, *self.adapters, *groups]
        )
        if self.guidance.start >= self.guidance.end:
            raise ValueError("guidance: start must lie before end")
        if self.guidance.text_start >= self.guidance.text_end:
            raise ValueError("guidance: text_start must lie before text_end")
        return self

    def _check_adapters(self, names: Sequence[str]) -> None:
        for name, adapter in self.adapters.items():
            if name in {*names, LORA, BASE}:
                raise ValueError(f"adapters: '{name}' is the name of another part; choose another")
            if adapter.reads is not None:
                raise ValueError(
                    f"adapters.{name}: {adapter.kind} reads a signal, which an encoder gives; "
                    "make it the injector of one"
                )

    def _check_train_base(self, names: Sequence[str]) -> None:
        if not self.training.train_base:
            return
        if self.base.quantize is not None:
            raise ValueError(
                "base.quantize: quantized weights cannot be trained; leave it out, or train a LoRA"
            )
        if self.base.channels_last:  # in checkpoints an optimizer's numbers have the ordinary layout
            raise ValueError("base.channels_last: trained weights cannot be laid out so; leave it out")
        if BASE in names:
            raise ValueError(f"conditions: '{BASE}' is the name of the base's own group; choose another")
        if self.updates:
            raise ValueError(
                f"{'adapters' if self.lora is None else 'lora'}: training.train_base trains the whole "
                "denoiser, to which a LoRA adds nothing; leave one of them out"
            )

    @property
    def updates(self) -> dict[str, InjectorFields]:
        """What changes the base alike for every graph, by name: the LoRA and the adapters."""
        return {**({} if self.lora is None else {LORA: self.lora}), **self.adapters}

    def with_relations(self, names: Sequence[str]) -> Recipe:
        """The same recipe for a graph with these relations, which encoders with ``relations: true`` take.

        Raises:
            InputError: such an encoder has a graph without edge types.
        """
        conditions = []
        for number, condition in enumerate(self.conditions):
            if condition.encoder.relations_read() is True and not names:
                raise InputError(
                    "the edges of the graph have no types",
                    place=f"conditions.{number}.encoder.relations",
                    remedy="leave it out, or give the edges a column of types",
                )
            encoder = condition.encoder.with_relations(tuple(names))
            conditions.append(condition.model_copy(update={"encoder": encoder}))
        return self.model_copy(update={"conditions": tuple(conditions)})

    def notes(self) -> list[str]:
        """A sentence for each setting that can be used, but hardly as it was meant."""
        trainings = {"training": self.training}
        trainings |= {f"stages.{number}": stage.as_training() for number, stage in enumerate(self.stages)}
        found = [
            f"{place}.warmup: {training.warmup} steps are more than the {training.steps} of the training, so "
            f"the learning rate ends at {training.steps / training.warmup:.0%} of its value"
            for place, training in trainings.items()
            if training.warmup > training.steps
        ]
        if self.training.optimizer.kind == "prodigy" and self.training.learning_rate < SMALL_FACTOR:
            found.append(
                f"training.learning_rate: prodigy finds the rate itself and multiplies it by "
                f"{self.training.learning_rate:g}; 1 is meant"
            )
        return found

    @classmethod
    def load(
        cls, name_or_path: str | Path, *, base: str | None = None, overrides: Iterable[str] = ()
    ) -> Recipe:
        """A shipped recipe or a file; see `graphcond.recipe.load_recipe`.

        Raises:
            InputError: the file or an override is wrong; the message names each YAML path.
        """
        from graphcond.recipe.load import load_recipe

        return load_recipe(name_or_path, base=base, overrides=overrides)

    def with_full_paths(self) -> Recipe:
        """The same recipe with files and folders by their full path, which is right in any working folder."""
        return Recipe.model_validate(_with_full_paths(self.model_dump(mode="json")))

    def save(self, path: str | Path) -> None:
        """Write the resolved recipe as YAML, atomically."""
        with atomic_file(Path(path)) as temporary:
            temporary.write_text(self.to_yaml(), encoding="utf-8")

    def to_yaml(self) -> str:
        """The resolved recipe: every setting, defaults included."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _updates() -> set[str]:
    """The kinds of updates that may stand at the top of a recipe in place of `Recipe.adapters`."""
    kinds = {
        kind
        for kind, config in INJECTORS.items()
        if issubclass(config, InjectorFields) and config.reads is None
    }
    return kinds - Recipe.model_fields.keys()


def _with_full_paths(values: Any) -> Any:
    """Plain values with full paths; the id of a model on the hub is not the name of a folder here."""
    if isinstance(values, list):
        return [_with_full_paths(value) for value in values]
    if not isinstance(values, dict):
        return values
    full = {name: _with_full_paths(value) for name, value in values.items()}
    for name in PATHS & full.keys():
        value = full[name]
        if isinstance(value, str) and (name in DATA_PATHS or Path(value).is_dir()):
            full[name] = os.path.abspath(value)
    return full
