"""Parts that travel inside a saved model: named, copied, found again, wherever the model goes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diffusers import StableDiffusionPipeline

from graphcond.bases import BASES
from graphcond.errors import InputError, StorageError
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from graphcond.saving.bundled import check_apart, copy_parts, files_of, found_in, named_in
from graphcond.saving.instructg2i import read_release
from tests.builders import small_model
from tests.release_folder import write_release_folder
from tests.saving.releases import draw


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release_folder(tmp_path_factory.mktemp("releases") / "release")


@pytest.fixture(scope="module")
def picture(release: Path) -> np.ndarray:
    """What the release draws."""
    return draw(GraphPipeline.from_pretrained(release))


@pytest.fixture
def model(release: Path, tmp_path: Path) -> Path:
    GraphModel.from_pretrained(release).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def same(folder: Path, picture: np.ndarray) -> bool:
    """Whether the model in ``folder`` draws ``picture``."""
    return np.array_equal(draw(GraphPipeline.from_pretrained(folder)), picture)


def recipe(folder: Path, *, base: Any = "./base", features: Any = "./image_encoder") -> dict[str, Any]:
    """The sections of a saved recipe that name folders, and whether they were found as parts."""
    for part in ("base", "image_encoder"):
        (folder / part).mkdir(exist_ok=True)
    return {"base": {"model": base}, "features": {"model": features}, "name": "x"}


def test_a_recipe_names_parts_by_their_folder_and_finds_them_again(tmp_path: Path) -> None:
    saved = recipe(tmp_path)
    found, parts = found_in(tmp_path, saved)
    assert parts == {"base": tmp_path / "base", "image_encoder": tmp_path / "image_encoder"}
    assert found["base"]["model"] == str(tmp_path / "base")
    assert named_in(found, parts) == saved == recipe(tmp_path)
    assert named_in(found, {}) == found


@pytest.mark.parametrize(
    "base",
    [
        "./base/",
        "base",
        "./../base",
        "./base/..",
        "/base",
        "./image_encoder",
        "some/base",
        None,
        3,
        ["./base"],
    ],
)
def test_only_the_very_folder_inside_is_a_part(tmp_path: Path, base: Any) -> None:
    saved = recipe(tmp_path, base=base)
    found, parts = found_in(tmp_path, saved)
    assert found["base"] == {"model": base}
    assert set(parts) == {"image_encoder"}


@pytest.mark.parametrize("saved", [None, [], "x", {}, {"base": None, "features": []}, {"base": {}}])
def test_recipes_without_such_sections_stay_as_they_are(tmp_path: Path, saved: Any) -> None:
    assert found_in(tmp_path, saved) == (saved, {})


@pytest.mark.parametrize("part", ["base", "image_encoder"])
def test_a_part_that_is_not_there_is_named(model: Path, part: str) -> None:
    shutil.rmtree(model / part)
    with pytest.raises(InputError, match=f"{model / part}: no such folder. Copy the model again"):
        GraphModel.from_pretrained(model)


def test_what_a_saved_model_holds(model: Path) -> None:
    assert {path.name for path in model.iterdir()} == {
        "README.md",
        "graphcond.json",
        "card.json",
        "model_index.json",
        "graphcond_pipeline.py",
        "conditions",
        "base",
        "image_encoder",
    }
    saved = json.loads((model / "graphcond.json").read_text())["recipe"]
    assert (saved["base"]["model"], saved["features"]["model"]) == ("./base", "./image_encoder")
    assert str(model.parent) not in (model / "graphcond.json").read_text() + (model / "README.md").read_text()
    assert not [
        path for path in model.rglob("*") if path.suffix in {".pt", ".bin", ".pkl"} or path.is_symlink()
    ]
    assert "a base of its own, which is in `base/`" in (model / "README.md").read_text()


def test_everybody_may_read_a_saved_model(model: Path) -> None:
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in model.rglob("*") if path.is_file())


def test_other_models_say_that_their_base_is_elsewhere(sd_folder: Path, tmp_path: Path) -> None:
    small_model(sd_folder).save_pretrained(tmp_path / "model")
    assert f"`{sd_folder}`, whose weights are not in here" in (tmp_path / "model" / "README.md").read_text()
    assert not (tmp_path / "model" / "base").exists()


def test_a_model_travels_without_the_folders_it_came_from(
    release: Path, picture: np.ndarray, tmp_path: Path
) -> None:
    first = Path(shutil.copytree(release, tmp_path / "first"))
    for name in ("second", "third"):
        GraphModel.from_pretrained(first).save_pretrained(tmp_path / name)
        shutil.rmtree(first)
        first = tmp_path / name
        assert same(first, picture)
    assert same(first.rename(tmp_path / "moved elsewhere"), picture)


def test_a_model_may_be_saved_onto_itself(model: Path, picture: np.ndarray) -> None:
    loaded = GraphModel.from_pretrained(model)
    for _ in range(2):
        loaded.save_pretrained(model)
    assert same(model, picture)
    assert [path.name for path in model.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("inside", ["", "sub", "unet/sub"])
def test_a_release_is_not_overwritten(release: Path, tmp_path: Path, inside: str) -> None:
    folder = Path(shutil.copytree(release, tmp_path / "release"))
    before = sorted(folder.rglob("*"))
    with pytest.raises(InputError, match="the model's own base lies in this folder"):
        GraphModel.from_pretrained(folder).save_pretrained(folder / inside)
    assert sorted(folder.rglob("*")) == before


def test_only_places_within_a_part_are_too_near(tmp_path: Path) -> None:
    parts = {"base": tmp_path / "model" / "base"}
    for apart in (tmp_path, tmp_path / "model", tmp_path / "model" / "base2"):
        check_apart(parts, apart)
    (tmp_path / "link").symlink_to(tmp_path / "model")
    for within in (
        parts["base"],
        parts["base"] / "unet",
        tmp_path / "link" / "base",
        tmp_path / "model/x/../base",
    ):
        with pytest.raises(InputError, match="own base"):
            check_apart(parts, within)


def test_a_part_that_is_gone_leaves_nothing_behind(model: Path, tmp_path: Path) -> None:
    loaded = GraphModel.from_pretrained(model)
    shutil.rmtree(model)
    with pytest.raises(InputError, match=f"{model / 'base'}: no such folder"):
        loaded.save_pretrained(tmp_path / "other")
    assert not list(tmp_path.iterdir())


def test_linked_folders_and_files_are_saved_as_copies(
    model: Path, picture: np.ndarray, tmp_path: Path
) -> None:
    """As the hub's cache holds them."""
    shutil.move(model / "base", tmp_path / "elsewhere")
    (model / "base").symlink_to(tmp_path / "elsewhere")
    weights = model / "image_encoder" / "model.safetensors"
    weights.rename(tmp_path / "blob")
    weights.symlink_to(tmp_path / "blob")
    GraphModel.from_pretrained(model).save_pretrained(tmp_path / "copy")
    for gone in (model, tmp_path / "elsewhere"):
        shutil.rmtree(gone)
    (tmp_path / "blob").unlink()
    assert same(tmp_path / "copy", picture)
    assert not [path for path in (tmp_path / "copy").rglob("*") if path.is_symlink()]


