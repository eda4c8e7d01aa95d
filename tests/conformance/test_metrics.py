"""Every metric keeps what `Metric` promises; a new one needs one row here."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from graphcond.errors import InputError
from graphcond.evaluation import (
    Metric,
    Networks,
    PictureSet,
    SampleMetric,
    Samples,
    Targets,
    build_metrics,
    metric_classes,
    score_pictures,
)
from graphcond.evaluation.metrics.oracle import OracleReader
from graphcond.evaluation.metrics.registry import METRICS
from graphcond.evaluation.metrics.scene import SceneMetric
from graphcond.scene_graph import SceneGraph
from tests.evaluation.doubles import COLORS, ColorOracle, MeanColor, plain
from tests.plugins import BRIGHTNESS, install

COUNT = 12
TRUTH = [COLORS[row % 3] for row in range(COUNT)]
OTHER = [COLORS[(row + 1) % 3] for row in range(COUNT)]


def scene(color: str) -> SceneGraph:
    """A scene that says everything a metric may count; another color makes another scene."""
    return SceneGraph(
        (f"{color} star", "ring"),
        ((0, f"{color} of", 1),),  # type: ignore[arg-type]
        ((color,), ()),
        ((0, 0, 0.5, 0.5), None),  # type: ignore[arg-type]
    )


class Colors:
    """Detects the scene of a picture's color."""

    identity = "colors"

    def detect(self, pictures: Sequence[Image.Image], asked: Sequence[SceneGraph]) -> list[SceneGraph]:
        names = {plain(color).getpixel((0, 0)): color for color in COLORS}
        return [scene(names[picture.getpixel((0, 0))]) for picture in pictures]


class Facts(ColorOracle):
    """Says that the strongest color is the artist and the subject."""

    def classify(self, pixels: Tensor) -> SimpleNamespace:  # type: ignore[override]
        color = super().classify(pixels).color
        return SimpleNamespace(artist=color, subject=color)


TARGETS = Targets(
    np.arange(COUNT),
    PictureSet([plain(color) for color in TRUTH]),
    TRUTH,
    {"artist": TRUTH, "subject": TRUTH, "class": TRUTH},
    [scene(color) for color in TRUTH],
)
NETWORKS = Networks(
    clip=MeanColor(),
    dino=MeanColor(),
    distribution=MeanColor(),
    oracle=OracleReader(Facts(), {"artist": COLORS, "subject": COLORS}, resolution=4),
    detector=Colors(),
    features=MeanColor(),
)


def made(colors: Sequence[str]) -> PictureSet:
    """Pictures of these colors; drawn again they are black."""
    return PictureSet([plain(color) for color in colors], [PictureSet([plain("black")] * COUNT)])


RIGHT, WRONG = Samples(TARGETS, made(TRUTH)), Samples(TARGETS, made(OTHER))
NARROW = Samples(TARGETS, made(["red"] * COUNT))  # a wrong set, for metrics that do not pair pictures
AGAIN = Samples(TARGETS, PictureSet(RIGHT.pictures.pictures, [RIGHT.pictures]))  # drawn twice the same

ROWS: dict[str, tuple[Samples, Samples]] = {
    "clip_i": (RIGHT, WRONG),
    "clip_t": (RIGHT, WRONG),
    "dino_i": (RIGHT, WRONG),
    "fid": (RIGHT, NARROW),
    "kid": (RIGHT, NARROW),
    "style_accuracy": (RIGHT, WRONG),
    "subject_accuracy": (RIGHT, WRONG),
    "oracle_distance": (RIGHT, WRONG),
    "feature_distance": (RIGHT, WRONG),
    "retrieval": (RIGHT, WRONG),
    "retrieval_rank": (RIGHT, WRONG),
    "same_class": (RIGHT, WRONG),
    "object_occurrence": (RIGHT, WRONG),
    "attribute_accuracy": (RIGHT, WRONG),
    "relation_accuracy": (RIGHT, WRONG),
    "relation_accuracy_found": (RIGHT, WRONG),
    "entity_iou": (RIGHT, WRONG),
    "relation_iou": (RIGHT, WRONG),
    "sg_iou": (RIGHT, WRONG),
    "box_iou": (RIGHT, WRONG),
    "diversity": (RIGHT, AGAIN),
}
"""For each metric the better samples and the worse."""


def build(name: str) -> Metric:
    (metric,) = build_metrics([name], NETWORKS)
    return metric


