"""The files of a base: their facts, their locations, and copies of them. Nothing here loads torch."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from math import ceil
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download, try_to_load_from_cache

from graphcond.bases.config import BaseFacts, BaseFields, FolderFields, predicted_by
from graphcond.config import shown
from graphcond.errors import InputError
from graphcond.io.files import read_json, read_text, write_json, writing
from graphcond.io.hub import why_not_loaded
from graphcond.progress import Progress

INDEX = "model_index.json"
"""The index file of a diffusers folder."""

LAYOUT = "give a model of this kind of base in diffusers' folder layout"

FAMILIES = {
    "StableDiffusionPipeline": "a Stable Diffusion 1.x or 2.x model",
    "StableDiffusionXLPipeline": "an SDXL model",
    "StableDiffusionXLImg2ImgPipeline": "an SDXL refiner",
    "FluxPipeline": "a FLUX.1 model",
    "Flux2Pipeline": "a FLUX.2 dev model",
    "Flux2KleinPipeline": "a FLUX.2 Klein model",
    "Flux2KleinKVPipeline": "a FLUX.2 Klein KV model, whose references attend to themselves alone",
}
"""Common names of the models of some diffusers pipelines."""

PURPOSES = {5: "depth maps", 7: "upscaling", 8: "edits by instruction (InstructPix2Pix)", 9: "inpainting"}
"""Purpose of a UNet by its number of input channels."""

WEIGHTLESS = ("Tokenizer", "TokenizerFast", "Processor", "SchedulerMixin")
"""Ends of the names of classes whose folders hold settings alone."""

_STEMS = {"diffusers": "diffusion_pytorch_model", "transformers": "model"}
_WEIGHTS = re.compile(r"(diffusion_pytorch_)?model(-\d+-of-\d+)?\.safetensors")
_ANY_VARIANT = re.compile(r"\w+?(\.(?P<before>\w+))?(-\d+-of-\d+(\.(?P<behind>\w+))?)?\.safetensors")


def check_folder(config: type[BaseFields], model: str, variant: str | None) -> None:
    """Check that the files of a base are there, as far as they are on this machine.

    Args:
        config: of the kind of base.
        model: a folder; of a hub id nothing is checked.
        variant: of the weight files.

    Raises:
        InputError: names the files that are there, and the setting to use.
    """
    folder = Path(model)
    pipeline = config.index.get("_class_name", "DiffusionPipeline")
    unpack = (
        f"unpack it once in Python: diffusers.{pipeline}"
        ".from_single_file(FILE).save_pretrained(FOLDER); then give that folder"
    )
    if folder.is_file():
        raise InputError("is a single file, expected a folder", place=folder, remedy=unpack)
    if not folder.is_dir():
        return
    cached = [folder] if (folder / "snapshots").is_dir() else sorted(folder.glob("models--*"))
    if snapshots := [str(snapshot) for one in cached if (snapshot := _snapshot(one)) is not None]:
        raise InputError(
            "is the root of a hub cache",
            place=folder,
            remedy=f"give a snapshot in it: {', '.join(snapshots)}",
        )
    if missing := [part for part in config.parts if not (folder / part).is_dir()]:
        index = read_config(model, INDEX) if (folder / INDEX).is_file() else None
        found = (index or {}).get("_class_name", pipeline)
        if found != pipeline:
            raise foreign(found, folder)
        files = sorted(file.name for file in folder.glob("*.safetensors"))
        problem = f"has no folder '{missing[0]}'"
        raise InputError(
            f"{problem}; it has the single file {files[0]}" if files else problem,
            place=folder,
            remedy=unpack if files else LAYOUT,
        )
    for part, (library, class_name) in config.parts.items():
        if library in _STEMS and not class_name.endswith(WEIGHTLESS):
            _check_weights(folder / part, _STEMS[library], variant)


@contextmanager
def explained(files: FolderFields) -> Iterator[None]:
    """Load a base from ``files`` in the block; if a part cannot be loaded, its files tell why.

    Raises:
        InputError: a part cannot be loaded, or the files are those of another kind of base.
    """
    try:
        yield
    except InputError as error:
        try:
            files.check()
            files.facts()
        except InputError as found:
            what = error.problem.partition(" (")[0]
            raise InputError(f"{what} ({found.problem})", place=error.place, remedy=found.remedy) from error
        raise
    files.facts()


def _check_weights(folder: Path, stem: str, variant: str | None) -> None:
    matches = (_ANY_VARIANT.fullmatch(file.name) for file in folder.glob(f"{stem}*.safetensors"))
    variants = {match["before"] or match["behind"] or "" for match in matches if match}
    if (variant or "") in variants:
        return
    names = sorted(file.name for file in folder.iterdir() if file.suffix != ".json")
    expected = ".".join(part for part in (stem, variant, "safetensors") if part)
    settings = [f"set base.variant to {one}" if one else "leave base.variant out" for one in sorted(variants)]
    raise InputError(
        f"expected {expected}, found {', '.join(names) or 'no weights'}",
        place=folder,
        remedy=" or ".join(settings) or "save the model again with its weights as safetensors",
    )


def _snapshot(cached: Path) -> Path | None:
    """The folder of a model in the hub's cache: that of the branch main, or the newest."""
    main = cached / "refs" / "main"
    if main.is_file() and (named := cached / "snapshots" / read_text(main).strip()).is_dir():
        return named
    found = sorted((cached / "snapshots").glob("*"), key=lambda snapshot: snapshot.stat().st_mtime)
    return found[-1] if found else None


