"""Layers of PyG, and one's own, as layers of a graph network."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

pytest.importorskip("torch_geometric", reason="needs graphcond[pyg]")

from torch_geometric.nn import GATv2Conv, RGCNConv, SAGEConv

from graphcond.encoders import PygConfig, PygLayer
from graphcond.encoders.pyg import pyg_layer
from graphcond.encoders.scene_graphs import PackedGraphs
from graphcond.errors import InputError
from tests.builders import FactsOnly, small_model, some_features

WIDTH = 8


class Mean(nn.Module):
    """A layer of one's own; it remembers what it was called with."""

    def __init__(self, in_channels: int, out_channels: int, scale: float = 1.0) -> None:
        super().__init__()
        self.linear, self.scale = nn.Linear(in_channels, out_channels), scale
        self.called: dict[str, Tensor] = {}

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        self.called = {"x": x, "edge_index": edge_index}
        return self.linear(x) * self.scale


class Told(Mean):
    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor, edge_type: Tensor) -> Tensor:  # type: ignore[override]
        self.called = {"edge_index": edge_index, "edge_attr": edge_attr, "edge_type": edge_type}
        return self.linear(x)


class Pair(Mean):
    def forward(self, x: Tensor, edge_index: Tensor) -> Any:
        return x, edge_index


class Broken(Mean):
    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        raise RuntimeError("no such kernel.\nAnd much more")


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mylayers", sys.modules[__name__])


def pair(parts: int = 2) -> PackedGraphs:
    """0 > 1 of the relation 1, 1 > 0 of the relation 0, and 1 > 2 of the relation 1."""
    generator = torch.Generator().manual_seed(0)
    return PackedGraphs(
        nodes=torch.randn(3, WIDTH, generator=generator),
        predicates=torch.randn(3, parts * WIDTH, generator=generator),
        subjects=torch.tensor([0, 1, 1]),
        objects=torch.tensor([1, 0, 2]),
        present=torch.ones(1, 3, dtype=torch.bool),
        types=torch.tensor([1, 0, 1]),
    )


def edges(*pairs: tuple[int, int]) -> Tensor:
    return torch.tensor(pairs).T


@torch.no_grad()
def test_a_plain_layer_gets_every_edge_once_either_way() -> None:
    graph, conv = pair(), SAGEConv(WIDTH, WIDTH)
    layer = PygLayer(conv, WIDTH)
    wanted = conv(layer.norm(graph.nodes), edges((0, 1), (1, 0), (1, 2), (2, 1)))
    assert torch.allclose(layer(graph).nodes, graph.nodes + wanted.relu())
    assert layer.predicate_parts == 0


@torch.no_grad()
def test_edge_features_are_the_predicate_read_either_way() -> None:
    graph, conv = pair(), GATv2Conv(WIDTH, WIDTH, edge_dim=WIDTH)
    layer = PygLayer(conv, WIDTH, edge_features=True)
    there, back = graph.predicates.chunk(2, dim=-1)
    either = edges((0, 1), (1, 0), (1, 2), (1, 0), (0, 1), (2, 1))
    wanted = conv(layer.norm(graph.nodes), either, edge_attr=torch.cat([there, back]))
    assert torch.allclose(layer(graph).nodes, graph.nodes + wanted.relu())


@torch.no_grad()
def test_edge_types_are_numbers_of_relations_with_others_for_the_way_back() -> None:
    graph, conv = pair(), RGCNConv(WIDTH, WIDTH, num_relations=4)
    layer = PygLayer(conv, WIDTH, relations=2)
    either = edges((0, 1), (1, 0), (1, 2), (1, 0), (0, 1), (2, 1))
    wanted = conv(layer.norm(graph.nodes), either, torch.tensor([1, 0, 1, 3, 2, 3]))
    assert torch.allclose(layer(graph).nodes, graph.nodes + wanted.relu())


@torch.no_grad()
def test_predicates_become_nodes_for_a_layer_that_reads_none() -> None:
    graph = pair()
    layer = PygLayer(SAGEConv(WIDTH, WIDTH), WIDTH, predicate_nodes=True)
    other = replace(graph, predicates=-graph.predicates)
    twice, changed = layer(layer(graph)), layer(layer(other))
    assert twice.predicates.shape == graph.predicates.shape
    assert (twice.nodes - changed.nodes).abs().min(dim=0).values.max() > 1e-4


def test_settings_and_widths_reach_the_class() -> None:
    layer = pyg_layer("mylayers.Mean", {"scale": 3.0}, WIDTH, relations=1, predicates=False)
    assert isinstance(layer.module, Mean)
    assert layer.module.scale == 3
    assert layer.module.linear.weight.shape == (WIDTH, WIDTH)
    gat = pyg_layer(
        "torch_geometric.nn.GATv2Conv", {"heads": 2, "out_channels": 4}, WIDTH, relations=1, predicates=True
    )
    assert (gat.module.heads, gat.module.edge_dim, gat.edge_features, gat.predicate_nodes) == (
        2,
        WIDTH,
        True,
        False,
    )
    assert (
        pyg_layer("torch_geometric.nn.RGCNConv", {}, WIDTH, relations=3, predicates=True).module.num_relations
        == 6
    )
    assert pyg_layer("torch_geometric.nn.SAGEConv", {}, WIDTH, relations=0, predicates=True).predicate_nodes


def test_a_layer_of_ones_own_gets_what_its_forward_names() -> None:
    layer = pyg_layer("mylayers.Told", {}, WIDTH, relations=2, predicates=True)
    layer(pair())
    assert isinstance(layer.module, Told)
    assert layer.module.called["edge_attr"].shape == (6, WIDTH)
    assert layer.module.called["edge_type"].tolist() == [1, 0, 1, 3, 2, 3]


