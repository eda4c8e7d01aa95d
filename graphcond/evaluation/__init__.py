"""Evaluation: protocols, metrics, intervals and tables.

A new metric is a `Metric` class in ``metrics`` and its line in `metrics.registry.METRICS`; other packages
offer theirs under the entry point ``graphcond.metrics``.
"""

from graphcond.evaluation.arms import Arm
from graphcond.evaluation.evaluate import ARMS, PictureMaker, evaluate, make_pictures, score_pictures
from graphcond.evaluation.metrics.base import Metric, RatioMetric, SampleMetric, SetMetric
from graphcond.evaluation.metrics.oracle import Oracle, OracleReader
from graphcond.evaluation.metrics.registry import METRIC_NAMES, Networks, build_metrics, metric_classes
from graphcond.evaluation.protocols import PROTOCOLS, EvaluationProtocol, get_protocol
from graphcond.evaluation.report import EvaluationReport
from graphcond.evaluation.samples import PictureSet, Samples, Targets
from graphcond.evaluation.scene_detector import SceneDetector
from graphcond.evaluation.scene_match import SceneMatch, match_scene
from graphcond.intervals import Measurement

__all__ = [
    "ARMS",
    "METRIC_NAMES",
    "PROTOCOLS",
    "Arm",
    "EvaluationProtocol",
    "EvaluationReport",
    "Measurement",
    "Metric",
    "Networks",
    "Oracle",
    "OracleReader",
    "PictureMaker",
    "PictureSet",
    "RatioMetric",
    "SampleMetric",
    "Samples",
    "SceneDetector",
    "SceneMatch",
    "SetMetric",
    "Targets",
    "build_metrics",
    "evaluate",
    "get_protocol",
    "make_pictures",
    "match_scene",
    "metric_classes",
    "score_pictures",
]
