"""Configs of sweeps: their rows, what is measured of each, and what is said. Nothing here loads torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from pydantic import Field, PositiveInt, ValidationError, model_validator

from graphcond.config import ComponentConfig, Config, as_input_error, registered, tagged_union
from graphcond.errors import InputError, did_you_mean
from graphcond.io.strict_yaml import read_yaml
from graphcond.recipe.sections import Fraction, Seed

Settings: TypeAlias = dict[str, Any]
"""Settings of a recipe by their paths, as ``--set`` takes them: ``lora.rank: 8``."""

Arm: TypeAlias = Literal["no_graph", "graph", "shuffled_graph"]


class ScoreConfig(ComponentConfig):
    """Something that is measured of every row."""

    needs_model: ClassVar[bool] = True
    """True if pictures are drawn; a sweep whose scores draw none trains nothing."""


class EvaluationScoreConfig(ScoreConfig):
    """The metrics of an evaluation protocol, over held-out targets in several arms on the same noise."""

    component = "graphcond.sweep.scores.evaluation:EvaluationScore"
    kind: Literal["evaluation"] = "evaluation"
    protocol: str | None = None
    """Name of a protocol; that of the row's recipe unless given."""
    metrics: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Names of metrics; those of the protocol unless given."""
    arms: tuple[Arm, ...] = Field(default=("no_graph", "graph", "shuffled_graph"), min_length=1)
    """The arms that are drawn."""
    split: str | None = None
    """The split whose rows are drawn; what training validates on unless given."""
    limit: int | None = Field(default=None, ge=2)
    """Most targets, chosen at random; as many as the protocol says unless given."""
    steps: PositiveInt | None = None
    """Denoising steps; the protocol's unless given."""
    guidance: Literal["protocol", "recipe"] = "protocol"
    """Whose scales are used: the first ones of the protocol, or those of the row's recipe."""
    boxes: bool = True
    """Show models of scene graphs the boxes that scenes give."""
    redrawn: int | None = Field(default=None, ge=2)
    """Metrics that compare several pictures of a target look at the first so many targets only."""


class SwapScoreConfig(ScoreConfig):
    """The swap test: "A left of B" and "B left of A" from the same noise; are both pictures right?"""

    component = "graphcond.sweep.scores.swap:SwapScore"
    kind: Literal["swap"] = "swap"
    pairs: PositiveInt = 100
    """Pairs of graphs of the scene world."""
    steps: PositiveInt = 8
    """Denoising steps."""
    limit: int = Field(default=120, ge=2)
    """Held-out scenes that are drawn without graph, for the level of chance."""


class LabelsScoreConfig(ScoreConfig):
    """The share of a target's neighbors that have its label; nothing is drawn."""

    component = "graphcond.sweep.scores.labels:LabelsScore"
    needs_model = False
    kind: Literal["labels"] = "labels"
    column: str
    """The column of the node table that holds the labels."""
    split: str | None = None
    """The split whose nodes are targets; what training validates on unless given, else all nodes."""
    limit: int | None = Field(default=None, ge=2)
    """Most targets, chosen at random; all unless given."""


class VerdictConfig(ComponentConfig):
    """Sentences below a table, which follow from its figures."""


class OrderVerdictConfig(VerdictConfig):
    """Which pairs of rows stand in an expected order, by the interval of their paired difference."""

    component = "graphcond.sweep.verdicts.order:OrderVerdict"
    kind: Literal["order"] = "order"
    metric: str
    pairs: tuple[tuple[str, str], ...] = Field(min_length=1)
    """Names of two rows each; the second should be better."""
    source: str = "expected"
    """Who expects it, in words."""
    saturated: Fraction = 0.99
    """A share from this on leaves no room to tell rows apart."""


class MarksVerdictConfig(VerdictConfig):
    """The best row by a metric, its gains from the graph, and the marks that rows miss."""

    component = "graphcond.sweep.verdicts.marks:MarksVerdict"
    kind: Literal["marks"] = "marks"
    metric: str = "relation_accuracy"
    gain: float = 0.25
    """The margin by which the metric should exceed that of the arms without and with a wrong graph."""
    shares: dict[str, Fraction] = Field(default_factory=lambda: {"object_occurrence": 0.8})
    """Further metrics with the values that they should reach."""
    text_only: str | None = None
    """The row whose graph reaches the base as a sentence."""


def _scores() -> dict[str, type[ScoreConfig]]:
    return registered(
        (EvaluationScoreConfig, SwapScoreConfig, LabelsScoreConfig),
        "graphcond.scores",
        name=lambda config: config.kind_name(),
        accepts=lambda found: isinstance(found, type) and issubclass(found, ScoreConfig),
        expected="a ScoreConfig",
    )


def _verdicts() -> dict[str, type[VerdictConfig]]:
    return registered(
        (OrderVerdictConfig, MarksVerdictConfig),
        "graphcond.verdicts",
        name=lambda config: config.kind_name(),
        accepts=lambda found: isinstance(found, type) and issubclass(found, VerdictConfig),
        expected="a VerdictConfig",
    )


