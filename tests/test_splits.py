from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.attributed_graph import ABSENT, AttributedGraph
from graphcond.data.dataset import GraphDataset
from graphcond.data.open import open_data
from graphcond.errors import InputError
from graphcond.graphs import save_graph
from graphcond.recipe.sections import MmagData
from graphcond.samplers import KHopSampler
from graphcond.splits import SYNONYMS, TEST, TRAIN, by_split, held_out_at_random, rows_in, split_named
from tests.training.toys import NODES, TEST_NODES, write_graph


def spellings(split: str) -> st.SearchStrategy[str]:
    """A synonym with any capitals, perhaps with an ending and blanks."""
    cased = st.sampled_from(SYNONYMS[split]).flatmap(
        lambda word: st.tuples(*(st.sampled_from([sign, sign.upper()]) for sign in word)).map("".join)
    )
    return st.builds(
        "{}{}{}".format, cased, st.sampled_from(["", "_set", "-Split", " SET"]), st.sampled_from(["", " "])
    )


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> AttributedGraph:
    return write_graph(tmp_path_factory.mktemp("graph"))


def with_splits(graph: AttributedGraph, splits: list[str]) -> GraphDataset:
    return GraphDataset(replace(graph, nodes=replace(graph.nodes, splits=splits)))


@settings(deadline=None, max_examples=60)
@given(
    train=spellings(TRAIN),
    tests=st.lists(spellings(TEST), min_size=TEST_NODES, max_size=TEST_NODES),
    asked=spellings(TRAIN),
)
def test_held_out_nodes_are_neither_targets_nor_neighbors_in_any_spelling(
    graph: AttributedGraph, train: str, tests: list[str], asked: str
) -> None:
    data = with_splits(graph, [train] * (NODES - TEST_NODES) + tests)
    recipe = MmagData(train_splits=(asked,))
    held_out = np.arange(NODES - TEST_NODES, NODES)
    assert data.forbidden(*recipe.forbidden_splits).tolist() == held_out.tolist()
    targets = data.targets(recipe)
    assert not np.isin(held_out, targets).any()
    sampler = KHopSampler(data.graph, neighbors=NODES, forbidden=data.forbidden(*recipe.forbidden_splits))
    chosen = sampler.sample(targets, np.random.default_rng(0)).neighbors
    assert (chosen != ABSENT).any()
    assert not np.isin(chosen, held_out).any()
    assert data.held_out(recipe).tolist() == held_out.tolist()
    assert data.note_on_splits(recipe) is None


@pytest.mark.parametrize("name", ["contest", "validated", "retrain", "fold_1", "unseen", "art", "set"])
def test_names_that_only_resemble_a_split_stay_apart(name: str) -> None:
    assert split_named(name) not in SYNONYMS
    assert rows_in([name.upper(), "train"], [name]).tolist() == [0]


def test_the_empty_split_is_no_split() -> None:
    assert rows_in(["", "train", " "], ["train"]).tolist() == [1]
    assert rows_in(None, ["train"]).tolist() == []


def test_folders_named_after_splits_come_in_their_usual_order() -> None:
    paths = [
        Path(name)
        for name in ("a/eval.json", "a/notes.json", "a/Validation.json", "a/dev.json", "a/Train.json")
    ]
    assert list(by_split(paths)) == ["Train", "Validation", "dev", "eval"]


@pytest.mark.parametrize(
    ("splits", "forbidden", "said"),
    [
        (["train", "fold2"], ("test",), "the splits are train 11, fold2 3, and no split is called test"),
        (["train", "Test"], (), "data.forbidden_splits is empty"),
        (["train", "Test"], ("test",), None),
        (["train", "dev"], ("test",), "no node is held out from training"),
        (["train", "dev"], ("Validation",), None),
        (["", ""], ("test",), None),
    ],
)
def test_splits_of_which_none_is_held_out_are_said(
    graph: AttributedGraph, splits: list[str], forbidden: tuple[str, ...], said: str | None
) -> None:
    data = with_splits(graph, [splits[0]] * (NODES - TEST_NODES) + [splits[1]] * TEST_NODES)
    note = data.note_on_splits(MmagData(forbidden_splits=forbidden))
    assert note is None if said is None else said in (note or "")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99, 0.0001])
def test_a_share_is_held_out_the_same_way_each_time(share: float) -> None:
    pictures = [None if row % 3 == 0 else f"{row}.png" for row in range(30)]
    splits = held_out_at_random(pictures, share)
    assert splits == held_out_at_random(pictures, share)
    assert splits != held_out_at_random(pictures, share, seed=1) or share in (0.99, 0.0001)
    held_out = [row for row, split in enumerate(splits) if split == TEST]
    assert len(held_out) == min(max(round(share * 20), 1), 19)
    assert all(pictures[row] is not None for row in held_out)


@pytest.mark.parametrize(("pictures", "share"), [([None] * 9, 0.0), ([None] * 9, 1.0), (["a.png"], 0.5)])
def test_a_share_that_leaves_nothing_is_refused(pictures: list[str | None], share: float) -> None:
    with pytest.raises(InputError, match="expected"):
        held_out_at_random(pictures, share)


def test_a_recipe_holds_out_only_where_there_are_no_splits(graph: AttributedGraph, tmp_path: Path) -> None:
    save_graph(replace(graph, nodes=replace(graph.nodes, splits=None)), tmp_path / "plain")
    config = MmagData(path=tmp_path / "plain", hold_out=0.25)
    data = open_data(config)
    assert len(data.forbidden("test")) == round(0.25 * NODES)
    assert len(data.targets(config)) == NODES - round(0.25 * NODES)
    save_graph(graph, tmp_path / "split")
    assert open_data(MmagData(path=tmp_path / "split", hold_out=0.5)).forbidden("test").tolist() == [
        11,
        12,
        13,
    ]
