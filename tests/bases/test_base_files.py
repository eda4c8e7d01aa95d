"""Which files make a base, where they lie, and a copy that diffusers opens."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from diffusers import PNDMScheduler, StableDiffusionPipeline

from graphcond.bases import StableDiffusionConfig, TinyConfig
from graphcond.bases.base_files import base_files, copy_files, model_files, write_index
from graphcond.bases.config import TINY_FOLDER
from graphcond.errors import InputError, StorageError

READ = ["config.json", "merges.txt", "model.safetensors", "model-00001-of-00002.safetensors"]
LEFT = [
    "model.fp16.safetensors",
    "model.bin",
    "model.ckpt",
    "pytorch_model.bin",
    "notes.md",
    "lora.safetensors",
]


@pytest.fixture
def crowded(sd_folder: Path, tmp_path: Path) -> Path:
    """A base with more in it than is read."""
    folder = Path(shutil.copytree(sd_folder, tmp_path / "base"))
    for name in LEFT:
        (folder / "unet" / name).touch()
    (folder / "safety_checker").mkdir()
    (folder / "safety_checker" / "model.safetensors").touch()
    (folder / "v1-5.safetensors").touch()
    (folder / "unet" / "old").mkdir()
    return folder


def test_only_what_is_read_belongs_to_a_model(tmp_path: Path) -> None:
    for name in [*READ, *LEFT]:
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    assert model_files(tmp_path) == [Path(name) for name in sorted(READ)]


def test_only_the_parts_belong_to_a_base(crowded: Path) -> None:
    assert {str(file) for file in base_files(StableDiffusionConfig, crowded)} >= {
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
        "tokenizer/vocab.json",
        "scheduler/scheduler_config.json",
    }
    assert {file.parts[0] for file in base_files(StableDiffusionConfig, crowded)} == {
        "unet",
        "vae",
        "text_encoder",
        "tokenizer",
        "scheduler",
    }
    assert not {file.name for file in base_files(StableDiffusionConfig, crowded)} & set(LEFT)


def test_a_copy_opens_in_diffusers_and_here(crowded: Path, tmp_path: Path) -> None:
    PNDMScheduler.from_pretrained(crowded, subfolder="scheduler").save_pretrained(crowded / "scheduler")
    steps: list[tuple[int, int]] = []
    copy = tmp_path / "copy"
    copy_files(
        crowded,
        base_files(StableDiffusionConfig, crowded),
        copy,
        lambda done, total: steps.append((done, total)),
    )
    write_index(StableDiffusionConfig, copy, crowded)
    assert {path.relative_to(copy) for path in copy.rglob("*") if path.is_file()} == {
        *base_files(StableDiffusionConfig, crowded),
        Path("model_index.json"),
    }
    assert len(steps) == len(base_files(StableDiffusionConfig, crowded))
    assert steps == sorted(steps)
    assert steps[-1] == (2, 2)
    pipe = StableDiffusionPipeline.from_pretrained(copy)
    assert isinstance(pipe.scheduler, PNDMScheduler)
    assert (pipe.safety_checker, pipe.config.requires_safety_checker) == (None, False)
    StableDiffusionConfig(model=str(copy)).build(device="cpu")


def test_links_are_copied_as_what_they_show(crowded: Path, tmp_path: Path) -> None:
    file = Path("unet", "diffusion_pytorch_model.safetensors")
    blob = tmp_path / "blob"
    (crowded / file).rename(blob)
    (crowded / file).symlink_to(blob)
    assert file in base_files(StableDiffusionConfig, crowded)
    copy_files(crowded, [file], tmp_path / "copy")
    assert not (tmp_path / "copy" / file).is_symlink()
    assert (tmp_path / "copy" / file).read_bytes() == blob.read_bytes()


def test_a_place_that_refuses_is_named(crowded: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        copy_files(crowded, base_files(StableDiffusionConfig, crowded), tmp_path / "file")


def test_where_a_base_lies(sd_folder: Path) -> None:
    assert StableDiffusionConfig(model=str(sd_folder)).folder() == sd_folder
    assert TinyConfig().folder() == TINY_FOLDER


def test_a_hub_models_folder_is_that_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def snapshot(name: str, **options: object) -> str:
        asked.update(options, name=name)
        return str(tmp_path)

    monkeypatch.setattr("graphcond.bases.base_files.snapshot_download", snapshot)
    assert StableDiffusionConfig(model="some/model", revision="v2").folder() == tmp_path
    assert asked == {"name": "some/model", "revision": "v2", "local_files_only": True}


def test_a_hub_model_that_was_never_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    names = {"nobody/nothing": "it is not on this machine", "no such/name at all": "there is no such folder"}
    for name, problem in names.items():
        with pytest.raises(InputError, match=f"base '{name}': {problem}"):
            StableDiffusionConfig(model=name).folder()
