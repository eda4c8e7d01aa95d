"""Figures over scene graphs, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from graphcond.errors import InputError
from graphcond.evaluation import METRIC_NAMES, PictureSet, Samples, Targets, build_metrics, score_pictures
from graphcond.evaluation.metrics.base import Metric
from graphcond.evaluation.metrics.cosine import Diversity
from graphcond.evaluation.metrics.registry import Networks
from graphcond.evaluation.targets import suitable
from graphcond.scene_graph import Box, SceneGraph
from tests.evaluation.doubles import MeanColor, plain
from tests.evaluation.scene_doubles import Reads, scene, scene_samples, scene_targets

LEFT, RIGHT, HALF = Box(0.0, 0.0, 0.2, 0.2), Box(0.8, 0.0, 1.0, 0.2), Box(0.0, 0.0, 0.1, 0.2)
WANTED = (
    scene("star ring", (0, "left of", 1), (1, "above", 0), colors="red blue", boxes=(LEFT, RIGHT)),
    scene("heart star", (0, "above", 1), colors="red red"),
    scene("moon"),
)
SEEN = (
    scene("star ring moon", (0, "left of", 1), (1, "below", 0), colors="red red red", boxes=(HALF,) * 3),
    scene("heart", colors="red"),
    scene("moon moon"),
)
EXPECTED = {
    "object_occurrence": 4 / 5,
    "attribute_accuracy": 2 / 4,
    "relation_accuracy": 1 / 3,
    "relation_accuracy_found": 1 / 2,
    "entity_iou": (2 / 3 + 1 / 2 + 1 / 2) / 3,
    "relation_iou": (1 / 3 + 0) / 2,
    "sg_iou": (1 / 3 + 0) / 2,
    "box_iou": (0.5 + 0) / 2,
}


def metric(name: str, seen: tuple[SceneGraph, ...] = SEEN) -> Metric:
    (built,) = build_metrics([name], Networks(detector=Reads(seen)))
    return built


@pytest.mark.parametrize("name", EXPECTED)
def test_figures(name: str) -> None:
    built = metric(name)
    figure = built.measure(built.evidence(scene_samples(*WANTED), seed=0), 3, seed=0)
    assert (figure.name, figure.n) == (name, 3)
    assert figure.mean == pytest.approx(EXPECTED[name])
    assert figure.low <= figure.mean <= figure.high
    assert figure.low < figure.high


@pytest.mark.parametrize("name", EXPECTED)
def test_a_picture_that_shows_the_graph_is_right(name: str) -> None:
    built = metric(name, WANTED)
    assert built.evidence(scene_samples(*WANTED), seed=0)[0] == 1


def test_nothing_found_is_0_not_a_failure() -> None:
    built = metric("relation_accuracy_found", (SceneGraph(()),) * 3)
    figure = built.measure(built.evidence(scene_samples(*WANTED), seed=0), 3, seed=0)
    assert (figure.mean, figure.low, figure.high) == (0, 0, 0)


def test_scenes_are_resampled_not_relations() -> None:
    """40 relations that stand or fall together in 4 scenes leave the interval of 4, not of 40."""
    chain = tuple((0, f"relation {number}", 1) for number in range(10))
    wanted = (scene("star ring", *chain),) * 4
    seen = (scene("star ring", *chain),) * 2 + (scene("star ring"),) * 2
    built = metric("relation_accuracy", seen)
    figure = built.measure(built.evidence(scene_samples(*wanted), seed=0), 4, seed=0)
    assert (figure.mean, figure.low, figure.high) == (0.5, 0.0, 1.0)


def test_differences_are_paired() -> None:
    names = ["relation_accuracy", "relation_accuracy_found"]
    detector = Answers({"red": SEEN, "blue": (SceneGraph(()),) * 3})
    made = {arm: PictureSet([plain(color)] * 3) for arm, color in (("graph", "red"), ("no_graph", "blue"))}
    report = score_pictures(made, scene_targets(*WANTED), build_metrics(names, Networks(detector=detector)))
    for name in names:
        gain = report.differences["graph - no_graph"][name]
        graph = report.figure("graph", name)
        assert (gain.mean, gain.low, gain.high) == (graph.mean, graph.low, graph.high)
        assert gain.mean == pytest.approx(EXPECTED[name])
    assert "relation_accuracy: 3 relations in 2 graphs" in report.cautions
    assert report.networks["relation_accuracy"] == "answers"


def test_pictures_are_looked_at_once() -> None:
    detector = Reads(SEEN)
    metrics = build_metrics(list(EXPECTED), Networks(detector=detector))
    score_pictures({"graph": scene_samples(*WANTED).pictures}, scene_targets(*WANTED), metrics)
    assert detector.calls == 1


@pytest.mark.parametrize(
    ("name", "bare", "message"),
    [
        ("relation_accuracy", scene("star"), "no scene graph has relations"),
        ("sg_iou", scene("star"), "no scene graph has relations"),
        ("attribute_accuracy", scene("star"), "no scene graph has attributes"),
        ("box_iou", scene("star"), "no scene graph has boxes"),
        ("object_occurrence", scene(""), "no scene graph has objects"),
    ],
)
def test_graphs_that_lack_what_is_counted(name: str, bare: SceneGraph, message: str) -> None:
    with pytest.raises(InputError, match=f"{message}.*leave out {name}"):
        metric(name).check(scene_targets(bare, bare))


def test_what_no_scene_has_is_left_out_with_a_word() -> None:
    metrics = build_metrics(["object_occurrence", "box_iou"], Networks(detector=Reads(SEEN)))
    kept, said = suitable(metrics, scene_targets(scene("star"), scene("ring")))
    assert [one.name for one in kept] == ["object_occurrence"]
    assert said == ("box_iou is left out: no scene graph has boxes",)
    with pytest.raises(InputError, match="no scene graph has boxes"):
        suitable(metrics[1:], scene_targets(scene("star"), scene("ring")))


def test_targets_without_scenes_or_truths() -> None:
    nodes = Targets(np.arange(2), PictureSet([plain("red")] * 2), ["red"] * 2)
    with pytest.raises(InputError, match="needs scene graphs"):
        metric("object_occurrence").check(nodes)
    (clip,) = build_metrics(["clip_i"], Networks(clip=MeanColor()))
    with pytest.raises(InputError, match="compares with true pictures"):
        clip.check(scene_targets(*WANTED))
    with pytest.raises(InputError, match="1 scene graphs for 2 targets"):
        Targets(np.arange(2), PictureSet([]), ["red"] * 2, scenes=[scene("star")])


class Broken(Reads):
    identity = "broken"

    def detect(self, pictures: object, asked: object) -> list[SceneGraph]:
        raise RuntimeError("out of memory")


@pytest.mark.parametrize(
    ("detector", "message"),
    [
        (Broken([]), "detector 'broken': fails: out of memory"),
        (Reads(SEEN[:2]), "2 answers for 3 pictures"),
        (Reads(["star"] * 3), "must be scene graphs"),  # type: ignore[list-item]
    ],
)
def test_a_detector_that_fails_is_named(detector: Reads, message: str) -> None:
    (built,) = build_metrics(["sg_iou"], Networks(detector=detector))
    with pytest.raises(InputError, match=message):
        built.evidence(scene_samples(*WANTED), seed=0)


def test_diversity_is_the_mean_distance_of_pictures_of_one_target() -> None:
    def three(*colors: str) -> PictureSet:
        return PictureSet([plain(color) for color in colors])

    first = PictureSet([plain("red"), plain("red")], [three("red", "lime"), three("red", "blue")])
    samples = Samples(scene_targets(scene("star"), scene("ring")), first)
    assert Diversity(MeanColor(), draws=3).score(samples).tolist() == pytest.approx([0, 1])
    assert Diversity(MeanColor()).score(samples).tolist() == pytest.approx([0, 1])


def test_diversity_needs_several_pictures() -> None:
    with pytest.raises(InputError, match="1 pictures have no distance"):
        Diversity(MeanColor(), draws=1)
    with pytest.raises(InputError, match="draws=2"):
        Diversity(MeanColor()).score(scene_samples(*WANTED))
    with pytest.raises(InputError, match="1 redrawn pictures for 2"):
        PictureSet([plain("red")] * 2, [PictureSet([plain("red")])])


def test_every_scene_metric_is_in_the_list() -> None:
    assert {*EXPECTED, "diversity"} <= set(METRIC_NAMES)


class Answers(Reads):
    """Sees by the color of the first picture."""

    identity = "answers"

    def __init__(self, by_color: dict[str, tuple[SceneGraph, ...]]) -> None:
        super().__init__([])
        self.by_pixel = {plain(color).getpixel((0, 0)): seen for color, seen in by_color.items()}

    def detect(self, pictures, asked) -> list[SceneGraph]:  # type: ignore[no-untyped-def]
        return list(self.by_pixel[pictures[0].getpixel((0, 0))])