def figure(metric: Metric, samples: Samples, seed: int = 0) -> float:
    return metric.measure(metric.evidence(samples, seed=seed), len(samples), seed=seed).mean


def test_every_metric_has_a_row() -> None:
    assert [metric.name for metric in METRICS] == list(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_it_declares_a_network_and_looks_through_it(name: str) -> None:
    metric = build(name)
    assert metric.name == name
    assert metric.network in {field.name for field in fields(Networks)}
    assert metric.identity == getattr(NETWORKS, metric.network or "").identity
    without = replace(NETWORKS, **{metric.network or "": None})
    with pytest.raises(InputError, match=f"{name} needs a network that was not given: {metric.network}"):
        build_metrics([name], without)
    assert inspect.getdoc(type(metric)), "a metric says what it measures, its range and its source"


@pytest.mark.parametrize("name", ROWS)
def test_better_pictures_have_the_better_figure(name: str) -> None:
    metric, (better, worse) = build(name), ROWS[name]
    gain = figure(metric, better) - figure(metric, worse)
    assert gain > 0 if metric.higher_is_better else gain < 0


@pytest.mark.parametrize("name", ROWS)
def test_a_figure_lies_in_its_interval_and_repeats(name: str) -> None:
    metric, (better, worse) = build(name), ROWS[name]
    for samples in (better, worse):
        evidence = metric.evidence(samples, seed=3)
        measured = metric.measure(evidence, len(samples), seed=3)
        assert (measured.name, measured.n) == (name, COUNT)
        assert measured.low <= measured.mean <= measured.high
        assert np.isfinite(evidence).all()
        np.testing.assert_array_equal(evidence, metric.evidence(samples, seed=3))


@pytest.mark.parametrize("name", ROWS)
def test_arms_are_paired(name: str) -> None:
    metric, (better, worse) = build(name), ROWS[name]
    one, two = metric.evidence(better, seed=1), metric.evidence(worse, seed=1)
    assert one.shape == two.shape
    nothing = metric.measure(one - one, COUNT, seed=1)
    assert (nothing.low, nothing.mean, nothing.high) == (0, 0, 0)


@pytest.mark.parametrize("name", ROWS)
def test_targets_that_lack_its_truth_are_refused_before_drawing(name: str) -> None:
    metric = build(name)
    metric.check(TARGETS)
    bare = Targets(np.arange(COUNT), PictureSet([]), TRUTH)
    if metric.looks_at_truths or metric.network == "oracle" or isinstance(metric, SceneMetric):
        with pytest.raises(InputError, match=f"leave out {name}") as caught:
            metric.check(bare)
        assert caught.value.place is not None
    else:
        metric.check(bare)


@pytest.mark.parametrize("name", ROWS)
def test_it_leaves_pictures_alone(name: str) -> None:
    def content() -> list[bytes]:
        return [picture.tobytes() for picture in (*TARGETS.truths.pictures, *RIGHT.pictures.pictures)]

    before = content()
    build(name).evidence(RIGHT, seed=0)
    assert content() == before


def plugin(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Callable[[str], None]:
    def offer(source: str) -> None:
        entry = {"graphcond.metrics": "brightness = bright:Brightness"}
        install(monkeypatch, folder, "bright", source, entry)

    return offer


def test_a_plugin_adds_a_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin(monkeypatch, tmp_path)(BRIGHTNESS)
    metrics = build_metrics(["brightness", "clip_i"], NETWORKS)
    assert isinstance(metrics[0], SampleMetric)
    report = score_pictures({"graph": made(["white"] * COUNT)}, TARGETS, metrics)
    assert report.arms["graph"]["brightness"].mean == 255
    assert report.networks["brightness"] == "no network"
    with pytest.raises(InputError, match="Did you mean 'brightness'"):
        build_metrics(["brigtness"], NETWORKS)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (BRIGHTNESS.replace('"brightness"', '"fid"'), "the name 'fid' exists already"),
        (BRIGHTNESS.replace("class Brightness(SampleMetric)", "class Brightness"), "is not a Metric class"),
        ("import gone_" + BRIGHTNESS, "cannot be imported"),
        (
            BRIGHTNESS.replace("name = ", 'network = "klip"\n    name = '),
            r"needs a network that does not exist: klip\. Did you mean 'clip'",
        ),
    ],
)
def test_bad_plugins_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, problem: str
) -> None:
    plugin(monkeypatch, tmp_path)(source)
    monkeypatch.delitem(sys.modules, "bright", raising=False)
    with pytest.raises(InputError, match=problem):
        metric_classes()
