"""The same targets in three arms: a picture depends on node, arm and seed alone."""

from __future__ import annotations

import warnings
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphcond.adapters.lora import LoraInjector
from graphcond.attributed_graph import EdgeList, NodeEmbeddings, NodeTable
from graphcond.context import NeighborContext
from graphcond.data.contexts import GraphContexts
from graphcond.data.dataset import SceneDataset
from graphcond.errors import Notice
from graphcond.evaluation.arms import DrawSettings, ModelPictures
from graphcond.graphs import build_graph
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from graphcond.samplers import KHopSampler
from tests.builders import FEATURE_WIDTH, small_model
from tests.training.scenes import scene_recipe, write_scenes

NODES = 6


@pytest.fixture(scope="module")
def maker(sd_folder: Path) -> ModelPictures:
    nodes = NodeTable(
        [f"n{i}" for i in range(NODES)],
        [f"picture {i}" for i in range(NODES)],
        [f"{i}.png" for i in range(NODES)],
    )
    ring = np.arange(NODES)
    graph = build_graph(nodes, EdgeList(ring, np.roll(ring, 1)))
    pictures = np.random.default_rng(0).standard_normal((NODES, FEATURE_WIDTH)).astype(np.float32)
    contexts = GraphContexts(graph, KHopSampler(graph, neighbors=2), NodeEmbeddings(pictures=pictures))
    pipe = GraphPipeline(small_model(sd_folder))
    settings = DrawSettings(steps=2, text_scale=2.0, graph_scale=6.0)
    return ModelPictures(pipe, {"neighbors": contexts}, ring, settings)


def test_a_picture_does_not_depend_on_its_batch(maker: ModelPictures) -> None:
    rows = np.array([3, 1, 4])
    together = maker.make(rows, "graph", 0)
    alone = [maker.make(rows[[place]], "graph", 0)[0] for place in range(3)]
    for one, other in zip(together, alone, strict=True):
        assert np.abs(np.asarray(one, int) - np.asarray(other, int)).max() <= 1


@pytest.mark.parametrize(
    "message",
    ["CUDA out of memory. Tried to allocate 2 GiB", "DefaultCPUAllocator: can't allocate memory: y"],
)
def test_a_batch_larger_than_memory_is_halved_and_that_is_said(
    maker: ModelPictures, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    """Nothing else is tried again, and pictures are those of small batches, to the byte."""
    rows, small, sizes, draw = np.arange(5), copy(maker), list[int](), GraphPipeline.__call__
    wanted = [*maker.make(rows[:2], "graph", 0), *maker.make(rows[2:4], "graph", 0)]

    def limited(self: GraphPipeline, prompts: list[str], **options: Any) -> Any:
        sizes.append(len(prompts))
        if len(prompts) > 2:
            raise RuntimeError(message)
        return draw(self, prompts, **options)

    monkeypatch.setattr(GraphPipeline, "__call__", limited)
    with pytest.warns(Notice, match="5 pictures at once do not fit into memory; going on with 2"):
        made = small.make(rows, "graph", 0)
    assert [one.tobytes() for one in made[:4]] == [one.tobytes() for one in wanted]
    assert len(made) == 5
    small.make(rows[:4], "no_graph", 0)
    assert sizes == [5, 2, 2, 1, 2, 2]
    monkeypatch.setattr(GraphPipeline, "__call__", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("no")))
    with pytest.raises(RuntimeError, match="no"):
        small.make(rows, "graph", 0)


def test_arms_and_seeds_differ(maker: ModelPictures) -> None:
    row = np.array([2])
    pictures = [maker.make(row, arm, 0)[0].tobytes() for arm in ("no_graph", "graph", "shuffled_graph")]
    pictures.append(maker.make(row, "graph", 1)[0].tobytes())
    assert len(set(pictures)) == 4


def test_scale_zero_is_no_graph(maker: ModelPictures) -> None:
    row = np.array([2])
    without = maker.with_settings(DrawSettings(steps=2, text_scale=2.0, graph_scale=0.0))
    assert without.make(row, "graph", 0)[0].tobytes() == maker.make(row, "no_graph", 0)[0].tobytes()
    assert maker.settings.graph_scale == 6.0


