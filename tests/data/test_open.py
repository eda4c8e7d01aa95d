from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graphcond.attributed_graph import AttributedGraph
from graphcond.data import open as data_module
from graphcond.data.open import (
    columns_of,
    contexts_of,
    embed_data,
    forbidden_of,
    held_out_of,
    open_data,
    open_graph_data,
    targets_of,
)
from graphcond.errors import InputError
from graphcond.graphs import save_graph
from graphcond.io.files import default_cache_folder
from graphcond.recipe import parse_recipe
from graphcond.recipe.sections import MmagData, SceneData, TrainingConfig, WorldData, mirrors
from graphcond.scene_graph import SceneGraph, SceneSet
from tests.builders import recipe_values
from tests.training.toys import NODES, TEST_NODES, write_graph

TRAIN, TEST = list(range(NODES - TEST_NODES)), list(range(NODES - TEST_NODES, NODES))


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> AttributedGraph:
    return write_graph(tmp_path_factory.mktemp("graph"))


def with_splits(graph: AttributedGraph, splits: list[str] | None) -> AttributedGraph:
    return replace(graph, nodes=replace(graph.nodes, splits=splits))


def test_a_path_is_opened(graph: AttributedGraph, tmp_path: Path) -> None:
    save_graph(graph, tmp_path / "saved")
    opened = open_data(MmagData(path=tmp_path / "saved"))
    assert list(opened.nodes.ids) == list(graph.nodes.ids)


def test_no_path_says_how_to_set_one() -> None:
    with pytest.raises(InputError, match=r"data\.path: is not set.*--set data\.path="):
        open_data(MmagData())


def test_a_world_is_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path))
    config, calls = WorldData(paintings_per_artist=2, resolution=16), []
    for _ in range(2):
        world = open_data(config, progress=lambda done, total: calls.append((done, total)))
        assert len(world) == 24
        path = world.picture_path(0)
        assert path is not None
        assert path.is_file()
    assert calls == [(done, 24) for done in range(1, 25)]
    open_data(WorldData(paintings_per_artist=2, resolution=16, seed=1))
    assert len(list((default_cache_folder() / "worlds").iterdir())) == 2
    monkeypatch.setattr(data_module, "source_version", lambda package: "other code")
    open_data(config)
    assert len(list((default_cache_folder() / "worlds").iterdir())) == 3


def test_splits_do_not_change_which_world_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path))
    for splits in (("train",), ("train", "unseen")):
        open_data(WorldData(paintings_per_artist=2, resolution=16, train_splits=splits))
    assert len(list((default_cache_folder() / "worlds").iterdir())) == 1


def test_a_world_that_cannot_be() -> None:
    with pytest.raises(InputError, match="noise is a share"):
        open_data(WorldData(noise=1.0))


def test_splits(graph: AttributedGraph) -> None:
    assert targets_of(graph, MmagData()).tolist() == TRAIN
    assert forbidden_of(graph, MmagData()).tolist() == TEST
    assert held_out_of(graph, MmagData()).tolist() == TEST
    assert targets_of(graph, MmagData(train_splits=("train", "test"))).tolist() == [*TRAIN, *TEST]
    assert held_out_of(graph, MmagData(train_splits=("train", "test"))).tolist() == []


def test_without_splits_all_are_targets(graph: AttributedGraph) -> None:
    whole = with_splits(graph, None)
    assert targets_of(whole, MmagData()).tolist() == [*TRAIN, *TEST]
    assert forbidden_of(whole, MmagData()).tolist() == []
    assert held_out_of(whole, MmagData()).tolist() == []


def test_a_validation_split_is_preferred(graph: AttributedGraph) -> None:
    splits = ["val" if node == 2 else "test" if node in TEST else "train" for node in range(NODES)]
    split = with_splits(graph, splits)
    assert held_out_of(split, MmagData()).tolist() == [2]
    assert 2 not in targets_of(split, MmagData())


def test_a_split_that_is_not_there(graph: AttributedGraph) -> None:
    with pytest.raises(InputError, match=r"nothing is in a split called training.*test, train"):
        targets_of(graph, MmagData(train_splits=("training",)))


