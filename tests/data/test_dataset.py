"""What training, drawing and evaluation ask of their data, and what that costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphcond.attributed_graph import AttributedGraph
from graphcond.data.dataset import GraphDataset
from graphcond.errors import InputError
from graphcond.features import feature_cache
from graphcond.features.clip import ClipExtractor
from graphcond.features.feature_cache import FeatureCache, cached_pictures, picture_table
from graphcond.features.load import Extractors
from graphcond.recipe import parse_recipe
from graphcond.recipe.sections import MmagData
from tests.builders import recipe_values
from tests.training.toys import NODES, TEST_NODES, write_graph

TRAIN, TEST = list(range(NODES - TEST_NODES)), list(range(NODES - TEST_NODES, NODES))


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> AttributedGraph:
    return write_graph(tmp_path_factory.mktemp("graph"))


def with_splits(graph: AttributedGraph, splits: list[str] | None) -> AttributedGraph:
    return replace(graph, nodes=replace(graph.nodes, splits=splits))


def test_splits(graph: AttributedGraph) -> None:
    assert GraphDataset(graph).targets(MmagData()).tolist() == TRAIN
    assert GraphDataset(graph).forbidden("test").tolist() == TEST
    assert GraphDataset(graph).held_out(MmagData()).tolist() == TEST
    assert GraphDataset(graph).targets(MmagData(train_splits=("train", "test"))).tolist() == [*TRAIN, *TEST]
    assert GraphDataset(graph).held_out(MmagData(train_splits=("train", "test"))).tolist() == []


def test_without_splits_all_are_targets(graph: AttributedGraph) -> None:
    whole = with_splits(graph, None)
    assert GraphDataset(whole).targets(MmagData()).tolist() == [*TRAIN, *TEST]
    assert GraphDataset(whole).forbidden("test").tolist() == []
    assert GraphDataset(whole).held_out(MmagData()).tolist() == []


def test_a_validation_split_is_preferred(graph: AttributedGraph) -> None:
    splits = ["val" if node == 2 else "test" if node in TEST else "train" for node in range(NODES)]
    split = with_splits(graph, splits)
    assert GraphDataset(split).held_out(MmagData()).tolist() == [2]
    assert 2 not in GraphDataset(split).targets(MmagData())


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        (["train", "val", "test"], None),
        (["train", "train", "test"], "no split is called 'val'"),
        (["train", "val", "train"], "no other node is held out"),
        (["train", "train", "train"], None),
    ],
)
def test_settings_are_not_chosen_on_the_exam(
    splits: list[str], said: str | None, graph: AttributedGraph
) -> None:
    named = [splits[min(node, 2)] for node in range(NODES)]
    data, config = GraphDataset(with_splits(graph, named)), MmagData()
    note = data.note_on_validation(config)
    assert (note is None) if said is None else (note is not None and said in note)
    if said is None:
        assert not set(data.held_out(config)) & set(data.examined(config))
    assert set(data.examined(config)) == (
        set(range(2, NODES)) if splits[2] == "test" else {1} if splits[1] == "val" else set()
    )


def test_a_validation_split_without_pictures_is_not_taken_silently(graph: AttributedGraph) -> None:
    named = ["val" if node == 2 else "test" if node in TEST else "train" for node in range(NODES)]
    pictures = [None if node == 2 else f"{node:02d}.png" for node in range(NODES)]
    nodes = replace(graph.nodes, splits=named, pictures=pictures)
    data = GraphDataset(replace(graph, nodes=nodes))
    assert data.held_out(MmagData()).tolist() == TEST
    assert "no node of the split 'val' has a picture" in str(data.note_on_validation(MmagData()))


def test_a_split_that_is_not_there(graph: AttributedGraph) -> None:
    with pytest.raises(InputError, match=r"train_splits: there is no split 'trian'. Did you mean 'train'"):
        GraphDataset(graph).targets(MmagData(train_splits=("trian",)))


def test_targets_have_pictures(graph: AttributedGraph) -> None:
    pictures = [None if node == 1 else f"{node:02d}.png" for node in range(NODES)]
    some = replace(graph, nodes=replace(graph.nodes, pictures=pictures))
    assert GraphDataset(some).targets(MmagData()).tolist() == [0, *range(2, NODES - TEST_NODES)]
    none = replace(graph, nodes=replace(graph.nodes, pictures=[None] * NODES))
    with pytest.raises(InputError, match="no training target has a picture"):
        GraphDataset(none).targets(MmagData())
    assert GraphDataset(none).held_out(MmagData()).tolist() == []


def test_embeddings_of_pictures_and_texts_by_clip(
    graph: AttributedGraph, sd_folder: Path, clip_folder: Path
) -> None:
    recipe = parse_recipe(recipe_values(sd_folder, features={"kind": "clip", "model": str(clip_folder)}))
    embeddings = GraphDataset(graph).embed(Extractors(recipe.features))
    assert embeddings.pictures is not None
    assert embeddings.texts is not None
    assert embeddings.pictures.shape == embeddings.texts.shape == (NODES, 24)


def test_embeddings_from_a_file(graph: AttributedGraph, sd_folder: Path, tmp_path: Path) -> None:
    table = np.random.default_rng(0).random((NODES, 5), np.float32)
    np.save(tmp_path / "table.npy", table)
    features = {"kind": "file", "path": str(tmp_path / "table.npy")}
    recipe = parse_recipe(recipe_values(sd_folder, features=features))
    embeddings = GraphDataset(graph).embed(Extractors(recipe.features))
    assert embeddings.pictures is None
    contexts = GraphDataset(graph).views(recipe, forbidden=np.array(TEST))["neighbors"]
    assert contexts.feature_width == 5
    found = contexts.sample(np.array([10]))
    assert found.present.any()
    assert not np.isin(found.neighbors, TEST).any()
    rows = contexts.features(found).embeddings[0].numpy()
    assert np.array_equal(rows[0], table[found.neighbors[0, 0]])


def test_ids_are_looked_up_in_one_way(graph: AttributedGraph) -> None:
    assert GraphDataset(graph).rows_of("node-3", "node-0").tolist() == [3, 0]
    with pytest.raises(InputError, match=r"there is no node 'node-33'\. Did you mean 'node-3'"):
        GraphDataset(graph).rows_of("node-33")


class Counted:
    """What a network is asked to embed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pictures: list[int] = []
        self.texts: list[str] = []
        pictures, texts = ClipExtractor.embed_pictures, ClipExtractor.embed_texts
        monkeypatch.setattr(
            ClipExtractor,
            "embed_pictures",
            lambda clip, some: self.pictures.append(len(some)) or pictures(clip, some),
        )
        monkeypatch.setattr(
            ClipExtractor, "embed_texts", lambda clip, some: self.texts.extend(some) or texts(clip, some)
        )


