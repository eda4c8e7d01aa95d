"""The files of a base: which there are, where they lie, and a copy of them."""

from __future__ import annotations

import re
import shutil
from importlib.metadata import version
from math import ceil
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from graphcond.bases.config import TINY_FOLDER, StableDiffusionConfig, TinyConfig
from graphcond.bases.loading import load_scheduler
from graphcond.errors import InputError
from graphcond.io.files import write_json, writing
from graphcond.progress import Progress

BASE_PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
"""The folders of a Stable Diffusion model in diffusers' layout that a base is made of."""

INDEX = "model_index.json"
"""What diffusers reads first."""

_WEIGHTS = re.compile(r"(diffusion_pytorch_)?model(-\d+-of-\d+)?\.safetensors")


def base_folder(config: StableDiffusionConfig | TinyConfig) -> Path:
    """Where the files of a base lie on this machine; those of a hub model that is loaded already.

    Raises:
        InputError: a hub model that was never downloaded.
    """
    if isinstance(config, TinyConfig):
        return TINY_FOLDER
    if Path(config.model).is_dir():
        return Path(config.model)
    try:
        return Path(snapshot_download(config.model, revision=config.revision, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError, OSError, ValueError):
        raise InputError(
            "is not on this machine", place=f"base '{config.model}'", remedy="load it once while online"
        ) from None


def model_files(folder: Path, parts: tuple[str, ...] = (".",)) -> list[Path]:
    """The settings, vocabularies and safetensors weights in ``parts`` of a folder, relative to it."""
    found = [file for part in parts for file in sorted((folder / part).iterdir()) if file.is_file()]
    return [file.relative_to(folder) for file in found if _is_read(file)]


def base_files(folder: Path) -> list[Path]:
    """The files that make a folder a base, relative to it."""
    return model_files(folder, BASE_PARTS)


def write_index(folder: Path) -> None:
    """Write what diffusers reads first, so that a ``StableDiffusionPipeline`` opens ``folder``."""
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": version("diffusers"),
        "vae": ["diffusers", "AutoencoderKL"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", type(load_scheduler(str(folder))).__name__],
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
    }
    write_json(folder / INDEX, index)


def copy_files(source: Path, files: list[Path], out: Path, progress: Progress | None = None) -> None:
    """Copy ``files`` of ``source`` to the same places of ``out``; ``progress`` gets the megabytes done.

    Raises:
        WriteError: the place refuses, or its disk is full.
    """
    sizes = [(source / file).stat().st_size / 1e6 for file in files]
    with writing(out):
        for number, file in enumerate(files):
            (out / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / file, out / file)
            if progress is not None:
                progress(ceil(sum(sizes[: number + 1])), ceil(sum(sizes)))


def _is_read(file: Path) -> bool:
    if file.suffix == ".safetensors":
        return _WEIGHTS.fullmatch(file.name) is not None
    return file.suffix in (".json", ".txt")
