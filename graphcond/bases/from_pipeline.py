"""The base that a pipeline of diffusers holds."""

from __future__ import annotations

from typing import Any

from diffusers import DiffusionPipeline, UNet2DConditionModel

from graphcond.bases.base import Base
from graphcond.bases.stable_diffusion import StableDiffusionBase
from graphcond.bases.stable_diffusion_xl import StableDiffusionXLBase
from graphcond.errors import InputError


def base_of(pipe: DiffusionPipeline) -> Base:
    """A base of the networks of ``pipe``, which it freezes.

    Raises:
        InputError: the pipeline is of another family than Stable Diffusion and SDXL, or its networks do not
            belong together.
    """
    parts: dict[str, Any] = pipe.components if isinstance(pipe, DiffusionPipeline) else {}
    first, second = "text_encoder", "text_encoder_2"
    if not isinstance(parts.get("unet"), UNet2DConditionModel) or parts.get(first) is None:
        raise InputError(
            f"expected a pipeline of Stable Diffusion or SDXL, got a {type(pipe).__name__}",
            place="pipe",
            remedy="give one of these, or a variant with img2img, inpainting or ControlNet",
        )
    own = {name: parts[name] for name in ("unet", "vae", "scheduler")}
    if parts.get(second) is None:
        return StableDiffusionBase(**own, text_encoder=parts[first], tokenizer=parts["tokenizer"])
    return StableDiffusionXLBase(
        **own,
        text_encoders=(parts[first], parts[second]),
        tokenizers=(parts["tokenizer"], parts["tokenizer_2"]),
        zeros_for_empty=pipe.config.get("force_zeros_for_empty_prompt", True),
    )