def test_a_model_is_found_again_from_another_folder(
    model: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    pipe = GraphPipeline.from_pretrained("model")
    monkeypatch.chdir("/")
    assert np.array_equal(draw(pipe), picture)


def test_diffusers_opens_the_base(model: Path) -> None:
    assert StableDiffusionPipeline.from_pretrained(model / "base").safety_checker is None


def test_the_folder_may_itself_be_a_link(model: Path, picture: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(model)
    assert same(tmp_path / "link", picture)


def test_megabytes_are_counted(release: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    parts, kind = read_release(release).parts, BASES["stable_diffusion"]
    copy_parts(parts, kind, tmp_path / "copy", lambda done, total: seen.append(("", done, total)))
    assert len(seen) == sum(len(files_of(part, path, kind)) for part, path in parts.items())
    assert all(0 < done <= total for _, done, total in seen)


def test_a_full_disk_keeps_the_old_model(
    model: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    loaded = GraphModel.from_pretrained(model)
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(StorageError, match="No space left"):
        loaded.save_pretrained(model)
    assert same(model, picture)
    assert [path.name for path in model.parent.iterdir()] == ["model"]


def test_other_folders_are_saved_by_their_full_path(
    sd_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sd_folder.parent)
    small_model(Path(sd_folder.name)).save_pretrained(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    assert GraphModel.from_pretrained("model").recipe.base.model == str(sd_folder.resolve())
