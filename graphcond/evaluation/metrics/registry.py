"""Metrics by name, and the networks that they look through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from graphcond.config import registered
from graphcond.errors import InputError, did_you_mean
from graphcond.evaluation.metrics import cosine, distribution, oracle, retrieval, scene
from graphcond.evaluation.metrics.base import Metric
from graphcond.evaluation.metrics.oracle import OracleReader
from graphcond.evaluation.samples import SceneDetector
from graphcond.features.clip import FeatureExtractor, TextExtractor


@dataclass(frozen=True)
class Networks:
    """Networks that metrics need: extractors, a world's oracle, a detector of scene graphs.

    Only those that the metrics use are needed. ``distribution`` is the feature network of FID and KID,
    ``features`` the one that embeds pictures for the model itself.
    """

    clip: TextExtractor | None = None
    dino: FeatureExtractor | None = None
    distribution: FeatureExtractor | None = None
    oracle: OracleReader | None = None
    detector: SceneDetector | None = None
    features: FeatureExtractor | None = None


METRICS: tuple[type[Metric], ...] = (
    cosine.ClipI,
    cosine.ClipT,
    cosine.DinoI,
    distribution.FID,
    distribution.KID,
    oracle.StyleAccuracy,
    oracle.SubjectAccuracy,
    oracle.OracleDistance,
    retrieval.FeatureDistance,
    retrieval.Retrieval,
    retrieval.RetrievalRank,
    retrieval.SameClass,
    scene.ObjectOccurrence,
    scene.AttributeAccuracy,
    scene.RelationAccuracy,
    scene.FoundRelationAccuracy,
    scene.EntityIoU,
    scene.RelationIoU,
    scene.SceneGraphIoU,
    scene.BoxIoU,
    cosine.Diversity,
)
"""The metrics of this package; other packages add theirs at the entry point ``graphcond.metrics``."""

METRIC_NAMES = tuple(metric.name for metric in METRICS)


def metric_classes() -> dict[str, type[Metric]]:
    """Every metric that a protocol or the command line may name, those of other packages last.

    Raises:
        InputError: as `graphcond.config.registered`, or a metric names a network that does not exist.
    """
    metrics = registered(
        METRICS,
        "graphcond.metrics",
        name=lambda metric: metric.name,
        accepts=lambda found: (
            isinstance(found, type) and issubclass(found, Metric) and hasattr(found, "name")
        ),
        expected="a Metric class with a name",
    )
    known = [field.name for field in fields(Networks)]
    for metric in metrics.values():
        if metric.network not in (None, *known):
            raise InputError(
                f"the metric {metric.name} needs a network that does not exist: {metric.network}",
                place="evaluation",
                remedy=did_you_mean(str(metric.network), known),
            )
    return metrics


def networks_of(names: Sequence[str]) -> frozenset[str]:
    """The fields of `Networks` that the named metrics need.

    Raises:
        InputError: there is no such metric.
    """
    return frozenset(metric.network for metric in _chosen(names) if metric.network is not None)


def build_metrics(names: Sequence[str], networks: Networks) -> list[Metric]:
    """The metrics of these names, in their order.

    Raises:
        InputError: there is no such metric, or its network was not given.
    """
    built: list[Metric] = []
    for metric in _chosen(names):
        net = None if metric.network is None else getattr(networks, metric.network)
        if metric.network is not None and net is None:
            raise InputError(
                f"{metric.name} needs a network that was not given: {metric.network}",
                place="evaluation",
                remedy=f"pass Networks({metric.network}=...) or leave out {metric.name}",
            )
        built.append(metric(net))
    return built


def _chosen(names: Sequence[str]) -> list[type[Metric]]:
    metrics = metric_classes()
    for name in names:
        if name not in metrics:
            raise InputError(
                f"there is no metric '{name}'", place="evaluation", remedy=did_you_mean(name, metrics)
            )
    return [metrics[name] for name in names]
