"""What a recipe may say of a base, and what a base's files say of it. Nothing here imports torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from huggingface_hub import try_to_load_from_cache

from graphcond.config import ComponentConfig, by_kind, tagged_union
from graphcond.errors import InputError

if TYPE_CHECKING:
    import torch

    from graphcond.bases.stable_diffusion import StableDiffusionBase

DType = Literal["fp32", "fp16", "bf16"]
AttentionChoice = Literal["auto", "sdpa", "xformers"]

TINY_FOLDER = Path(str(files("graphcond.bases"))) / "tiny"
"""The base inside the package."""


@dataclass(frozen=True)
class BaseFacts:
    """What a base's config files say about it, read without loading any weight."""

    token_width: int
    token_count: int
    resolution: int
    prediction_type: str


class StableDiffusionConfig(ComponentConfig):
    """Any Stable Diffusion 1.x or 2.x model in diffusers' folder layout."""

    component = "graphcond.bases.stable_diffusion:StableDiffusionBase"
    kind: Literal["stable_diffusion"] = "stable_diffusion"
    model: str = "stable-diffusion-v1-5/stable-diffusion-v1-5"
    """A folder, or a model id on the Hugging Face hub."""
    revision: str | None = None
    """A branch, tag or commit of the hub model."""
    variant: str | None = None
    """The variant of the weight files, such as `fp16`."""
    dtype: DType = "fp32"
    """Number format of the frozen weights."""
    attention: AttentionChoice = "auto"
    """Attention kernel; `auto` takes xformers where it runs."""
    gradient_checkpointing: bool = False
    """Recompute the denoiser's activations in the backward pass: less memory, more time."""

    def facts(self) -> BaseFacts | None:
        """What the model's config files say, if they can be read without downloading."""
        return read_facts(self.model)

    def build(self, *, device: torch.device) -> StableDiffusionBase:
        """Load the model, frozen.

        Raises:
            InputError: the model is missing or incomplete, or the attention kernel cannot run.
        """
        from graphcond.bases.stable_diffusion import StableDiffusionBase

        settings = self.model_dump(exclude={"kind", "model"})
        return StableDiffusionBase.from_pretrained(self.model, device=device, **settings)


class TinyConfig(ComponentConfig):
    """The small base inside the package: 64 px, trained by us on procedural worlds."""

    component = "graphcond.bases.stable_diffusion:StableDiffusionBase"
    kind: Literal["tiny"] = "tiny"
    dtype: DType = "fp32"
    """Number format of the frozen weights."""
    attention: AttentionChoice = "auto"
    """Attention kernel; `auto` takes xformers where it runs."""
    gradient_checkpointing: bool = False
    """Recompute the denoiser's activations in the backward pass: less memory, more time."""

    def facts(self) -> BaseFacts | None:
        """What the model's config files say."""
        return read_facts(str(TINY_FOLDER))

    def build(self, *, device: torch.device) -> StableDiffusionBase:
        """Load the packaged model, frozen.

        Raises:
            InputError: the attention kernel cannot run.
        """
        from graphcond.bases.stable_diffusion import StableDiffusionBase

        return StableDiffusionBase.from_pretrained("tiny", device=device, **self.model_dump(exclude={"kind"}))


def read_facts(model: str) -> BaseFacts | None:
    """The facts of a model folder or of a hub model that is already downloaded; None otherwise.

    Raises:
        InputError: a folder that is there, but is no Stable Diffusion model.
    """
    unet, text = _config(model, "unet/config.json"), _config(model, "text_encoder/config.json")
    scheduler, vae = _config(model, "scheduler/scheduler_config.json"), _config(model, "vae/config.json")
    if unet is None or text is None or scheduler is None or vae is None:
        return None
    try:
        return BaseFacts(
            token_width=int(unet["cross_attention_dim"]),
            token_count=int(text["max_position_embeddings"]),
            resolution=int(unet["sample_size"]) * 2 ** (len(vae["block_out_channels"]) - 1),
            prediction_type=scheduler.get("prediction_type", "epsilon"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"its config files do not give its sizes ({type(error).__name__}: {error})",
            place=model,
            remedy="give a Stable Diffusion model in diffusers' folder layout",
        ) from None


def _config(model: str, name: str) -> dict[str, Any] | None:
    folder = Path(model)
    found = (
        folder / name
        if folder.is_dir()
        else try_to_load_from_cache(model, name)
        if _is_hub_id(model)
        else None
    )
    if not isinstance(found, str | Path) or (folder.is_dir() and not Path(found).is_file()):
        if folder.is_dir():
            raise InputError(
                f"has no {name}",
                place=model,
                remedy="give a Stable Diffusion model in diffusers' folder layout",
            )
        return None
    try:
        return json.loads(Path(found).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", place=found, remedy="replace the file") from None


def _is_hub_id(model: str) -> bool:
    return model.count("/") == 1 and not model.startswith((".", "/", "~"))


BASES = by_kind((StableDiffusionConfig, TinyConfig), "graphcond.bases")
"""Every base config by its kind, plug-ins included."""

BaseConfig = tagged_union(BASES)
"""The pydantic type of a base in a recipe."""
