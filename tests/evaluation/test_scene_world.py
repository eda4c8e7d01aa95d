"""The scene world's oracle reads its true pictures as the graphs they were drawn from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from graphcond.evaluation import PictureSet, Samples, build_metrics, match_scene, score_pictures
from graphcond.evaluation.metrics.registry import Networks
from graphcond.evaluation.protocols import SCENES
from graphcond.evaluation.scene_world import OracleDetector
from graphcond.io.pictures import to_pixels
from graphcond.scene_graph import Box, SceneGraph
from graphcond.worlds.scene_oracle import WEIGHTS, Detected
from graphcond.worlds.scene_relations import relation_holds
from graphcond.worlds.scenes import SceneWorld, draw_scene
from tests.evaluation.doubles import plain
from tests.evaluation.scene_doubles import scene, scene_samples, scene_targets

pytestmark = pytest.mark.skipif(not WEIGHTS.is_file(), reason="the oracle is not trained yet")
METRICS = [name for name in SCENES.metrics if name != "diversity"]
LEFT, RIGHT = Box(0.1, 0.4, 0.3, 0.6), Box(0.7, 0.4, 0.9, 0.6)


class Finds:
    """An oracle that finds what it is told, whatever the pictures show."""

    def __init__(self, found: list[Detected]) -> None:
        self.found = iter(found)

    def detect(self, pixels: Tensor) -> list[Detected]:
        return [next(self.found) for _ in pixels]


def found(
    graph: SceneGraph, kept: Sequence[int], boxes: Sequence[int], *, odd: int | None = None
) -> Detected:
    """The objects ``kept``, each with the box of the one that ``boxes`` names; ``odd`` in no known colour."""
    return Detected(
        tuple(graph.objects[place] for place in kept),
        tuple("grey" if place == odd else graph.attributes_of(place)[0] for place in kept),
        tuple(graph.boxes[boxes[place]] for place in kept),  # type: ignore[misc]
        tuple(np.linspace(1, 0.5, len(kept)).tolist()),
    )


def seen_as(detections: list[Detected], asked: Sequence[SceneGraph]) -> list[SceneGraph]:
    """What the detector makes of detections."""
    return OracleDetector(Finds(detections)).read(torch.zeros(len(detections), 3, 1, 1), asked)


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


def test_the_truth_about_a_scene_is_right() -> None:
    graphs = SceneWorld(seed=12, count=80).graphs
    truths = [found(graph, range(len(graph)), range(len(graph))) for graph in graphs]
    assert all(match_scene(*both).right for both in zip(graphs, seen_as(truths, graphs), strict=True))


def test_lost_objects_odd_colours_and_moved_boxes_are_what_is_wrong() -> None:
    rng = np.random.default_rng(0)
    graphs = [
        graph for graph in SceneWorld(seed=5, count=300).graphs if len(set(graph.objects)) == len(graph) > 2
    ]
    held: list[bool] = []
    for graph in graphs:
        lost, odd, *_ = order = rng.permutation(len(graph)).tolist()
        moved = rng.permutation(len(graph)).tolist() if rng.random() < 0.5 else range(len(graph))
        (seen,) = seen_as([found(graph, order[1:], moved, odd=odd)], [graph])
        match = match_scene(graph, seen)
        assert [number for number, place in enumerate(match.places) if place is None] == [lost]
        assert [number for number, words in enumerate(match.attributes) if not all(words)] == sorted(
            (lost, odd)
        )
        for (subject, predicate, target), holds in zip(graph.relationships, match.relations, strict=True):
            boxes = graph.boxes[moved[subject]], graph.boxes[moved[target]]
            assert holds == (lost not in (subject, target) and relation_holds(predicate, *boxes))
        held += match.relations
    assert 0.2 < np.mean(held) < 0.8


def test_relations_that_the_world_does_not_know_never_hold() -> None:
    graph = scene("circle square", (0, "behind", 1))
    (seen,) = seen_as([Detected(("circle", "square"), ("red", "blue"), (LEFT, RIGHT), (0.9, 0.8))], [graph])
    assert match_scene(graph, seen).ends == (True,)
    assert match_scene(graph, seen).relations == (False,)


def test_pixels_and_pictures_are_read_alike_in_batches(detector: OracleDetector) -> None:
    world = SceneWorld(seed=8, count=70)
    pictures = [world.draw(row) for row in range(70)]
    pixels = torch.from_numpy(np.array([to_pixels(picture) for picture in pictures]))
    assert detector.read(pixels, world.graphs) == detector.detect(pictures, world.graphs)
    assert detector.detect([], []) == []