SCORES, VERDICTS = _scores(), _verdicts()
"""Configs of scores and verdicts by their kind, plug-ins included."""
if TYPE_CHECKING:
    AnyScore: TypeAlias = ScoreConfig
    AnyVerdict: TypeAlias = VerdictConfig
else:
    AnyScore, AnyVerdict = tagged_union(SCORES), tagged_union(VERDICTS)


class RowConfig(Config):
    """A row: a recipe, and the settings in which it differs from others."""

    name: str = Field(pattern=r"^[^/\\]+$")
    """Name in tables and of folders, without slashes."""
    recipe: str | None = None
    """Name of a shipped recipe, or a YAML file; the sweep's unless given."""
    set: Settings = Field(default_factory=dict)
    """Settings of the recipe by path."""


class ModelConfig(Config):
    """A model that is trained before the rows."""

    recipe: str
    """Name of a shipped recipe, or a YAML file."""
    set: Settings = Field(default_factory=dict)
    """Settings of the recipe by path."""


class PicturesConfig(Config):
    """The sheet of pictures beside the table."""

    count: int = Field(default=6, ge=1, le=100)
    """Targets."""
    rows: str = "*"
    """Which rows, by name: ``*`` stands for any characters."""
    title: str = "The same targets and noise, drawn by each row"


class SweepConfig(Config):
    """A sweep: every row is a recipe, trained or drawn with and scored in the same way."""

    name: str = Field(pattern=r"^[^/\\]+$")
    """Name of the sweep, without slashes; its folder is called after it."""
    description: str = ""
    """What the sweep shows, in a sentence."""
    recipe: str | None = None
    """Name of a shipped recipe, or a YAML file, of every row that has none of its own."""
    base: Literal["tiny"] | None = None
    """Put every recipe on the tiny base."""
    set: Settings = Field(default_factory=dict)
    """Settings of all rows by path."""
    grid: dict[str, list[Any] | dict[str, Any]] = Field(default_factory=dict)
    """For each path its values: a list, or a mapping of their names to them. Rows have all combinations."""
    rows: tuple[RowConfig, ...] = ()
    """Rows by name; each has all combinations of the grid."""
    seeds: tuple[Seed, ...] = Field(default=(0,), min_length=1)
    """Every row is done with each of these seeds; figures are then over all of them."""
    seed_keys: tuple[str, ...] = Field(default=("training.seed",), min_length=1)
    """The settings that get the seed."""
    model: str | ModelConfig | None = None
    """A trained model, or one to train first: rows then differ in how it is drawn with."""
    scores: tuple[AnyScore, ...] = ()
    """What is measured."""
    seed: Seed = 0
    """Of targets, noise and intervals, which are the same for every row."""
    reference: str | None = None
    """The row that others are compared with; the first unless given."""
    verdicts: tuple[AnyVerdict, ...] = ()
    """What is said below the table."""
    pictures: PicturesConfig | None = None
    """The sheet of pictures; none unless given."""

    @model_validator(mode="after")
    def _has_rows(self) -> SweepConfig:
        empty = [key for key, values in self.grid.items() if not values]
        if empty:
            raise ValueError(f"grid.{empty[0]}: it has no values; give some or leave it out")
        if not (self.recipe or self.rows or self.model):
            raise ValueError("there are no rows; name a recipe, rows or a model")
        for number, row in enumerate(self.rows):
            if not (row.recipe or self.recipe or self.model):
                raise ValueError(f"rows.{number}.recipe: is missing; give it here or for the whole sweep")
            if row.recipe and self.model:
                raise ValueError(f"rows.{number}.recipe: the rows of a model have no recipe; leave it out")
        if self.model and self.recipe:
            raise ValueError("recipe: the rows of a model have no recipe; leave one of them out")
        if self.model and not any(score.needs_model for score in self.scores):
            raise ValueError("model: no score draws with it; add one, such as kind: evaluation")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: one is given twice; remove it")
        return self


def load_sweep(name_or_path: str | Path) -> tuple[SweepConfig, Path]:
    """The sweep in a YAML file, or a shipped one, and its file.

    Raises:
        InputError: no such file, or something in it is wrong; the message names each YAML path.
    """
    path = Path(name_or_path)
    if not path.is_file():
        shipped = shipped_sweeps()
        if str(name_or_path) not in shipped:
            raise InputError(
                "no such sweep",
                place=name_or_path,
                remedy=f"give a YAML file, or {did_you_mean(path.stem, shipped)}",
            )
        path = shipped[str(name_or_path)]
    return parse_sweep(read_yaml(path), place=path), path


def parse_sweep(values: Any, *, place: object = "sweep") -> SweepConfig:
    """A sweep from plain values; see `load_sweep`."""
    if not isinstance(values, dict):
        raise InputError(
            "a sweep is a mapping of names to settings", place=place, remedy="see docs/sweeps.md"
        )
    try:
        return SweepConfig.model_validate(values)
    except ValidationError as error:
        raise as_input_error(error, SweepConfig, place) from None


def shipped_sweeps() -> dict[str, Path]:
    """The sweeps inside the package, by name."""
    return {path.stem: path for path in sorted((Path(__file__).parent / "shipped").glob("*.yaml"))}
