"""The scene oracle finds what scenes show that it never saw, also in soft pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from graphcond.evaluation import SceneMatch, match_scene
from graphcond.evaluation.scene_world import OracleDetector
from graphcond.scene_graph import Box, SceneGraph, iou
from graphcond.worlds import COLORS, SHAPES, SceneWorld, draw_scene
from graphcond.worlds.scene_oracle import WEIGHTS, Detected, SceneOracle

WORLD = SceneWorld(seed=4_321, count=150)


@pytest.fixture(scope="module")
def oracle() -> SceneOracle:
    return SceneOracle.load()


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    pictures = np.stack([np.asarray(WORLD.draw(index)) for index in range(len(WORLD))])
    return torch.tensor(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def judged(oracle: SceneOracle, pixels: Tensor) -> list[SceneMatch]:
    seen = OracleDetector(oracle).read(pixels, WORLD.graphs)
    return [match_scene(*both) for both in zip(WORLD.graphs, seen, strict=True)]


def shares(matches: list[SceneMatch]) -> tuple[float, float, float]:
    objects = [place is not None for match in matches for place in match.places]
    colors = [hit for match in matches for words in match.attributes for hit in words]
    relations = [hit for match in matches for hit in match.relations]
    return float(np.mean(objects)), float(np.mean(colors)), float(np.mean(relations))


def test_finds_objects_colours_and_relations(oracle: SceneOracle, pixels: Tensor) -> None:
    objects, colors, relations = shares(judged(oracle, pixels))
    assert objects >= 0.98
    assert colors >= 0.97
    assert relations >= 0.97


def test_reads_blurred_and_larger_pictures(oracle: SceneOracle, pixels: Tensor) -> None:
    soft = torch.nn.functional.avg_pool2d(pixels, 3, 1, 1, count_include_pad=False)
    large = torch.nn.functional.interpolate(soft, size=(128, 128), mode="bilinear")
    for changed in (soft, large):
        assert min(shares(judged(oracle, changed))) >= 0.9


def test_boxes_lie_where_the_objects_are(oracle: SceneOracle, pixels: Tensor) -> None:
    overlaps = [
        iou(graph.boxes[place], seen.boxes[taken])
        for graph, seen in zip(WORLD.graphs, OracleDetector(oracle).read(pixels, WORLD.graphs), strict=True)
        for place, taken in enumerate(match_scene(graph, seen).places)
        if taken is not None
    ]
    assert np.mean(overlaps) >= 0.85


def test_finds_nothing_that_is_not_there(oracle: SceneOracle, pixels: Tensor) -> None:
    found = oracle.detect(pixels)
    extra = [len(seen) - len(graph) for graph, seen in zip(WORLD.graphs, found, strict=True)]
    assert np.mean(np.abs(extra)) < 0.1
    ground = torch.full((1, 3, 64, 64), 0.65)
    assert len(oracle.detect(ground)[0]) == 0
    assert oracle.detect(ground)[0].as_scene_graph() == SceneGraph(())


def test_sees_a_shape_within_another(oracle: SceneOracle) -> None:
    graph = SceneGraph(
        ("circle", "circle"),
        ((0, "inside", 1), (1, "surrounding", 0)),
        (("yellow",), ("blue",)),
        (Box(0.36, 0.36, 0.63, 0.63), Box(0.16, 0.16, 0.84, 0.84)),
    )
    picture = torch.tensor(np.asarray(draw_scene(graph, 0))).permute(2, 0, 1)[None].float() / 127.5 - 1
    (seen,) = OracleDetector(oracle).read(picture, [graph])
    assert match_scene(graph, seen).right


def test_scores_are_sorted_and_a_threshold_leaves_fewer(oracle: SceneOracle, pixels: Tensor) -> None:
    low, high = oracle.detect(pixels[:20], threshold=0.1), oracle.detect(pixels[:20], threshold=0.6)
    for few, many in zip(high, low, strict=True):
        assert len(few) <= len(many)
        assert list(many.scores) == sorted(many.scores, reverse=True)
        assert all(score >= 0.6 for score in few.scores)


def test_survives_noise(oracle: SceneOracle) -> None:
    noise = torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    found = oracle.detect(noise)
    assert len(found) == len(noise)
    assert all(seen.as_scene_graph().objects == tuple(seen.labels) for seen in found)


def test_what_was_found_is_a_scene_graph_without_relations() -> None:
    boxes = (Box(0.1, 0.4, 0.3, 0.6), Box(0.7, 0.4, 0.9, 0.6))
    found = Detected(("circle", "square"), ("red", "blue"), boxes, (0.9, 0.8))
    assert found.as_scene_graph() == SceneGraph(("circle", "square"), (), (("red",), ("blue",)), boxes)


def test_is_small_and_frozen(oracle: SceneOracle) -> None:
    assert WEIGHTS.stat().st_size < 400_000
    assert not any(parameter.requires_grad for parameter in oracle.parameters())
    assert oracle.shapes == tuple(SHAPES)
    assert oracle.colors == tuple(COLORS)
