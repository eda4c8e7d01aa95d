"""A recipe that reads relations: named by the graph, kept by the model, known again by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from graphcond.attributed_graph import AttributedGraph
from graphcond.data.contexts import GraphContexts
from graphcond.data.dataset import GraphDataset
from graphcond.errors import InputError
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from graphcond.recipe import load_recipe
from tests.training.toys import run_toy, same, toy_condition, toy_recipe, trained_weights

NAMES = ("near", "far")


@pytest.fixture(scope="module")
def typed(toy_graph: AttributedGraph) -> AttributedGraph:
    """Nodes two apart are near, nodes four apart are far."""
    rows = np.repeat(np.arange(len(toy_graph)), toy_graph.degrees)
    far = (np.abs(toy_graph.indices - rows) == 4).astype(np.uint8)
    return replace(toy_graph, edge_types=far, edge_type_names=NAMES)


def renamed(graph: AttributedGraph, *names: str) -> AttributedGraph:
    """The same graph with its types in the other order, called by ``names``."""
    assert graph.edge_types is not None
    return replace(graph, edge_types=1 - graph.edge_types, edge_type_names=names)


@pytest.fixture(scope="module")
def recipe(sd_folder: Path, clip_folder: Path) -> Any:
    def of(relations: Any = True, **changes: Any) -> Any:
        condition = toy_condition()
        condition["encoder"]["relations"] = relations
        return toy_recipe(sd_folder, clip_folder, conditions=[condition], **changes)

    return of


@pytest.fixture(scope="module")
def folder(recipe: Any, typed: AttributedGraph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_toy(recipe(), typed, tmp_path_factory.mktemp("related") / "run").folder


def contexts(model: GraphModel, graph: AttributedGraph) -> GraphContexts:
    (only,) = GraphDataset(graph).views(model.recipe).values()
    assert isinstance(only, GraphContexts)
    return only


@torch.no_grad()
def tokens(model: GraphModel, graph: AttributedGraph) -> torch.Tensor:
    features, text = contexts(model, graph).features_of("node-1"), model.base.encode_prompt(["a star"])
    return model.conditions["neighbors"].encoder(features, text).tokens


def test_the_model_keeps_the_names_and_has_learned_vectors(folder: Path) -> None:
    assert load_recipe(folder / "recipe.yaml").conditions[0].encoder.relations is True
    model = GraphModel.from_pretrained(folder / "final")
    (condition,) = model.recipe.conditions
    assert condition.encoder.relations == NAMES
    table = model.conditions["neighbors"].encoder.relations.table.weight
    assert table.shape[0] == 3
    assert not table[0].any()
    assert table[1:].any(dim=1).all()


def test_another_graph_may_number_its_types_otherwise(folder: Path, typed: AttributedGraph) -> None:
    model = GraphModel.from_pretrained(folder / "final")
    own = tokens(model, typed)
    assert torch.equal(tokens(model, renamed(typed, "far", "near")), own)
    assert not torch.equal(tokens(model, renamed(typed, "near", "far")), own)
    with pytest.warns(UserWarning, match=r"does not know.*next door \(it knows near, far\)"):
        unknown = tokens(model, renamed(typed, "far", "next door"))
    assert not torch.equal(unknown, own)


def test_relations_of_pictures_are_given_by_name(folder: Path, typed: AttributedGraph) -> None:
    pipe = GraphPipeline.from_pretrained(folder / "final")
    pictures = [Image.new("RGB", (64, 64), color) for color in ("red", "green", "blue")]
    features = pipe.embed(pictures, ["far", "", "near"])
    assert features.relations is not None
    assert [(0, *features.relation_names)[place] for place in features.relations[0]] == ["far", 0, "near"]
    assert pipe.embed(pictures).relations is None
    with pytest.raises(InputError, match="relations: expected 3 relations, one for each picture, got 1"):
        pipe.embed(pictures, ["far"])


def test_a_graph_without_types_is_refused_before_the_base_is_loaded(
    recipe: Any, toy_graph: AttributedGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GraphModel, "build", None)
    with pytest.raises(InputError, match=r"conditions\.0\.encoder\.relations: .*no types"):
        run_toy(recipe(), toy_graph)


def test_a_recipe_may_name_the_relations_that_count(
    recipe: Any, typed: AttributedGraph, tmp_path: Path
) -> None:
    with pytest.warns(UserWarning, match="far"):
        run = run_toy(recipe(["near"], steps=1), typed, tmp_path / "run")
    assert run.model.conditions["neighbors"].encoder.relations.names == ("near",)


def test_a_resumed_run_ends_the_same_and_notices_other_relations(
    recipe: Any, typed: AttributedGraph, tmp_path: Path
) -> None:
    whole = run_toy(recipe(steps=2), typed, tmp_path / "whole")
    run_toy(recipe(steps=1), typed, tmp_path / "parts")
    with pytest.raises(InputError, match="training data is not what the run was started with"):
        run_toy(recipe(steps=2), renamed(typed, "near", "far"), resume=tmp_path / "parts")
    resumed = run_toy(recipe(steps=2), typed, resume=tmp_path / "parts")
    assert same(trained_weights(resumed), trained_weights(whole))


def test_edge_types_change_nothing_where_no_encoder_reads_them(
    recipe: Any, typed: AttributedGraph, toy_graph: AttributedGraph, tmp_path: Path
) -> None:
    with_types = run_toy(recipe(False, steps=1), typed, tmp_path / "typed")
    without = run_toy(recipe(False, steps=1), toy_graph, tmp_path / "plain")
    assert same(trained_weights(with_types), trained_weights(without))
