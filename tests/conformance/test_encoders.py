"""What every encoder of neighbors keeps to. A new one adds a row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from graphcond.context import NeighborFeatures
from graphcond.encoders import ENCODERS
from graphcond.signals import GraphTokens, TextTokens
from tests.builders import FEATURE_WIDTH, small_base, some_features

NETWORK: dict[str, Any] = {"over": "neighbors", "node_width": 16, "layers": 2}
ROWS: list[tuple[str, dict[str, Any]]] = [
    ("graph_qformer", {"zero_start": False}),
    ("graph_qformer", {"zero_start": False, "neighbor_self_attention": True}),
    ("graph_qformer", {"zero_start": False, "init": "random", "normalize_embeddings": True}),
    ("graph_qformer", {"zero_start": False, "relations": ("same_artist", "same_year")}),
    ("neighbor_mean", {"tokens": 3}),
    ("neighbor_mean", {"tokens": 3, "relations": ("same_artist",)}),
    ("image_prompts", {"tokens": 2}),
    ("image_prompts", {"tokens": 2, "projection": "plus"}),
    ("triple_gcn", NETWORK),
    ("gcn", NETWORK | {"backend": "torch"}),
    ("sage", NETWORK),
    ("gat", NETWORK),
    ("gat", NETWORK | {"relations": ("same_artist",)}),
    ("pyg", NETWORK),
    ("pyg", NETWORK | {"module": "torch_geometric.nn.SAGEConv"}),
    ("pyg", NETWORK | {"module": "torch_geometric.nn.SAGEConv", "relations": ("same_artist",)}),
    ("pyg", NETWORK | {"module": "torch_geometric.nn.RGCNConv", "relations": ("same_artist",)}),
]


@pytest.fixture(scope="module")
def base(sd_folder: Path):
    return small_base(sd_folder)


@pytest.fixture(params=ROWS, ids=lambda row: "-".join([row[0], *map(str, row[1].values())]))
def encoder(request, base):
    kind, settings = request.param
    torch.manual_seed(0)
    return ENCODERS[kind](**settings).build(feature_width=FEATURE_WIDTH, base=base)


def prompts(base, count: int = 2) -> TextTokens:
    return base.encode_prompt(["a star", "a house by the sea", "a tree"][:count])


def test_every_kind_has_a_row() -> None:
    reading = {kind: one for kind, one in ENCODERS.items() if issubclass(NeighborFeatures, one.reads)}
    kinds = {kind for kind, config in reading.items() if config.gives is GraphTokens}
    assert {kind for kind, _ in ROWS} == kinds


def test_gives_tokens_of_the_base_width(encoder, base) -> None:
    tokens = encoder(some_features(2), prompts(base))
    assert isinstance(tokens, encoder.gives)
    assert isinstance(tokens, GraphTokens)
    assert tokens.tokens.shape[::2] == (2, base.facts.token_width)
    assert tokens.present.shape == tokens.tokens.shape[:2]
    assert bool(tokens.present.all())


def test_it_gives_as_many_tokens_as_it_and_its_config_declare(encoder, request, base) -> None:
    kind, settings = request.node.callspec.params["encoder"]
    assert encoder.token_count == ENCODERS[kind](**settings).token_count()
    counts = [encoder(some_features(2, neighbors), prompts(base)).tokens.shape[1] for neighbors in (0, 1, 2)]
    if encoder.token_count is None:  # as many for each neighbor
        assert counts[2] - counts[1] == counts[1] - counts[0] > 0
    else:
        length = prompts(base).ids.shape[1]
        assert {*counts} == {length if encoder.token_count == "prompt" else encoder.token_count}


def test_rows_do_not_see_each_other(encoder, base) -> None:
    features, text = some_features(2), prompts(base)
    whole = encoder(features, text).tokens
    row = torch.tensor([1])
    alone = encoder(features.select(row), text.select(row)).tokens
    assert torch.allclose(whole[1:], alone, atol=1e-5)


def test_neighbors_are_a_set(encoder, base) -> None:
    features = some_features(2, 4)
    order = torch.tensor([2, 0, 3, 1])
    turned = NeighborFeatures(features.embeddings[:, order], features.present[:, order])
    tokens = [encoder(given, prompts(base)).tokens for given in (features, turned)]
    if encoder.token_count is None:  # each neighbor has tokens of its own, and injectors read them as a set
        tokens = [each.sort(dim=1).values for each in tokens]
    assert torch.allclose(*tokens, atol=1e-5)


@pytest.mark.parametrize("stands_there", [1e3, float("nan"), float("inf")])
def test_absent_neighbors_are_not_read(encoder, base, stands_there: float) -> None:
    features = some_features(2, 4)
    present = torch.tensor([[True, True, False, False]] * 2)
    garbage = torch.where(present[..., None], features.embeddings, stands_there)
    few = encoder(NeighborFeatures(features.embeddings[:, :2], present[:, :2]), prompts(base)).tokens
    read = encoder(NeighborFeatures(garbage, present), prompts(base))
    padded = read.tokens[:, : few.shape[1]]
    assert torch.allclose(few, padded, atol=1e-5)
    assert not bool(read.present[:, few.shape[1] :].any())
    read.tokens.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())


@pytest.mark.parametrize("neighbors", [0, 3])
def test_an_empty_context_is_hidden_and_finite(encoder, base, neighbors: int) -> None:
    features = some_features(2, neighbors)
    empty = NeighborFeatures(features.embeddings, torch.zeros_like(features.present))
    tokens = encoder(empty, prompts(base))
    assert not bool(tokens.present.any())
    assert bool(torch.isfinite(tokens.tokens).all())


def test_neighbors_matter(encoder, base) -> None:
    one, other = (encoder(some_features(2, seed=seed), prompts(base)).tokens for seed in (0, 1))
    assert (one - other).abs().max() > 1e-3


def test_it_says_whether_it_reads_words(encoder, base) -> None:
    text = prompts(base)
    without = replace(text, ids=torch.zeros_like(text.ids))
    one, other = (encoder(some_features(2), shown).tokens for shown in (text, without))
    assert torch.equal(one, other) is not encoder.reads_words


def test_every_parameter_gets_a_gradient(encoder, base) -> None:
    encoder(some_features(2), prompts(base)).tokens.square().sum().backward()
    without = [name for name, p in encoder.named_parameters() if p.grad is None]
    assert not without


def test_weights_survive_a_file(encoder, base, tmp_path: Path) -> None:
    before = encoder(some_features(2), prompts(base)).tokens
    save_file(encoder.state_dict(), tmp_path / "weights.safetensors")
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(1)
    encoder.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(encoder(some_features(2), prompts(base)).tokens, before)


def test_no_name_that_peft_would_take_for_its_own(encoder) -> None:
    assert not [name for name, _ in encoder.named_modules() if "lora_" in name]
