"""Metrics by name, and the networks that they look through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graphcond.errors import InputError, did_you_mean
from graphcond.evaluation.metrics.base import Metric
from graphcond.evaluation.metrics.cosine import ClipI, ClipT, DinoI
from graphcond.evaluation.metrics.distribution import FID, KID
from graphcond.evaluation.metrics.diversity import Diversity
from graphcond.evaluation.metrics.oracle import OracleAccuracy, OracleDistance, OracleReader
from graphcond.evaluation.metrics.scene import (
    AttributeAccuracy,
    BoxIoU,
    EntityIoU,
    FoundRelationAccuracy,
    ObjectOccurrence,
    RelationAccuracy,
    RelationIoU,
    SceneGraphIoU,
)
from graphcond.evaluation.scene_detector import SceneDetector
from graphcond.features.clip import FeatureExtractor, TextExtractor


@dataclass(frozen=True)
class Networks:
    """What metrics look through: extractors, a world's oracle, a detector of scene graphs.

    Only those that are asked for are needed. ``distribution`` is the feature network of FID and KID.
    """

    clip: TextExtractor | None = None
    dino: FeatureExtractor | None = None
    distribution: FeatureExtractor | None = None
    oracle: OracleReader | None = None
    detector: SceneDetector | None = None


_METRICS: dict[str, tuple[str, Callable[..., Metric]]] = {
    "clip_i": ("clip", ClipI),
    "clip_t": ("clip", ClipT),
    "dino_i": ("dino", DinoI),
    "fid": ("distribution", FID),
    "kid": ("distribution", KID),
    "style_accuracy": ("oracle", lambda reader: OracleAccuracy(reader, "artist", name="style_accuracy")),
    "subject_accuracy": ("oracle", lambda reader: OracleAccuracy(reader, "subject", name="subject_accuracy")),
    "oracle_distance": ("oracle", OracleDistance),
    "object_occurrence": ("detector", ObjectOccurrence),
    "attribute_accuracy": ("detector", AttributeAccuracy),
    "relation_accuracy": ("detector", RelationAccuracy),
    "relation_accuracy_found": ("detector", FoundRelationAccuracy),
    "entity_iou": ("detector", EntityIoU),
    "relation_iou": ("detector", RelationIoU),
    "sg_iou": ("detector", SceneGraphIoU),
    "box_iou": ("detector", BoxIoU),
    "diversity": ("clip", Diversity),
}

METRIC_NAMES = tuple(_METRICS)
"""Every metric that a protocol or the command line may name."""


def networks_of(names: Sequence[str]) -> frozenset[str]:
    """Which fields of `Networks` the named metrics need.

    Raises:
        InputError: there is no such metric.
    """
    return frozenset(_entry(name)[0] for name in names)


def build_metrics(names: Sequence[str], networks: Networks) -> list[Metric]:
    """The metrics of these names, in their order.

    Raises:
        InputError: there is no such metric, or its network was not given.
    """
    return [_build(name, networks) for name in names]


def _build(name: str, networks: Networks) -> Metric:
    field, build = _entry(name)
    network = getattr(networks, field)
    if network is None:
        raise InputError(
            f"{name} needs a network that was not given: {field}",
            place="evaluation",
            remedy=f"pass Networks({field}=...) or leave out {name}",
        )
    return build(network)


def _entry(name: str) -> tuple[str, Callable[..., Metric]]:
    if name not in _METRICS:
        raise InputError(
            f"there is no metric '{name}'", place="evaluation", remedy=did_you_mean(name, _METRICS)
        )
    return _METRICS[name]
