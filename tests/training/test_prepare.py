from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import ref

import numpy as np
import pytest
import torch
from jaxtyping import Int64

from graphcond.attributed_graph import AttributedGraph
from graphcond.bases import StableDiffusionBase
from graphcond.data.dataset import GraphDataset
from graphcond.errors import InputError
from graphcond.features.clip import ClipExtractor
from graphcond.graphs import save_graph
from graphcond.training.gather import Gatherer
from graphcond.training.prepare import prepare
from graphcond.training.report import Report
from graphcond.training.run import fill_caches
from tests.training.toys import NODES, TEST_NODES, Toy, prepare_toy, quiet, toy_condition


def without_edges(graph: AttributedGraph, *lonely: int) -> AttributedGraph:
    """``graph`` in which some nodes have no neighbors of their own."""
    rows = [np.empty(0, np.int64) if node in lonely else graph.neighbors(node) for node in range(len(graph))]
    indptr = np.cumsum([0, *map(len, rows)])
    return replace(graph, indptr=indptr.astype(np.int64), indices=np.concatenate(rows), directed=True)


def test_training_and_validation_examples(toy: Toy, toy_graph: AttributedGraph) -> None:
    prepared, _ = prepare_toy(toy(), toy_graph)
    assert prepared.train.targets.tolist() == list(range(NODES - TEST_NODES))
    assert sorted(prepared.validation.targets.tolist()) == list(range(NODES - TEST_NODES, NODES))
    assert prepared.held_out
    (neighbors,) = prepared.train.contexts.values()
    assert (neighbors.neighbors < NODES - TEST_NODES).all(), "held-out nodes are nobody's neighbors"


@pytest.mark.parametrize(("lora", "trained", "left_out"), [(None, 9, 2), ({"rank": 2}, 11, 0)])
def test_targets_without_neighbors_are_left_out_unless_a_lora_learns_from_them(
    lora: object, trained: int, left_out: int, toy: Toy, toy_graph: AttributedGraph
) -> None:
    prepared, _ = prepare_toy(toy(lora=lora), without_edges(toy_graph, 4, 9))
    assert len(prepared.train) == trained
    assert prepared.left_out == left_out