def check_unet(
    config: type[BaseFields], unet: Mapping[str, Any], vae: Mapping[str, Any], *, place: object
) -> None:
    """Check that a UNet fits this kind of base.

    Args:
        config: of the kind of base.
        unet: config of the UNet.
        vae: config of the autoencoder.
        place: for the error.

    Raises:
        InputError: it is not; where another kind of base loads it, that kind is named.
    """
    pipeline = "StableDiffusionPipeline"
    if unet.get("addition_embed_type") == "text_time":
        pipeline = "StableDiffusionXLPipeline"
        # The refiner reads five numbers of size and score, and the tokens of the pooled text's encoder alone.
        numbers = 5 * unet["addition_time_embed_dim"]
        if unet["projection_class_embeddings_input_dim"] - numbers == unet["cross_attention_dim"]:
            pipeline = "StableDiffusionXLImg2ImgPipeline"
    if pipeline != config.index["_class_name"]:
        raise foreign(pipeline, place)
    channels, latents = unet["in_channels"], vae["latent_channels"]
    if channels != latents:
        raise InputError(
            f"expected a UNet that reads the {latents} channels of the latents, found one for "
            f"{PURPOSES.get(channels, 'another purpose')}, which reads {channels}",
            place=place,
            remedy="use the text-to-picture model that it was made from",
        )


def foreign(pipeline: str, place: object) -> InputError:
    """The error for a model of another kind than the base's, by the name of its pipeline in diffusers."""
    from graphcond.bases.config import BASES  # it loads plug-ins, whose modules may be importing this one

    kinds = [kind for kind, config in BASES.items() if config.index.get("_class_name") == pipeline]
    return InputError(
        f"is {FAMILIES.get(pipeline, f'a model for {pipeline}')}",
        place=place,
        remedy=f"set base.kind to {kinds[0]}" if kinds else f"use a model for one of {', '.join(BASES)}",
    )


def folder_facts(config: FolderFields) -> BaseFacts | None:
    """The facts of a base in a folder, or of a hub model that is downloaded; None for one that is not.

    Raises:
        InputError: the files are there, but are not those of such a base.
    """
    found = {}
    for part, (_, class_name) in config.parts.items():
        name = "scheduler_config" if part == "scheduler" else "config"
        if part == "scheduler" or not class_name.endswith(WEIGHTLESS):
            found[part] = read_config(config.model, f"{part}/{name}.json", revision=config.revision)
    known = {part: values for part, values in found.items() if values is not None}
    if len(known) < len(found):
        return None
    try:
        return config.facts_of(known)
    except InputError:
        raise
    except Exception as error:  # of whatever kind, where a file has other keys or values
        raise InputError(
            f"its config files do not give its sizes ({type(error).__name__}: {error})",
            place=config.model,
            remedy=LAYOUT,
        ) from None


