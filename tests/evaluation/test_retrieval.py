"""Distance, retrieval and class in the features of the model's own recipe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graphcond.data.dataset import GraphDataset, SceneDataset
from graphcond.errors import InputError
from graphcond.evaluation.metrics.retrieval import FeatureDistance, Retrieval, RetrievalRank, SameClass
from graphcond.evaluation.samples import Samples
from graphcond.evaluation.targets import protocol_for
from graphcond.graphs import build_graph
from graphcond.scene_graph import SceneGraph, SceneSet
from graphcond.worlds import ArtWorld
from graphcond.worlds.scenes import SceneWorld
from tests.evaluation.doubles import Look, targets

EAST, NORTH, WEST, SOUTH = (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)


def looked(made: list[tuple[float, float]], true: list[tuple[float, float]]) -> Look:
    return Look(np.array(made, np.float32), np.array(true, np.float32))


def test_distance_is_one_minus_the_cosine() -> None:
    look = looked([EAST, EAST, EAST, (3.0, 0.0)], [EAST, NORTH, WEST, (0.1, 0.0)])
    np.testing.assert_allclose(FeatureDistance(look).score(look.samples()), [0, 1, 2, 0], atol=1e-6)


def test_retrieval_among_all_true_pictures() -> None:
    true = [EAST, NORTH, WEST, SOUTH]
    look = looked([EAST, (1.0, 0.5), (-1.0, -0.5), EAST], true)
    np.testing.assert_array_equal(Retrieval(look).score(look.samples()), [1, 0, 1, 0])
    np.testing.assert_allclose(RetrievalRank(look).score(look.samples()), [1, 2 / 3, 1, 0.5])
    assert Retrieval(look).chance(look.samples().targets) == 0.25


def test_equal_true_pictures_share_a_hit() -> None:
    """Copies of one picture, up to the rounding of another batch."""
    look = looked([EAST, EAST, NORTH], [EAST, (1.0, 1e-8), NORTH])
    np.testing.assert_allclose(Retrieval(look).score(look.samples()), [0.5, 0.5, 1])
    np.testing.assert_allclose(RetrievalRank(look).score(look.samples()), [0.75, 0.75, 1])


def test_pictures_that_know_nothing_reach_the_chance() -> None:
    generator = np.random.default_rng(0)
    look = Look(*generator.standard_normal((2, 400, 8)).astype(np.float32))
    batch = look.samples()
    labelled = replace(batch.targets, facts={"class": [str(row % 4) for row in range(400)]})
    for metric in (RetrievalRank(look), Retrieval(look)):
        assert metric.score(batch).mean() == pytest.approx(metric.chance(batch.targets), abs=0.05)
    hits, counted = SameClass(look).count(Samples(labelled, batch.pictures)).sum(axis=0)
    assert (counted, hits / counted) == (400, pytest.approx(0.25, abs=0.08))


def test_the_own_true_picture_is_not_in_the_mean_of_its_class() -> None:
    """Two classes, each of opposite pictures: without its own, the mean of the class is the other one."""
    look = looked([EAST, WEST, NORTH, SOUTH], [EAST, WEST, NORTH, SOUTH])
    batch = look.samples()
    labelled = replace(batch.targets, facts={"class": ["a", "a", "b", "b"]})
    np.testing.assert_array_equal(SameClass(look).count(Samples(labelled, batch.pictures))[:, 0], 0)


def test_targets_without_a_label_or_a_companion_do_not_count() -> None:
    true = [EAST, (1.0, 0.1), NORTH, SOUTH, (1.0, -0.1)]
    look = looked([EAST, NORTH, NORTH, SOUTH, EAST], true)
    batch = look.samples()
    labelled = replace(batch.targets, facts={"class": ["a", "a", "b", "", "a"]})
    counts = SameClass(look).count(Samples(labelled, batch.pictures))
    np.testing.assert_array_equal(counts, [[1, 1], [0, 1], [0, 0], [0, 0], [1, 1]])
    assert "3 targets count" in SameClass(look).basis(labelled)


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (["a", "a", "a", "a"], "have 1 classes"),
        (["a", "b", "c", "d"], "have 4 classes"),
        (["", "", "", ""], "have 0 classes"),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels: list[str], problem: str) -> None:
    look = looked([EAST] * 4, [EAST] * 4)
    with pytest.raises(InputError, match=problem):
        SameClass(look).check(targets(look.samples().targets.truths.pictures, **{"class": labels}))


def test_the_protocol_follows_the_data() -> None:
    """A protocol of a world, of older models also, is for its data alone; others are kept."""
    world = ArtWorld(paintings_per_artist=2)
    art = GraphDataset(build_graph(world.nodes(), world.edges()))
    nodes = replace(world.nodes(), attributes={"artist": ["monet"] * 24, "subject": ["a pond"] * 24})
    photos = GraphDataset(build_graph(nodes, world.edges()))
    shapes = SceneDataset(SceneWorld(count=2).scenes())
    streets = SceneDataset(SceneSet([SceneGraph(["car"], [])], ["0"], ["a car"], ["car.jpg"]))
    bare = SceneDataset(replace(streets.scenes, pictures=[None]))
    for name in ("auto", "art", "scenes"):
        assert protocol_for(name, art).name == "art"
        assert protocol_for(name, photos).name == "own"
        assert protocol_for(name, shapes).name == protocol_for(name, bare).name == "scenes"
        assert protocol_for(name, streets).name == "own"
    assert protocol_for("instructg2i", photos).name == "instructg2i"
    with pytest.raises(InputError, match="Did you mean 'own'"):
        protocol_for("ownn", photos)
