"""The files of a base: what they say, where they lie, and a copy of them. Nothing here loads torch."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from importlib.metadata import version
from math import ceil
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from graphcond.bases.config import BaseFacts, BaseFields, predicted_by
from graphcond.errors import InputError
from graphcond.io.files import write_json, writing
from graphcond.progress import Progress

INDEX = "model_index.json"
"""What diffusers reads first."""

LAYOUT = "give a Stable Diffusion model in diffusers' folder layout"

_WEIGHTS = re.compile(r"(diffusion_pytorch_)?model(-\d+-of-\d+)?\.safetensors")


def stable_diffusion_facts(model: str, *, revision: str | None = None) -> BaseFacts | None:
    """The facts of a Stable Diffusion folder, or of a hub model that is downloaded; None otherwise.

    Raises:
        InputError: a folder that is there, but is no Stable Diffusion model.
    """
    names = ("unet/config.json", "text_encoder/config.json", "scheduler/scheduler_config.json")
    unet, text, scheduler = (read_config(model, name, revision=revision) for name in names)
    vae = read_config(model, "vae/config.json", revision=revision)
    if unet is None or text is None or scheduler is None or vae is None:
        return None
    try:
        pixels = 2 ** (len(vae["block_out_channels"]) - 1)
        return BaseFacts(
            token_width=int(unet["cross_attention_dim"]),
            token_count=int(text["max_position_embeddings"]),
            latent_channels=int(unet["in_channels"]),
            pixels_per_latent=pixels,
            default_size=int(unet["sample_size"]) * pixels,
            multiple=2 ** (len(unet["block_out_channels"]) - 1) * pixels,
            predicts=predicted_by(str(scheduler.get("_class_name")), scheduler),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"its config files do not give its sizes ({type(error).__name__}: {error})",
            place=model,
            remedy=LAYOUT,
        ) from None


def sdxl_facts(model: str, *, revision: str | None = None) -> BaseFacts | None:
    """The facts of an SDXL folder, or of a hub model that is downloaded; None otherwise.

    Raises:
        InputError: a folder that is there, but is not an SDXL base model.
    """
    facts = stable_diffusion_facts(model, revision=revision)
    second = read_config(model, "text_encoder_2/config.json", revision=revision)
    if facts is None or second is None:
        return None
    return replace(facts, extras={"pooled": (int(second["projection_dim"]),)})


def read_config(model: str, name: str, *, revision: str | None = None) -> dict[str, Any] | None:
    """A JSON file of a folder, or of a hub model that is downloaded; None where it is not downloaded.

    Raises:
        InputError: a folder has no such file, or it cannot be read.
    """
    folder = Path(model)
    if folder.is_dir():
        found: object = folder / name
        if not (folder / name).is_file():
            raise InputError(f"has no {name}", place=model, remedy=LAYOUT)
    else:
        hub_id = model.count("/") == 1 and not model.startswith((".", "/", "~"))
        found = try_to_load_from_cache(model, name, revision=revision) if hub_id else None
    if not isinstance(found, str | Path):
        return None
    try:
        return json.loads(Path(found).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", place=found, remedy="replace the file") from None


def local_folder(model: str, *, revision: str | None = None) -> Path:
    """The folder of a model on this machine; that of a hub model if it was loaded before.

    Raises:
        InputError: a hub model that was never downloaded.
    """
    if Path(model).is_dir():
        return Path(model)
    try:
        return Path(snapshot_download(model, revision=revision, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError, OSError, ValueError):
        raise InputError(
            "is not on this machine", place=f"base '{model}'", remedy="load it once while online"
        ) from None


def model_files(folder: Path, parts: tuple[str, ...] = (".",)) -> list[Path]:
    """The settings, vocabularies and safetensors weights in ``parts`` of a folder, relative to it."""
    found = [file for part in parts for file in sorted((folder / part).iterdir()) if file.is_file()]
    return [file.relative_to(folder) for file in found if _is_read(file)]


def base_files(config: type[BaseFields], folder: Path) -> list[Path]:
    """The files that make a folder a base of this config, relative to it."""
    return model_files(folder, tuple(config.parts))


def write_index(config: type[BaseFields], folder: Path) -> None:
    """Write what diffusers reads first, so that the pipeline of this kind of base opens ``folder``."""
    scheduler = read_config(str(folder), "scheduler/scheduler_config.json") or {}
    parts = {name: list(what) for name, what in config.parts.items()}
    parts["scheduler"] = ["diffusers", scheduler["_class_name"]]
    write_json(folder / INDEX, {"_diffusers_version": version("diffusers"), **config.index, **parts})


def copy_files(source: Path, files: list[Path], out: Path, progress: Progress | None = None) -> None:
    """Copy ``files`` of ``source`` to the same places of ``out``; ``progress`` gets the megabytes done.

    Raises:
        StorageError: the place refuses, or its disk is full.
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