def unet_facts(
    config: type[BaseFields],
    unet: Mapping[str, Any],
    vae: Mapping[str, Any],
    scheduler: Mapping[str, Any],
    *,
    token_count: int,
    pooled: int | None,
    place: object,
) -> BaseFacts:
    """The facts that the configs of the parts of Stable Diffusion or SDXL give.

    Args:
        config: of the kind of base.
        unet: config of the denoiser.
        vae: config of the autoencoder.
        scheduler: config of the noise solver, with its ``_class_name``.
        token_count: tokens in an encoded prompt.
        pooled: width of the pooled text that SDXL reads.
        place: for the error.

    Raises:
        InputError: they are configs of another kind of base.
    """
    check_unet(config, unet, vae, place=place)
    pixels = 2 ** (len(vae["block_out_channels"]) - 1)
    return BaseFacts(
        token_width=int(unet["cross_attention_dim"]),
        token_count=token_count,
        latent_channels=int(unet["in_channels"]),
        pixels_per_latent=pixels,
        default_size=int(unet["sample_size"]) * pixels,
        multiple=2 ** (len(unet["block_out_channels"]) - 1) * pixels,
        predicts=predicted_by(str(scheduler.get("_class_name")), scheduler),
        extras={} if pooled is None else {"pooled": (pooled,)},
    )


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
    values = read_json(Path(found))
    if not isinstance(values, dict):
        raise InputError(
            f"expected an object with keys and values, got {shown(values)}",
            place=found,
            remedy="replace the file",
        )
    return values


def local_folder(model: str, *, revision: str | None = None) -> Path:
    """The folder of a model on this machine; that of a hub model if it was loaded before.

    Raises:
        InputError: a hub model that was never downloaded.
    """
    if Path(model).is_dir():
        return Path(model)
    try:
        return Path(snapshot_download(model, revision=revision, local_files_only=True))
    except (OSError, ValueError) as error:  # those of the hub derive from these
        reason, remedy = why_not_loaded(error, model, in_folder=LAYOUT)
        raise InputError(reason, place=f"base '{model}'", remedy=remedy) from None


def model_files(folder: Path, parts: tuple[str, ...] = (".",)) -> list[Path]:
    """The settings, vocabularies, chat templates and safetensors weights in ``parts`` of a folder."""
    found = [file for part in parts for file in sorted((folder / part).iterdir()) if file.is_file()]
    return [
        file.relative_to(folder)
        for file in found
        if file.suffix in (".json", ".txt", ".jinja") or _WEIGHTS.fullmatch(file.name)
    ]


def base_files(config: type[BaseFields], folder: Path) -> list[Path]:
    """The files that make a folder a base of this config, relative to it."""
    return model_files(folder, tuple(config.parts))


def write_index(config: type[BaseFields], folder: Path, source: Path) -> None:
    """Write what diffusers reads first, so that the pipeline of this kind of base opens ``folder``.

    Args:
        config: of the kind of base.
        folder: of its files.
        source: where they were copied from; the settings in its index stay.
    """
    given = (read_config(str(source), INDEX) or {}) if (source / INDEX).is_file() else {}
    own = {name: given[name] for name in config.index_settings & given.keys()}
    scheduler = read_config(str(folder), "scheduler/scheduler_config.json") or {}
    parts = {name: list(what) for name, what in config.parts.items()}
    parts["scheduler"] = ["diffusers", scheduler["_class_name"]]
    index = {"_diffusers_version": version("diffusers"), **config.index, **own, **parts}
    write_json(folder / INDEX, index)


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