def test_without_its_update_a_model_draws_as_its_conditions_alone(
    maker: ModelPictures, sd_folder: Path
) -> None:
    lora = LoraInjector(rank=2)
    model = small_model(sd_folder)
    lora.inject(model.base)
    with torch.no_grad():
        for parameter in lora.trainable_parameters().values():
            parameter.fill_(0.5)
    pipe = GraphPipeline(
        GraphModel(model.base, model.conditions.values(), feature_width=FEATURE_WIDTH, lora=lora)
    )
    with_lora = ModelPictures(pipe, maker.contexts, np.arange(NODES), maker.settings)
    row = np.array([2])
    drawn = {arm: with_lora.make(row, arm, 0)[0].tobytes() for arm in ("graph", "no_update")}
    assert drawn["no_update"] == maker.make(row, "graph", 0)[0].tobytes() != drawn["graph"]
    assert with_lora.make(row, "graph", 0)[0].tobytes() == drawn["graph"]


def test_shuffling_is_among_all_targets(maker: ModelPictures) -> None:
    own, wrong = maker.context("graph", "neighbors"), maker.context("shuffled_graph", "neighbors")
    assert np.array_equal(own.targets, wrong.targets)
    assert not np.array_equal(own.neighbors, wrong.neighbors)


def test_graphs_are_sampled_for_what_is_drawn(maker: ModelPictures, monkeypatch: pytest.MonkeyPatch) -> None:
    sampled, sample = list[list[int]](), GraphContexts.sample

    def counted(self: GraphContexts, targets: np.ndarray) -> NeighborContext:
        sampled.append(targets.tolist())
        return sample(self, targets)

    monkeypatch.setattr(GraphContexts, "sample", counted)
    everyone, row = np.arange(NODES), np.array([2])
    later = ModelPictures(maker.pipeline, maker.contexts, everyone, maker.settings, sampled=False)
    assert later.make(row, "graph", 0)[0].tobytes() == maker.make(row, "graph", 0)[0].tobytes()
    assert sampled == [[2]]
    wrong = later.among(everyone).make(row, "shuffled_graph", 0)
    assert wrong[0].tobytes() == maker.make(row, "shuffled_graph", 0)[0].tobytes()
    assert sampled == [[2], everyone.tolist()]


def test_scenes_are_drawn_in_three_arms(sd_folder: Path, clip_folder: Path, tmp_path: Path) -> None:
    recipe = scene_recipe(sd_folder, clip_folder)
    scenes = write_scenes(tmp_path / "world")
    model = GraphModel.build(recipe, feature_width=24)
    maker = ModelPictures(
        GraphPipeline(model),
        SceneDataset(scenes).views(recipe),
        np.arange(4),
        DrawSettings(steps=1, graph_scale=6.0, resolution=64),
    )
    drawn = {arm: maker.make(np.array([2, 1]), arm, 0) for arm in ("no_graph", "graph", "shuffled_graph")}
    assert len({pictures[0].tobytes() for pictures in drawn.values()}) == 3
    own, wrong = maker.context("graph", "scene"), maker.context("shuffled_graph", "scene")
    assert own.scenes[2].words[: own.scenes[2].objects] == scenes.graphs[2].objects
    assert all(one != other for one, other in zip(own.scenes, wrong.scenes, strict=True))


def test_prompts_that_are_cut_are_counted_for_all_batches_at_once(
    maker: ModelPictures, sd_folder: Path
) -> None:
    (contexts,) = maker.contexts.values()
    assert isinstance(contexts, GraphContexts)
    nodes = replace(contexts.graph.nodes, texts=[f"{row} star " * 40 for row in range(NODES)])
    long = GraphContexts(replace(contexts.graph, nodes=nodes), contexts.sampler, contexts.embeddings)
    pipe, rows = GraphPipeline(small_model(sd_folder)), np.arange(NODES)
    with pytest.warns(Notice, match=f"{NODES} of {NODES} prompts are longer"):
        maker = ModelPictures(pipe, {"neighbors": long}, rows, DrawSettings(steps=1))
    with warnings.catch_warnings():
        warnings.simplefilter("error", Notice)
        maker.make(rows[:1], "no_graph", 0)
