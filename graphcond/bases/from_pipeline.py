"""The base that a pipeline of diffusers holds."""

from __future__ import annotations

from itertools import product
from typing import Any

from diffusers import DiffusionPipeline

from graphcond.bases.base import Base
from graphcond.bases.stable_diffusion import StableDiffusionBase
from graphcond.bases.stable_diffusion_xl import StableDiffusionXLBase
from graphcond.errors import InputError

KNOWN = {
    f"StableDiffusion{family}{control}{task}Pipeline"
    for family, control, task in product(("", "XL"), ("", "ControlNet"), ("", "Img2Img", "Inpaint"))
}
"""Others of the same networks, such as PAG's, call the denoiser with batches or processors of their own."""


def base_of(pipe: DiffusionPipeline) -> Base:
    """A base of the networks of ``pipe``, which it freezes.

    Raises:
        InputError: the pipeline is of another family than Stable Diffusion and SDXL, or its networks do not
            belong together.
    """
    if not KNOWN.intersection(
        kind.__name__ for kind in type(pipe).__mro__
    ):  # by name: an import costs seconds
        raise InputError(
            f"expected a pipeline of Stable Diffusion or SDXL, got a {type(pipe).__name__}",
            place="pipe",
            remedy="give one of these, or a variant with img2img, inpainting or ControlNet",
        )
    parts: dict[str, Any] = pipe.components
    first, second = "text_encoder", "text_encoder_2"
    own = {name: parts[name] for name in ("unet", "vae", "scheduler")}
    if parts.get(second) is None:
        return StableDiffusionBase(**own, text_encoder=parts[first], tokenizer=parts["tokenizer"])
    return StableDiffusionXLBase(
        **own,
        text_encoders=(parts[first], parts[second]),
        tokenizers=(parts["tokenizer"], parts["tokenizer_2"]),
        zeros_for_empty=pipe.config.get("force_zeros_for_empty_prompt", True),
    )
