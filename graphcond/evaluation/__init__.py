"""Evaluation: protocols, metrics, intervals and tables.

A new metric is a `Metric` class in ``metrics`` and its line in `metrics.registry.METRICS`; other packages
offer theirs under the entry point ``graphcond.metrics``.
"""

from graphcond.evaluation.arms import Arm as Arm
from graphcond.evaluation.evaluate import ARMS as ARMS
from graphcond.evaluation.evaluate import PictureMaker as PictureMaker
from graphcond.evaluation.evaluate import evaluate as evaluate
from graphcond.evaluation.evaluate import make_pictures as make_pictures
from graphcond.evaluation.evaluate import score_pictures as score_pictures
from graphcond.evaluation.metrics.base import Metric as Metric
from graphcond.evaluation.metrics.base import RatioMetric as RatioMetric
from graphcond.evaluation.metrics.base import SampleMetric as SampleMetric
from graphcond.evaluation.metrics.base import SetMetric as SetMetric
from graphcond.evaluation.metrics.oracle import Oracle as Oracle
from graphcond.evaluation.metrics.oracle import OracleReader as OracleReader
from graphcond.evaluation.metrics.registry import METRIC_NAMES as METRIC_NAMES
from graphcond.evaluation.metrics.registry import Networks as Networks
from graphcond.evaluation.metrics.registry import build_metrics as build_metrics
from graphcond.evaluation.metrics.registry import metric_classes as metric_classes
from graphcond.evaluation.protocols import PROTOCOLS as PROTOCOLS
from graphcond.evaluation.protocols import EvaluationProtocol as EvaluationProtocol
from graphcond.evaluation.protocols import get_protocol as get_protocol
from graphcond.evaluation.report import EvaluationReport as EvaluationReport
from graphcond.evaluation.samples import PictureSet as PictureSet
from graphcond.evaluation.samples import Samples as Samples
from graphcond.evaluation.samples import SceneDetector as SceneDetector
from graphcond.evaluation.samples import Targets as Targets
from graphcond.evaluation.scene_match import SceneMatch as SceneMatch
from graphcond.evaluation.scene_match import match_scene as match_scene
from graphcond.intervals import Measurement as Measurement
