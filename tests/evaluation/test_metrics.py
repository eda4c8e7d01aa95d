"""Metrics by name."""

from __future__ import annotations

import pytest

from graphcond.errors import InputError
from graphcond.evaluation import METRIC_NAMES, Networks, build_metrics
from graphcond.evaluation.metrics.registry import networks_of
from tests.evaluation.doubles import READER, MeanColor
from tests.evaluation.scene_doubles import Reads

ALL = Networks(
    clip=MeanColor(),
    dino=MeanColor(),
    distribution=MeanColor(),
    oracle=READER,
    detector=Reads([]),
    features=MeanColor(),
)


def test_every_metric_is_built_under_its_name() -> None:
    metrics = build_metrics(METRIC_NAMES, ALL)
    assert tuple(metric.name for metric in metrics) == METRIC_NAMES


def test_only_what_is_needed_must_be_there() -> None:
    assert networks_of(["clip_i", "clip_t", "kid"]) == {"clip", "distribution"}
    assert [metric.name for metric in build_metrics(["clip_t"], Networks(clip=MeanColor()))] == ["clip_t"]
    with pytest.raises(InputError, match="dino_i needs a network that was not given: dino"):
        build_metrics(["clip_t", "dino_i"], Networks(clip=MeanColor()))


def test_misspelled_metrics_get_the_nearest_name() -> None:
    with pytest.raises(InputError, match=r"no metric 'clip_l'\. Did you mean 'clip_"):
        build_metrics(["clip_l"], ALL)