def test_a_graph_without_nodes_or_edges_is_read() -> None:
    empty = PackedGraphs(
        torch.zeros(0, WIDTH),
        torch.zeros(0, 2 * WIDTH),
        *(torch.zeros(2, 0, dtype=torch.long)),
        torch.zeros(1, 0) > 0,
    )
    layer = pyg_layer("torch_geometric.nn.GATv2Conv", {}, WIDTH, relations=0, predicates=True)
    assert layer(empty).nodes.shape == (0, WIDTH)
    lone = replace(empty, nodes=torch.ones(2, WIDTH), present=torch.ones(1, 2, dtype=torch.bool))
    assert layer(lone).nodes.shape == (2, WIDTH)


WRONG = [
    (
        "torch_geometric.nn.GATv2Conf",
        {},
        r"module: torch_geometric\.nn has no 'GATv2Conf'\. Did you mean 'GATv2Conv'",
    ),
    ("torch_geometric.nn.Xyzzy", {}, r"has no 'Xyzzy'\. Name one of its classes"),
    ("torch_geometric.no.Conv", {}, r"torch_geometric\.no cannot be imported: No module named"),
    ("nowhere.at.Conv", {}, r"nowhere\.at cannot be imported: .*nowhere.*Write the path"),
    ("torch_geometric.nn.global_mean_pool", {}, r"is not a class of torch\.nn\.Module"),
    ("pathlib.Path", {}, r"is not a class of torch\.nn\.Module"),
    (
        "torch_geometric.nn.GINConv",
        {},
        r"settings: torch_geometric\.nn\.GINConv cannot be made with no arguments: .*'nn'",
    ),
    ("mylayers.Mean", {"size": 3}, r"settings: mylayers\.Mean cannot be made with .*, size: .*'size'"),
    (
        "torch_geometric.nn.GCN2Conv",
        {"alpha": 0.1},
        r"GCN2Conv cannot be called with \(x, edge_index\): .*missing",
    ),
    ("mylayers.Broken", {}, r"Broken cannot be called with .*: no such kernel\. Use a module"),
    ("mylayers.Pair", {}, r"Pair gives tuple for each node, expected \(8,\)"),
    (
        "torch_geometric.nn.GATConv",
        {"heads": 3},
        r"gives vectors \(24,\) for each node, expected \(8,\)\. Set its",
    ),
    ("torch_geometric.nn.RGCNConv", {}, r"reads numbers of relations, and those of scene graphs are words"),
    ("mylayers.Told", {}, r"reads numbers of relations"),
]


@pytest.mark.parametrize(("path", "settings", "problem"), WRONG)
def test_what_is_no_layer_is_told_in_a_line(path: str, settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=rf"^encoder\..*{problem}") as caught:
        PygConfig(module=path, settings=settings, node_width=WIDTH).build(feature_width=24, base=FactsOnly())
    assert "\n" not in str(caught.value)


def test_pyg_is_asked_for_where_a_layer_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named '{name}'")

    monkeypatch.setattr("graphcond.io.optional.import_module", missing)
    with pytest.raises(
        InputError, match=r"torch_geometric cannot be imported .*pip install 'graphcond\[pyg\]'"
    ):
        pyg_layer("torch_geometric.nn.GATv2Conv", {}, WIDTH, relations=0, predicates=True)
    assert pyg_layer("mylayers.Mean", {}, WIDTH, relations=0, predicates=True).predicate_nodes


@pytest.mark.parametrize("path", ["GATv2Conv", "", "a.b.", "os;system", "../conv.Conv"])
def test_a_path_is_one_that_python_could_import(path: str) -> None:
    with pytest.raises(ValidationError, match=r"module"):
        PygConfig(module=path)


def with_layers(folder: Path, **settings: Any) -> Any:
    condition = {
        "name": "neighbors",
        "sampler": {"kind": "ppr"},
        "encoder": {"kind": "pyg", **settings},
        "injector": {"kind": "prompt_tokens"},
    }
    return small_model(folder, conditions=[condition])


def test_a_layer_of_others_in_a_saved_model_is_imported_with_consent_only(
    sd_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graphcond import GraphModel

    model = with_layers(sd_folder, module="mylayers.Mean", layers=1)
    model.save_pretrained(tmp_path / "model")
    by_hand = GraphModel(model.base, model.conditions.values(), feature_width=model.feature_width)
    by_hand.save_pretrained(tmp_path / "by_hand")
    for folder in (tmp_path / "model", tmp_path / "by_hand"):
        with monkeypatch.context() as patched:
            patched.setattr("graphcond.encoders.pyg.import_module", lambda name: pytest.fail(name))
            with pytest.raises(InputError, match=r"\(neighbors.encoder: mylayers.Mean\)") as error:
                GraphModel.from_pretrained(folder)
        assert "trust_remote_code=True" in str(error.value)
        GraphModel.from_pretrained(folder, trust_remote_code=True)


def test_a_saved_model_has_its_layers_again(sd_folder: Path, tmp_path: Path) -> None:
    from graphcond import GraphModel

    model = with_layers(sd_folder, settings={"heads": 2, "concat": False})
    model.save_pretrained(tmp_path / "model")
    again = GraphModel.from_pretrained(tmp_path / "model")
    text = model.base.encode_prompt(["a star"])
    one, other = (
        m.conditions["neighbors"].encoder.eval()(some_features(1), text).tokens for m in (model, again)
    )
    assert torch.equal(one, other)
    assert again.recipe.conditions[0].encoder == model.recipe.conditions[0].encoder
