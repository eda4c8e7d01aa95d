"""The scene world's oracle reads its true pictures as the graphs they were drawn from."""

from __future__ import annotations

import pytest

from graphcond.evaluation import PictureSet, Samples, build_metrics, score_pictures
from graphcond.evaluation.metrics import Networks
from graphcond.evaluation.protocols import SCENES
from graphcond.evaluation.scene_world import OracleDetector
from graphcond.types import SceneGraph
from graphcond.worlds.scene_oracle import WEIGHTS
from graphcond.worlds.scenes import SceneWorld, draw_scene
from tests.evaluation.doubles import plain
from tests.evaluation.scene_doubles import scene, scene_samples, scene_targets

pytestmark = pytest.mark.skipif(not WEIGHTS.is_file(), reason="the oracle is not trained yet")
METRICS = [name for name in SCENES.metrics if name != "diversity"]


@pytest.fixture(scope="module")
def detector() -> OracleDetector:
    return OracleDetector.load()


def test_true_pictures_are_right_and_others_are_not(detector: OracleDetector) -> None:
    world = SceneWorld(seed=91, count=40)
    pictures = [world.draw(row) for row in range(40)]
    made = {"graph": PictureSet(pictures), "shuffled_graph": PictureSet([*pictures[1:], pictures[0]])}
    metrics = build_metrics(METRICS, Networks(detector=detector))
    report = score_pictures(made, scene_targets(*world.graphs), metrics)
    assert report.networks["sg_iou"] == "SceneOracle"
    for name in METRICS:
        true, other = report.figure("graph", name), report.figure("shuffled_graph", name)
        assert true.mean > (0.8 if name == "box_iou" else 0.95), name
        assert other.mean < 0.7, name


def test_what_is_asked_decides_the_sort_of_relation_not_the_answer(detector: OracleDetector) -> None:
    graph = next(graph for graph in SceneWorld(seed=3, count=50).graphs if len(graph) == 2)
    picture = draw_scene(graph, [3, 8, 0], 64)

    def answer(predicate: str) -> list[str]:
        asked = SceneGraph(graph.objects, [(0, predicate, 1)], graph.attributes)
        (seen,) = detector.detect([picture], [asked])
        return [relation.predicate for relation in seen.relationships]

    assert answer("left of") == answer("above") == answer("inside")
    assert answer("bigger than") in ([], ["bigger than"])


def test_a_plain_picture_shows_nothing(detector: OracleDetector) -> None:
    (metric,) = build_metrics(["object_occurrence"], Networks(detector=detector))
    sample = scene_samples(scene("star ring"), scene("heart"))
    blank = PictureSet([plain((200, 200, 200), 64)] * 2)
    assert metric.evidence(Samples(sample.targets, blank), seed=0)[0] == 0
