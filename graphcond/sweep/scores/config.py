"""Configs of scores. Nothing here imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from pydantic import Field, PositiveInt

from graphcond.config import ComponentConfig, lazy_registry, of_contract

Arm: TypeAlias = Literal["no_graph", "graph", "shuffled_graph", "no_update"]


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
    """The arms that are drawn; ``no_update``, the graph without the row's updates, where a row has some."""
    split: str | None = None
    """The split whose rows are drawn; the forbidden splits of the data unless given, else `val`."""
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
    label: str | None = None
    """The column of the nodes that holds the classes of the metric `same_class`, which is then scored too."""


class SwapScoreConfig(ScoreConfig):
    """The swap test: "A left of B" and "B left of A" from the same noise; are both pictures right?"""

    component = "graphcond.sweep.scores.swap:SwapScore"
    kind: Literal["swap"] = "swap"
    pairs: int = Field(default=100, ge=2)
    """Pairs of graphs of the scene world."""
    steps: PositiveInt = 8
    """Denoising steps."""


class LabelsScoreConfig(ScoreConfig):
    """The share of a target's neighbors that have its label; nothing is drawn."""

    component = "graphcond.sweep.scores.labels:LabelsScore"
    needs_model = False
    kind: Literal["labels"] = "labels"
    column: str
    """The column of the node table that holds the labels."""
    split: str | None = None
    """The split whose nodes are targets; the forbidden ones unless given, else `val`, else all nodes."""
    limit: int | None = Field(default=None, ge=2)
    """Most targets, chosen at random; all unless given."""


class TimeScoreConfig(ScoreConfig):
    """Processor milliseconds of a picture with its graph, in which equal runs differ, and its predictions."""

    component = "graphcond.sweep.scores.time:TimeScore"
    kind: Literal["time"] = "time"
    split: str | None = None
    """The split whose rows are drawn; as for `evaluation`."""
    pictures: PositiveInt = 8
    """Pictures of a batch."""
    repeats: int = Field(default=4, ge=2)
    """Batches."""
    steps: PositiveInt = 8
    """Denoising steps."""


KINDS = (EvaluationScoreConfig, SwapScoreConfig, LabelsScoreConfig, TimeScoreConfig)

if TYPE_CHECKING:
    SCORES: dict[str, type[ScoreConfig]]
    """Every config of a score by its kind, plug-ins included."""
    AnyScore: TypeAlias = ScoreConfig
    """The pydantic type of a score in a sweep."""
else:
    __getattr__ = lazy_registry(
        __name__, "SCORES", "AnyScore", lambda: of_contract(KINDS, "graphcond.scores", ScoreConfig)
    )
