"""What ``print`` shows of large things: a line, not their columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import graphcond
from graphcond.attributed_graph import EdgeList, NodeEmbeddings, NodeTable
from graphcond.bases.base import LatentMoments
from graphcond.context import NeighborContext, SampledScene, SceneContext
from graphcond.data.contexts import GraphContexts
from graphcond.data.dataset import GraphDataset, SceneDataset
from graphcond.data.scene_contexts import SceneContexts
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.features.text_features import TextModelExtractor
from graphcond.features.words import WordTable
from graphcond.graphs import build_graph
from graphcond.samplers import PPRSampler, SceneTriplesSampler
from graphcond.scene_graph import SceneGraph, SceneSet
from graphcond.signals import GraphTokens, TextTokens
from tests.builders import small_model, some_features
from tests.scene_batches import PAIR, PARK, features_of

COUNT = 300
NODES = NodeTable(
    ids=[f"node {number}" for number in range(COUNT)],
    texts=["a picture"] * COUNT,
    pictures=[None] * COUNT,
    splits=["train"] * COUNT,
    attributes={"artist": ["somebody"] * COUNT},
)


def test_graphs_and_sets_of_scenes_are_printed_in_a_line() -> None:
    ends = np.arange(COUNT - 1, dtype=np.int64)
    edges = EdgeList(ends, ends + 1, types=["next"] * len(ends))
    graph = build_graph(NODES, edges)
    scenes = SceneSet([SceneGraph(["star"])] * COUNT, NODES.ids, NODES.texts, NODES.pictures)
    assert repr(NODES) == "NodeTable(300 nodes, splits, artist)"
    assert repr(edges) == "EdgeList(299 edges, types)"
    assert repr(graph) == f"AttributedGraph({NODES!r}, 299 undirected edges of 1 types, root='None')"
    assert repr(scenes) == "SceneSet(300 scenes, root='None')"
    assert max(len(str(one)) for one in (GraphDataset(graph), SceneDataset(scenes))) < 200
    embeddings = NodeEmbeddings(pictures=np.zeros((COUNT, 24), np.float32))
    assert repr(embeddings) == "NodeEmbeddings(pictures 300x24)"
    contexts = repr(GraphContexts(graph, PPRSampler(graph), embeddings))
    assert contexts.startswith(f"GraphContexts({graph!r}, PPRSampler, {embeddings!r}, seed 0, ")
    words = WordTable(TextModelExtractor.from_pretrained("tiny-bert"))
    assert repr(SceneContexts(scenes, SceneTriplesSampler(), words)) == (
        f"SceneContexts({scenes!r}, SceneTriplesSampler, WordTable, seed 0)"
    )


def test_no_public_record_prints_all_it_holds() -> None:
    """What dataclasses make by themselves prints whole arrays; `SceneGraph` and scales hold few values."""
    public = [getattr(graphcond, name) for name in graphcond.__all__]
    generated = {
        one.__name__ for one in public if isinstance(one, type) and hasattr(one.__repr__, "__wrapped__")
    }
    assert generated == {"SceneGraph", "GraphGuidance"}


def test_what_samplers_choose_and_encoders_read_is_printed_by_its_shapes(sd_folder: Path) -> None:
    rows = np.zeros((2, 3), np.int64)
    context = NeighborContext(rows[:, 0], rows, rows.astype(np.float32))
    assert repr(context) == "NeighborContext(targets 2, neighbors 2x3, scores 2x3)"
    assert repr(some_features(2, 3)) == "NeighborFeatures(embeddings 2x3x24, present 2x3, 0 relation_names)"
    assert repr(SceneContext((SampledScene(("star",), 1, (), (None,)),))) == "SceneContext(1 scenes)"
    assert len(repr(features_of([PARK, PAIR]))) < 250
    text = TextTokens(torch.zeros(2, 7, dtype=torch.long), torch.zeros(2, 7, 24))
    assert repr(text) == "TextTokens(ids 2x7, hidden 2x7x24, 0 extras)"
    moments = LatentMoments(torch.zeros(2, 4, 8, 8), torch.ones(2, 4, 8, 8))
    assert repr(moments) == "LatentMoments(mean 2x4x8x8, std 2x4x8x8)"
    given = DenoiserInputs(moments.mean, torch.zeros(2), text.hidden, prompt_length=7)
    assert repr(given).startswith(
        "DenoiserInputs(sample 2x4x8x8, timestep 2, context 2x7x24, prompt_length 7,"
    )
    assert repr(GraphTokens(text.hidden, text.ids.bool())) == "GraphTokens(tokens 2x7x24, present 2x7)"
    model = small_model(sd_folder, lora={"rank": 2})
    (condition,) = model.conditions.values()
    assert repr(condition) == "Condition(neighbors: GraphQFormer > PromptTokenInjector, null absent)"
    assert repr(condition.injector) == "PromptTokenInjector(0 parameters)"
    assert len(repr(model.lora)) < 50
    assert repr(model) == (
        "GraphModel(StableDiffusionBase, neighbors: GraphQFormer > PromptTokenInjector, lora)"
    )