def test_targets_have_pictures(graph: AttributedGraph) -> None:
    pictures = [None if node == 1 else f"{node:02d}.png" for node in range(NODES)]
    some = replace(graph, nodes=replace(graph.nodes, pictures=pictures))
    assert targets_of(some, MmagData()).tolist() == [0, *range(2, NODES - TEST_NODES)]
    none = replace(graph, nodes=replace(graph.nodes, pictures=[None] * NODES))
    with pytest.raises(InputError, match="no target has a picture"):
        targets_of(none, MmagData())
    assert held_out_of(none, MmagData()).tolist() == []


def test_embeddings_of_pictures_and_texts_by_clip(
    graph: AttributedGraph, sd_folder: Path, clip_folder: Path
) -> None:
    recipe = parse_recipe(recipe_values(sd_folder, features={"kind": "clip", "model": str(clip_folder)}))
    embeddings = embed_data(recipe, graph)
    assert embeddings.pictures is not None
    assert embeddings.texts is not None
    assert embeddings.pictures.shape == embeddings.texts.shape == (NODES, 24)


def test_embeddings_from_a_file(graph: AttributedGraph, sd_folder: Path, tmp_path: Path) -> None:
    table = np.random.default_rng(0).random((NODES, 5), np.float32)
    np.save(tmp_path / "table.npy", table)
    features = {"kind": "file", "path": str(tmp_path / "table.npy")}
    recipe = parse_recipe(recipe_values(sd_folder, features=features))
    embeddings = embed_data(recipe, graph)
    assert embeddings.pictures is None
    contexts = contexts_of(recipe, graph, embeddings, np.array(TEST))["neighbors"]
    assert contexts.feature_width == 5
    found = contexts.sample(np.array([10]))
    assert found.present.any()
    assert not np.isin(found.neighbors, TEST).any()
    rows = contexts.features(found).embeddings[0].numpy()
    assert np.array_equal(rows[0], table[found.neighbors[0, 0]])


def scene_world(**settings: object) -> WorldData:
    return WorldData.model_validate({"world": "scenes", "scenes": 6, "resolution": 32, **settings})


def test_the_scene_world_is_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path))
    calls: list[int] = []
    for _ in range(2):
        scenes = open_data(scene_world(), progress=lambda done, total: calls.append(done))
        assert isinstance(scenes, SceneSet)
        assert len(scenes) == 6
        assert scenes.picture_path(5).is_file()  # type: ignore[union-attr]
    assert calls == [1, 2, 3, 4, 5, 6]
    assert set(scenes.texts) == {"an image"}
    open_data(scene_world(seed=1))
    open_data(scene_world(noise=0.1))
    assert len(list((tmp_path / "worlds").iterdir())) == 2, "the art world has its own settings"
    with pytest.raises(InputError, match="are scene graphs"):
        open_graph_data(scene_world())


def test_prompts_of_scenes(tmp_path: Path) -> None:
    file = tmp_path / "scenes.jsonl"
    lines = [{"objects": ["cat"], "caption": "a cat"}, {"objects": ["dog"], "prompt": "a photo"}]
    file.write_text("\n".join(map(json.dumps, lines)))
    fixed = open_data(SceneData(path=file, prompt="a drawing"))
    assert list(columns_of(fixed).texts) == ["a drawing", "a photo"]
    captions = open_data(SceneData(path=file, prompt_from="caption", prompt="a drawing"))
    assert list(columns_of(captions).texts) == ["a cat", "a drawing"]
    file.write_text(json.dumps(lines[1]))
    with pytest.raises(InputError, match=r"data\.prompt_from: the scenes have no captions"):
        open_data(SceneData(path=file, prompt_from="caption"))


def test_scenes_need_a_path_and_a_picture() -> None:
    with pytest.raises(InputError, match=r"Say where the scene graphs lie: --set data\.path="):
        open_data(SceneData())
    scenes = SceneSet([SceneGraph(("cat",))], ["one"], ["an image"], [None])
    with pytest.raises(InputError, match="no target has a picture"):
        targets_of(scenes, SceneData())


def test_mirrors() -> None:
    art, scenes = WorldData(), scene_world()
    assert mirrors(art, TrainingConfig())
    assert not mirrors(art, TrainingConfig(flip=False))
    assert not mirrors(scenes, TrainingConfig())
    assert not mirrors(SceneData(), TrainingConfig())