def test_where_nothing_is_trained_few_targets_get_neighbors(
    toy: Toy, toy_graph: AttributedGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as validation and previews show; all of them only where none of these has a graph."""
    sample, asked = Gatherer.contexts, list[int]()

    def counted(self: Gatherer, targets: Int64[np.ndarray, " n"], what: str) -> Any:
        asked.append(len(targets))
        return sample(self, targets, what)

    monkeypatch.setattr(Gatherer, "contexts", counted)
    untrained = toy_condition() | {"encoder": {"kind": "references"}, "injector": {"kind": "references"}}
    recipe = toy(conditions=[untrained], validation_samples=2)
    prepared, _ = prepare_toy(recipe, toy_graph)
    assert not prepared.trains
    assert asked == [2, 2]
    asked.clear()
    prepared, _ = prepare_toy(recipe, without_edges(toy_graph, *range(1, NODES)))
    assert asked[0] == 2
    assert prepared.validation.targets.tolist() == [0]


def test_no_neighbors_at_all(toy: Toy, toy_graph: AttributedGraph) -> None:
    with pytest.raises(InputError, match="no training node has a neighbor"):
        prepare_toy(toy(), without_edges(toy_graph, *range(NODES)))


@pytest.mark.parametrize(
    ("targets", "message"),
    [([0, 99], "there is no node 99"), ([-1], "there is no node -1"), ([], "there are none")],
)
def test_bad_targets(targets: list[int], message: str, toy: Toy, toy_graph: AttributedGraph) -> None:
    with pytest.raises(InputError, match=message):
        prepare(
            toy(),
            torch.device("cpu"),
            Report(quiet()),
            data=GraphDataset(toy_graph),
            targets=np.array(targets, np.int64),
        )


def test_a_target_without_picture(toy: Toy, toy_graph: AttributedGraph) -> None:
    pictures = [None, *list(toy_graph.nodes.pictures)[1:]]
    graph = replace(toy_graph, nodes=replace(toy_graph.nodes, pictures=pictures))
    with pytest.raises(InputError, match="node 'node-0' has no picture"):
        prepare(
            toy(),
            torch.device("cpu"),
            Report(quiet()),
            data=GraphDataset(graph),
            targets=np.array([0]),
        )


def test_a_size_that_the_vae_cannot_halve(toy: Toy, toy_graph: AttributedGraph) -> None:
    recipe = toy(data={"kind": "mmag", "resolution": 60})
    with pytest.raises(InputError, match=r"data\.resolution: expected a multiple of 8, got 60"):
        prepare_toy(recipe, toy_graph)


def test_trained_parameters_are_float32_over_a_half_precision_base(
    sd_folder: Path, toy: Toy, toy_graph: AttributedGraph
) -> None:
    base = {"kind": "stable_diffusion", "model": str(sd_folder), "dtype": "bf16"}
    prepared, _ = prepare_toy(toy(base=base, lora={"rank": 2}), toy_graph)
    groups = prepared.model.trainable_parameters()
    assert {p.dtype for group in groups.values() for p in group.values()} == {torch.float32}
    assert prepared.model.base.dtype == torch.bfloat16


def test_an_attention_that_cannot_run_is_refused_before_any_work(
    sd_folder: Path, toy: Toy, toy_graph: AttributedGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GraphDataset, "views", None)
    base = {"kind": "stable_diffusion", "model": str(sd_folder), "attention": "xformers"}
    with pytest.raises(InputError, match=r"base\.attention: xformers"):
        prepare_toy(toy(base=base), toy_graph)


def test_held_out_targets_that_have_no_neighbors_are_not_validated_on(
    toy: Toy, toy_graph: AttributedGraph
) -> None:
    test = range(NODES - TEST_NODES, NODES)
    prepared, _ = prepare_toy(toy(), without_edges(toy_graph, *test))
    assert not prepared.held_out
    assert set(prepared.validation.targets.tolist()) <= set(range(NODES - TEST_NODES))


@pytest.mark.parametrize("test", ["test", "Test", "TESTING"])
def test_training_nodes_whose_only_neighbors_are_held_out_are_refused_in_any_spelling(
    test: str, toy: Toy, toy_graph: AttributedGraph
) -> None:
    splits = ["train" if node % 4 < 2 else test for node in range(NODES)]  # neighbors are 2 and 4 apart
    apart = [node for node in range(NODES) if splits[node] == "train"]
    rows = [[n for n in toy_graph.neighbors(node).tolist() if n not in apart] for node in range(NODES)]
    graph = replace(
        toy_graph,
        nodes=replace(toy_graph.nodes, splits=splits),
        indptr=np.cumsum([0, *map(len, rows)]),
        indices=np.concatenate(rows).astype(np.int32),
        directed=True,
    )
    with pytest.raises(InputError, match="neighbor that is not held out") as caught:
        prepare_toy(toy(), graph)
    assert "split" not in str(caught.value), "no advice to train on held-out nodes"


def test_networks_leave_memory_once_everything_is_embedded(
    toy: Toy, toy_graph: AttributedGraph, monkeypatch: pytest.MonkeyPatch, empty_cache: None
) -> None:
    loaded: list[ref[ClipExtractor]] = []
    load = ClipExtractor.from_pretrained

    def remembered(*where: Any, **how: Any) -> ClipExtractor:
        extractor = load(*where, **how)
        loaded.append(ref(extractor))
        return extractor

    monkeypatch.setattr(ClipExtractor, "from_pretrained", remembered)
    prepared, _ = prepare_toy(toy(), toy_graph)
    gc.collect()
    assert [one() for one in loaded] == [None]
    assert len(prepared.train) == 11


def test_another_process_finds_all_that_training_reads(
    toy: Toy, toy_graph: AttributedGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_cache: None
) -> None:
    save_graph(toy_graph, tmp_path / "graph")
    recipe = toy()
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"path": tmp_path / "graph"})})
    filled = fill_caches(recipe, device="cpu", console=quiet())
    assert (filled.targets, filled.validated_on) == (11, 3)

    def fail(*_: Any) -> None:
        raise AssertionError("it should be in the cache")

    for what in ("encode_pictures", "encode_prompt"):
        monkeypatch.setattr(StableDiffusionBase, what, fail)
    monkeypatch.setattr(ClipExtractor, "embed_pictures", fail)
    prepared = prepare(recipe, torch.device("cpu"), Report(quiet()))
    assert len(prepared.train) == 11
