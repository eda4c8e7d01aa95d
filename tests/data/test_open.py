from __future__ import annotations

import json
from pathlib import Path

import pytest

from graphcond.attributed_graph import AttributedGraph
from graphcond.data import open as data_module
from graphcond.data.dataset import SceneDataset
from graphcond.data.open import open_data
from graphcond.errors import InputError, Notice
from graphcond.graphs import save_graph
from graphcond.io.files import default_cache_folder
from graphcond.recipe.sections import MmagData, SceneData, TrainingConfig, WorldData, mirrors
from graphcond.scene_graph import SceneGraph, SceneSet
from tests.training.toys import write_graph


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> AttributedGraph:
    return write_graph(tmp_path_factory.mktemp("graph"))


def test_a_path_is_opened(graph: AttributedGraph, tmp_path: Path) -> None:
    save_graph(graph, tmp_path / "saved")
    opened = open_data(MmagData(path=tmp_path / "saved"))
    assert list(opened.ids) == list(graph.nodes.ids)


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
    assert calls == [(done, 24) for done in range(25)]
    open_data(WorldData(paintings_per_artist=2, resolution=16, seed=1))
    assert len(list((default_cache_folder() / "worlds").iterdir())) == 2
    monkeypatch.setattr(data_module, "source_version", lambda package: "other code")
    open_data(config)
    assert len(list((default_cache_folder() / "worlds").iterdir())) == 3


@pytest.mark.parametrize("kind", ["art", "scenes"])
def test_a_damaged_world_is_drawn_again(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path))
    config = scene_world() if kind == "scenes" else WorldData(paintings_per_artist=2, resolution=16)
    whole = open_data(config)
    (manifest,) = (default_cache_folder() / "worlds").glob("*/*.json")
    manifest.write_text("{")
    with pytest.warns(Notice, match="damaged"):
        again = open_data(config)
    assert list(again.ids) == list(whole.ids)
    assert again.picture_path(0) == whole.picture_path(0)


def test_splits_do_not_change_which_world_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path))
    for splits in (("train",), ("train", "unseen")):
        open_data(WorldData(paintings_per_artist=2, resolution=16, train_splits=splits))
    assert len(list((default_cache_folder() / "worlds").iterdir())) == 1


def test_a_world_that_cannot_be() -> None:
    with pytest.raises(InputError, match="data: noise must be a share"):
        open_data(WorldData(noise=1.0))


def scene_world(**settings: object) -> WorldData:
    return WorldData.model_validate(
        {"world": "scenes", "scenes": 6, "validation_scenes": 0, "resolution": 32, **settings}
    )


def test_the_scene_world_is_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path))
    calls: list[int] = []
    for _ in range(2):
        scenes = open_data(scene_world(), progress=lambda done, total: calls.append(done))
        assert len(scenes) == 6
        assert scenes.picture_path(5).is_file()  # type: ignore[union-attr]
    assert calls == [0, 1, 2, 3, 4, 5, 6]
    assert set(scenes.texts) == {"an image"}
    open_data(scene_world(seed=1))
    open_data(scene_world(noise=0.1))
    assert len(list((tmp_path / "worlds").iterdir())) == 2, "the art world has its own settings"
    with pytest.raises(InputError, match="expected a graph, got scene graphs"):
        _ = open_data(scene_world()).graph


def test_prompts_of_scenes(tmp_path: Path) -> None:
    file = tmp_path / "scenes.jsonl"
    lines = [{"objects": ["cat"], "caption": "a cat"}, {"objects": ["dog"], "prompt": "a photo"}]
    file.write_text("\n".join(map(json.dumps, lines)))
    fixed = open_data(SceneData(path=file, prompt="a drawing"))
    assert list(fixed.texts) == ["a drawing", "a photo"]
    captions = open_data(SceneData(path=file, prompt_from="caption", prompt="a drawing"))
    assert list(captions.texts) == ["a cat", "a drawing"]
    file.write_text(json.dumps(lines[1]))
    with pytest.raises(InputError, match=r"data\.prompt_from: the scenes have no captions"):
        open_data(SceneData(path=file, prompt_from="caption"))


def test_scenes_need_a_path_and_a_picture() -> None:
    with pytest.raises(InputError, match=r"Say where the scene graphs lie: --set data\.path="):
        open_data(SceneData())
    scenes = SceneSet([SceneGraph(("cat",))], ["one"], ["an image"], [None])
    with pytest.raises(InputError, match="no training target has a picture"):
        SceneDataset(scenes).targets(SceneData())


def test_mirrors() -> None:
    art, scenes = WorldData(), scene_world()
    assert mirrors(art, TrainingConfig())
    assert not mirrors(art, TrainingConfig(flip=False))
    assert not mirrors(scenes, TrainingConfig())
    assert not mirrors(SceneData(), TrainingConfig())
