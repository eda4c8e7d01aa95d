"""Configs of verdicts. Nothing here imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import Field

from graphcond.config import ComponentConfig, lazy_registry, of_contract
from graphcond.recipe.sections import Fraction


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


KINDS = (OrderVerdictConfig, MarksVerdictConfig)

if TYPE_CHECKING:
    VERDICTS: dict[str, type[VerdictConfig]]
    """Every config of a verdict by its kind, plug-ins included."""
    AnyVerdict: TypeAlias = VerdictConfig
    """The pydantic type of a verdict in a sweep."""
else:
    __getattr__ = lazy_registry(
        __name__, "VERDICTS", "AnyVerdict", lambda: of_contract(KINDS, "graphcond.verdicts", VerdictConfig)
    )
