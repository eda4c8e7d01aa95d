"""The folder of a saved model: its manifest, and hub ids in place of it."""

from __future__ import annotations

import json
import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from graphcond.errors import InputError
from graphcond.model import GraphModel
from graphcond.saving.model_folder import MANIFEST, local_folder, read_manifest, saved_recipe
from tests.builders import FEATURE_WIDTH, small_model
from tests.release_folder import write_release_folder


@pytest.fixture(scope="module")
def saved(sd_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    small_model(sd_folder).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release_folder(tmp_path_factory.mktemp("releases") / "release")


def rewritten(saved: Path, folder: Path, **changes: Any) -> Path:
    """A copy of a model whose manifest says something else."""
    copy = Path(shutil.copytree(saved, folder / "copy"))
    manifest = json.loads((copy / MANIFEST).read_text())
    (copy / MANIFEST).write_text(json.dumps(manifest | changes))
    return copy


def test_the_manifest_of_a_model(saved: Path, sd_folder: Path) -> None:
    manifest = read_manifest(saved)
    assert manifest.recipe == small_model(sd_folder).recipe
    assert (manifest.feature_width, manifest.parts) == (FEATURE_WIDTH, {})


@pytest.mark.filterwarnings("error")
def test_a_model_saved_with_the_old_name_of_without_graph(saved: Path, tmp_path: Path) -> None:
    recipe = json.loads((saved / MANIFEST).read_text())["recipe"]
    del recipe["conditions"][0]["without_graph"]
    recipe["conditions"][0]["null"] = "zeros"
    (condition,) = read_manifest(rewritten(saved, tmp_path, recipe=recipe)).recipe.conditions
    assert condition.without_graph == "zeros"


def test_the_recipe_of_a_model_and_of_a_release_without_loading_either(
    saved: Path, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GraphModel, "build", lambda *args, **options: pytest.fail("a base was loaded"))
    assert saved_recipe(saved).name == "small"
    assert saved_recipe(release).name == "instructg2i_release"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 3}, "is of format 3, this version reads 1 and 2"),
        ({"format": None}, "is of format None"),
        ({"feature_width": 0}, "names no feature_width"),
        ({"feature_width": "24"}, "names no feature_width"),
        ({"recipe": None}, MANIFEST),
        ({"recipe": []}, MANIFEST),
        ({"recipe": {"base": "./base"}}, MANIFEST),
        ({"recipe": {"base": {"kind": "stable_diffusion", "model": "./base"}}}, "base: no such folder"),
    ],
)
def test_manifests_that_do_not_do(saved: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        saved_recipe(rewritten(saved, tmp_path, **changes))
    assert message in str(caught.value)


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"has no {MANIFEST}"):
        saved_recipe(tmp_path)


def test_a_hub_id_is_downloaded(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def snapshot(name: str, **options: Any) -> str:
        asked.update(options, name=name)
        return str(release)

    monkeypatch.setattr("graphcond.saving.model_folder.snapshot_download", snapshot)
    assert saved_recipe("some/release").name == "instructg2i_release"
    assert asked["name"] == "some/release"


def test_all_that_is_read_is_downloaded_and_nothing_pickled_but_the_two_files(
    release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(
        "graphcond.saving.model_folder.snapshot_download",
        lambda name, **options: asked.update(options) or str(release),
    )
    local_folder("some/release")
    fetched = {name for name in wanted(release) if any(fnmatch(name, one) for one in asked["allow_patterns"])}
    assert fetched == wanted(release)
    for name in ("unet/diffusion_pytorch_model.bin", "optimizer.pt", "image_encoder/pytorch_model.bin"):
        assert not any(fnmatch(name, one) for one in asked["allow_patterns"])


def wanted(folder: Path) -> set[str]:
    """The files of a folder, relative to it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "error", [LocalEntryNotFoundError("offline"), OSError("no network"), ValueError("odd")]
)
def test_what_the_hub_does_not_give(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **options: Any) -> str:
        raise error

    monkeypatch.setattr("graphcond.saving.model_folder.snapshot_download", refuse)
    with pytest.raises(InputError, match=r"some/model: no such model.*hub id while online"):
        local_folder("some/model")


def test_a_file_is_no_model(release: Path) -> None:
    with pytest.raises(InputError, match="no such model"):
        local_folder(release / "model_index.json")