@pytest.mark.parametrize(
    ("sampler", "pictures", "texts"),
    [
        ({"kind": "khop", "neighbors": 3}, 2, 0),
        ({"kind": "semantic_ppr", "candidates": 4, "neighbors": 2}, 4, 1),
        ({"kind": "semantic_ppr", "candidates": 4, "similarity": {"kind": "consensus"}}, 4, 0),
    ],
)
def test_drawing_one_node_embeds_what_is_read_and_nothing_else(
    sampler: dict[str, Any],
    pictures: int,
    texts: int,
    graph: AttributedGraph,
    sd_folder: Path,
    clip_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path))
    values = recipe_values(sd_folder, features={"kind": "clip", "model": str(clip_folder)})
    values["conditions"][0]["sampler"] = sampler
    recipe, counted = parse_recipe(values), Counted(monkeypatch)
    for _ in range(2):
        features = GraphDataset(graph).views(recipe)["neighbors"].features_of("node-0")
        assert features.present.any()
    assert sum(counted.pictures) == pictures
    assert len(counted.texts) == texts


def test_a_table_gives_the_rows_of_an_array(graph: AttributedGraph, clip_folder: Path) -> None:
    clip = ClipExtractor.from_pretrained(clip_folder)
    paths = [None, *(graph.picture_path(row) for row in range(1, NODES))]
    table, whole = picture_table(clip, paths), cached_pictures(clip, paths)
    rows = np.array([[3, 0], [3, 7]])
    np.testing.assert_allclose(table[rows], whole[rows], atol=1e-5)
    np.testing.assert_array_equal(np.asarray(table)[3], table[3])
    assert table.shape == whole.shape
    assert len(table) == NODES


def test_a_warm_cache_hashes_no_picture_again(
    graph: AttributedGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []
    digest = feature_cache.file_digest
    monkeypatch.setattr(feature_cache, "file_digest", lambda path: hashed.append(path) or digest(path))
    monkeypatch.setattr(feature_cache, "SETTLED", -1.0)
    copies = [tmp_path / f"{row}.png" for row in range(3)]
    for row, copy in enumerate(copies):
        copy.write_bytes(graph.picture_path(row).read_bytes())  # type: ignore[union-attr]
    first = FeatureCache(tmp_path).digests([*copies, copies[0]])
    assert hashed == copies
    assert FeatureCache(tmp_path).digests(copies) == first[:3]
    assert hashed == copies
    copies[1].write_bytes(copies[0].read_bytes())
    assert FeatureCache(tmp_path).digests(copies) == [first[0], first[0], first[2]]
    assert hashed == [*copies, copies[1]]


def test_a_file_that_has_just_changed_is_hashed_again(graph: AttributedGraph, tmp_path: Path) -> None:
    file, cache = tmp_path / "one.bin", FeatureCache(tmp_path)
    found = []
    for content in (b"a", b"b", b"a"):
        file.write_bytes(content)
        found += cache.digests([file])
    assert found[0] == found[2] != found[1]
