"""A scene model drawn and scored in three arms, as small as it gets; no oracle is needed, only a detector."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from graphcond.cli import app
from graphcond.data.dataset import SceneDataset
from graphcond.data.open import open_data
from graphcond.errors import InputError
from graphcond.evaluation import get_protocol
from graphcond.evaluation.scene_world import OracleDetector
from graphcond.evaluation.targets import evaluate_model, targets_of
from graphcond.features.clip import ClipExtractor
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from graphcond.recipe import load_recipe
from graphcond.scene_graph import SceneGraph, SceneSet
from tests.evaluation.scene_doubles import scene

WORLD = ["data.scenes=24", "data.seed=5"]


class Echo:
    """Sees what was asked, without the last object."""

    identity = "echo"

    def detect(self, pictures: Sequence[Image.Image], asked: Sequence[SceneGraph]) -> list[SceneGraph]:
        return [_part(graph) for graph in asked]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "scenes"
    recipe = load_recipe("sgcond-vi", base="tiny", overrides=WORLD)
    GraphModel.build(recipe, feature_width=64).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def scenes() -> SceneSet:
    return open_data(load_recipe("sgcond-vi", base="tiny", overrides=WORLD).data).scenes


def test_three_arms_are_scored_by_the_users_detector(model: Path, scenes: SceneSet) -> None:
    protocol = replace(get_protocol("scenes"), steps=1)
    rows = SceneDataset(scenes).evaluated("train")[:3]
    pipe = GraphPipeline.from_pretrained(model)
    report = evaluate_model(pipe, scenes, rows, protocol, detector=Echo())["recipe"]
    assert set(report.arms) == {"no_graph", "graph", "shuffled_graph"}
    assert set(report.arms["graph"]) == set(protocol.metrics)
    objects = sum(len(scenes.graphs[row]) for row in rows)
    assert report.figure("graph", "object_occurrence").mean == pytest.approx(1 - 3 / objects)
    assert report.figure("graph", "diversity").mean > 0
    assert report.networks["sg_iou"] == "echo"
    assert f"object_occurrence: {objects} objects in 3 graphs" in report.cautions


def test_drawing_and_scoring_share_a_network(
    model: Path, scenes: SceneSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    load = ClipExtractor.from_pretrained
    monkeypatch.setattr(
        ClipExtractor, "from_pretrained", lambda name, **options: loaded.append(name) or load(name, **options)
    )
    protocol = replace(get_protocol("scenes"), steps=1, metrics=("diversity",))
    evaluate_model(GraphPipeline.from_pretrained(model), scenes, np.arange(2), protocol)
    assert loaded == ["tiny"]


def test_boxes_may_be_kept_from_the_model(
    model: Path, scenes: SceneSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[SceneGraph] = []
    views = SceneDataset.views

    def watched(data: SceneDataset, *options: Any, **more: Any) -> Any:
        shown.extend(data.scenes.graphs)
        return views(data, *options, **more)

    monkeypatch.setattr(SceneDataset, "views", watched)
    protocol = replace(get_protocol("scenes"), steps=1, metrics=("box_iou",))
    pipe, rows = GraphPipeline.from_pretrained(model), SceneDataset(scenes).evaluated("train")[:2]
    report = evaluate_model(pipe, scenes, rows, protocol, boxes=False, detector=Echo())["recipe"]
    assert shown
    assert not any(graph.boxes or graph.masks is not None for graph in shown)
    assert report.figure("graph", "box_iou").mean > 0
    assert "the scenes' boxes were kept from the model" in report.cautions


def test_the_command_needs_no_graph_for_a_world(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OracleDetector, "load", classmethod(lambda cls: Echo()))
    out = tmp_path / "report.json"
    args = ["evaluate", str(model), "--split", "train", "--limit", "2", "--steps", "1", "--out", str(out)]
    metrics = ["--metric", "relation_accuracy", "--metric", "box_iou"]
    result = CliRunner().invoke(app, [*args, *metrics], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    report = json.loads(out.read_text())["recipe"]
    assert list(report["arms"]["graph"]) == ["relation_accuracy", "box_iou"]
    assert report["n"] == 2


def test_the_command_reads_the_users_own_scenes(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OracleDetector, "load", classmethod(lambda cls: Echo()))
    file = tmp_path / "scenes.jsonl"
    line: dict[str, Any] = {"objects": ["sky", "sheep"], "relationships": [[0, "above", 1]]}
    file.write_text("".join(json.dumps(line) + "\n" for _ in range(3)))
    args = ["evaluate", str(model), "--graph", str(file), "--limit", "2", "--steps", "1", "--json"]
    result = CliRunner().invoke(app, args, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout.strip().splitlines()[-1])["recipe"]
    assert report["arms"]["graph"]["object_occurrence"]["mean"] == 0.5
    assert "box_iou is left out: no scene graph has boxes" in report["cautions"]


def test_splits_and_empty_scenes() -> None:
    graphs = [scene("star"), SceneGraph(()), scene("ring")]
    scenes = SceneSet(graphs, list("abc"), [""] * 3, [None] * 3, splits=["test", "test", "train"])
    assert SceneDataset(scenes).evaluated("test").tolist() == [0]
    assert SceneDataset(replace(scenes, splits=None)).evaluated("test").tolist() == [0, 2]
    with pytest.raises(InputError, match=r"no split 'tset'\. Did you mean 'test'"):
        SceneDataset(scenes).evaluated("tset")
    empty = replace(scenes, splits=["train", "train", "test"], graphs=[SceneGraph(())] * 3)
    with pytest.raises(InputError, match="no scene of the split 'train' has an object"):
        SceneDataset(empty).evaluated("train")


def test_true_pictures_are_optional(scenes: SceneSet) -> None:
    rows = np.arange(3)
    assert len(targets_of(SceneDataset(scenes), rows, 64).truths) == 3
    bare = replace(scenes, pictures=[None, *scenes.pictures[1:]])
    assert len(targets_of(SceneDataset(bare), rows, 64).truths) == 0


def _part(graph: SceneGraph) -> SceneGraph:
    count = len(graph) - 1
    kept = [r for r in graph.relationships if max(r.subject, r.object) < count]
    return SceneGraph(graph.objects[:count], tuple(kept), graph.attributes[:count], graph.boxes[:count])
