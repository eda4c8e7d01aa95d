from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graphcond.errors import InputError
from graphcond.scene_graph import SceneGraph, SceneSet
from graphcond.scenes import load_scene_set, open_scene_folder, save_scene_world
from graphcond.worlds.scenes import SceneWorld
from tests.scenes.scenes import rich_scene, write


class Two:
    """A world of two scenes, one without masks and without a picture."""

    def scenes(self) -> SceneSet:
        return SceneSet(
            graphs=[SceneGraph(("sky",)), rich_scene()],
            ids=["a", "b"],
            texts=["an image", ""],
            pictures=[None, "pictures/b.png"],
            captions=["", "a sheep"],
            splits=["train", "test"],
        )

    def draw(self, index: int, /) -> Image.Image:
        return Image.new("RGB", (8, 8), (index, 0, 0))


def assert_same(left: SceneSet, right: SceneSet) -> None:
    for name in ("graphs", "ids", "texts", "pictures", "captions", "splits"):
        assert list(getattr(left, name)) == list(getattr(right, name)), name
    for ours, theirs in zip(left.graphs, right.graphs, strict=True):
        assert (ours.masks is None) == (theirs.masks is None)
        assert ours.masks is None or np.array_equal(ours.masks, theirs.masks)  # type: ignore[arg-type]


def test_what_is_saved_is_opened_again(tmp_path: Path) -> None:
    counts: list[tuple[int, int]] = []
    saved = save_scene_world(Two(), tmp_path / "w", lambda done, total: counts.append((done, total)))
    assert_same(saved, Two().scenes())
    assert_same(open_scene_folder(tmp_path / "w"), saved)
    assert_same(load_scene_set(tmp_path / "w"), saved)
    assert counts == [(0, 2), (1, 2), (2, 2)]
    path = saved.picture_path(1)
    assert path is not None
    with Image.open(path) as picture:
        assert picture.getpixel((0, 0)) == (1, 0, 0)


def test_the_scene_world_survives(tmp_path: Path) -> None:
    world = SceneWorld(count=5, resolution=16)
    assert_same(save_scene_world(world, tmp_path / "w"), world.scenes())


def test_a_scene_folder_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    save_scene_world(Two(), tmp_path / "w")
    save_scene_world(SceneWorld(count=3, resolution=16), tmp_path / "w")
    assert len(open_scene_folder(tmp_path / "w")) == 3
    write(tmp_path / "other/thesis.txt", "years of work")
    with pytest.raises(InputError, match="holds something else"):
        save_scene_world(Two(), tmp_path / "other")
    with pytest.raises(InputError, match="there is a file, which would be lost"):
        save_scene_world(Two(), tmp_path / "other/thesis.txt")


def test_a_world_that_fails_leaves_the_folder_before(tmp_path: Path) -> None:
    class Failing(Two):
        def draw(self, index: int, /) -> Image.Image:
            raise RuntimeError("out of ink")

    save_scene_world(Two(), tmp_path / "w")
    with pytest.raises(RuntimeError, match="out of ink"):
        save_scene_world(Failing(), tmp_path / "w")
    assert len(open_scene_folder(tmp_path / "w")) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["w"]


def test_a_folder_that_was_changed(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    save_scene_world(Two(), folder)
    manifest = json.loads((folder / "scenes.json").read_text())
    with pytest.raises(InputError, match=r"it has no scenes\.json"):
        open_scene_folder(tmp_path)
    write(folder / "scenes.json", {**manifest, "version": 2})
    with pytest.raises(InputError, match="of version 2, and this graphcond reads version 1"):
        open_scene_folder(folder)
    write(folder / "scenes.json", {**manifest, "scenes": 3})
    with pytest.raises(InputError, match=r"the files and scenes\.json disagree"):
        open_scene_folder(folder)
    write(folder / "scenes.json", {**manifest, "scenes": "many"})
    with pytest.raises(InputError, match=r"scenes\.json: scenes: expected a valid integer"):
        open_scene_folder(folder)
    write(folder / "scenes.json", manifest)
    whole = (folder / "masks.npz").read_bytes()
    (folder / "masks.npz").write_bytes(whole[:-5])
    with pytest.raises(InputError, match=r"masks\.npz: the file was cut short or changed"):
        open_scene_folder(folder)
    (folder / "masks.npz").unlink()
    with pytest.raises(InputError, match=r"masks\.npz: the file is missing"):
        open_scene_folder(folder)
