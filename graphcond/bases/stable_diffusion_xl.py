"""Stable Diffusion XL (arXiv 2307.01952) as a base."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from diffusers import AutoencoderKL, SchedulerMixin, UNet2DConditionModel
from diffusers.loaders import StableDiffusionXLLoraLoaderMixin
from jaxtyping import Int64
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from graphcond.bases.attention import choose_attention
from graphcond.bases.base_files import INDEX, explained, read_config
from graphcond.bases.config import AttentionChoice, BaseFields, DType, Quantize, StableDiffusionXLConfig
from graphcond.bases.cut_prompts import CutPrompt, cut_by
from graphcond.bases.loading import load_part, load_scheduler, load_tokenizer, number_format
from graphcond.bases.quantization import quantized
from graphcond.bases.unet import UNetBase
from graphcond.denoiser_inputs import GIVEN_SIZES, DenoiserInputs
from graphcond.errors import InputError
from graphcond.io.fingerprint import fingerprint, module_version
from graphcond.io.tensors import pick_device, runs_on
from graphcond.signals import TextTokens

SIZES = ("original_size", "crops_coords_top_left", "target_size")
"""The pairs of numbers, height and width, that SDXL was trained with beside the prompt."""


class StableDiffusionXLBase(UNetBase):
    """A frozen SDXL base model; the refiner is another model.

    A context token joins the states of both text encoders before their last layer. The denoiser also reads
    a pooled vector of the second one and the size of the picture: as original and as target size, uncropped.

    Args:
        unet: the denoiser.
        vae: pictures to latents and back.
        text_encoders: CLIP's text model, and the one with a projection, whose pooled output is read.
        tokenizers: of the two text encoders.
        scheduler: the noise solver that `new_scheduler` copies.
        zeros_for_empty: an empty prompt is all zeros, as the model was trained without text.
    """

    config: ClassVar[type[BaseFields]] = StableDiffusionXLConfig
    lora_mixin: ClassVar[Any] = StableDiffusionXLLoraLoaderMixin
    text_arguments: ClassVar[frozenset[str]] = frozenset({"prompt_2", "negative_prompt_2"})
    size_arguments: ClassVar[frozenset[str]] = frozenset({*SIZES, *(f"negative_{name}" for name in SIZES)})

    def __init__(
        self,
        *,
        unet: UNet2DConditionModel,
        vae: AutoencoderKL,
        text_encoders: tuple[CLIPTextModel, CLIPTextModelWithProjection],
        tokenizers: tuple[CLIPTokenizer, CLIPTokenizer],
        scheduler: SchedulerMixin,
        zeros_for_empty: bool = True,
    ) -> None:
        super().__init__(
            unet=unet,
            vae=vae,
            text_encoders=text_encoders,
            token_count=min(text_encoders[0].config.max_position_embeddings, tokenizers[0].model_max_length),
            scheduler=scheduler,
            pooled=text_encoders[1].config.projection_dim,
        )
        self.text_encoder, self.text_encoder_2 = text_encoders
        self.tokenizer, self.tokenizer_2 = tokenizers
        self.zeros_for_empty = zeros_for_empty
        self.conditions = partial(_added_conditions, pixels=self.facts.pixels_per_latent)

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str,
        *,
        device: torch.device | str = "cpu",
        dtype: DType = "fp32",
        quantize: Quantize | None = None,
        attention: AttentionChoice = "auto",
        revision: str | None = None,
        variant: str | None = None,
        gradient_checkpointing: bool = False,
    ) -> StableDiffusionXLBase:
        """Load a base, frozen; arguments as for `StableDiffusionBase.from_pretrained`.

        Raises:
            InputError: the model is missing, incomplete or of another kind, or the device, the dtype or the
                attention kernel is not there.
        """
        kernel = choose_attention(attention, pick_device(device))
        files = StableDiffusionXLConfig(model=name_or_folder, revision=revision, variant=variant)
        options: dict[str, Any] = {"revision": revision, "variant": variant, "dtype": number_format(dtype)}
        index = read_config(name_or_folder, INDEX, revision=revision) or {}
        with explained(files), quantized(cls.denoiser_name, quantize):
            base = cls(
                unet=load_part(UNet2DConditionModel, name_or_folder, "unet", **options),
                vae=load_part(AutoencoderKL, name_or_folder, "vae", **options),
                text_encoders=(
                    load_part(CLIPTextModel, name_or_folder, "text_encoder", **options),
                    load_part(CLIPTextModelWithProjection, name_or_folder, "text_encoder_2", **options),
                ),
                tokenizers=(
                    load_tokenizer(name_or_folder, revision=revision),
                    load_tokenizer(name_or_folder, "tokenizer_2", revision=revision),
                ),
                scheduler=load_scheduler(name_or_folder, revision=revision),
                zeros_for_empty=bool(index.get("force_zeros_for_empty_prompt", True)),
            )
        base.loaded_as = files.model_copy(update={"dtype": dtype, "quantize": quantize})
        return base.placed(device, kernel, gradient_checkpointing=gradient_checkpointing)

    @property
    def text_encoders(self) -> tuple[CLIPTextModel, CLIPTextModelWithProjection]:
        """Both text encoders."""
        return self.text_encoder, self.text_encoder_2

    @property
    def tokenizers(self) -> tuple[CLIPTokenizer, CLIPTokenizer]:
        """The tokenizers of the text encoders."""
        return self.tokenizer, self.tokenizer_2

    @property
    def text_tower(self) -> nn.Module:
        """The second text encoder, whose ids `encode_prompt` gives."""
        return self.text_encoder_2

    @property
    def tower_columns(self) -> slice:
        """Its states come after those of the first text encoder."""
        return slice(self.text_encoders[0].config.hidden_size, self.facts.token_width)

    @torch.no_grad()
    def encode_prompt(self, prompts: Sequence[str]) -> TextTokens:
        """Token ids of the second tokenizer, states of both encoders, and the pooled vector.

        The denoiser attends to the padding too.
        """
        return self._encoded(prompts, prompts, 0)

    @torch.no_grad()
    def encode_skipping(self, prompts: Sequence[str], clip_skip: int) -> TextTokens:
        """States of both encoders from a layer further before the last one."""
        self.check_skip(self.text_encoder, clip_skip + 1)
        return self._encoded(prompts, prompts, clip_skip)

    @torch.no_grad()
    def encode_beside(
        self,
        prompts: Sequence[str],
        arguments: Mapping[str, Any],
        *,
        negative: bool = False,
        clip_skip: int | None = None,
    ) -> TextTokens:
        """The second text encoder, and so `TextTokens.ids`, reads ``prompt_2`` where that is given."""
        name = "negative_prompt_2" if negative else "prompt_2"
        second = arguments.get(name) or list(prompts)
        several = isinstance(second, list | tuple)
        seconds: list[Any] = list(second) if several else [second] * len(prompts)
        if len(seconds) != len(prompts) or not all(isinstance(one, str) for one in seconds):
            raise InputError(
                f"expected one text or {len(prompts)}, got {second!r}",
                place=name,
                remedy="give a string, or one for each prompt",
            )
        if clip_skip is not None:
            self.check_skip(self.text_encoder, clip_skip + 1)
        return self._encoded(prompts, seconds, clip_skip or 0)

    def size_extras(
        self, arguments: Mapping[str, Any], rows: int, *, negative: bool = False
    ) -> dict[str, Tensor]:
        """Heights and widths in pixels; as in diffusers, negative ones act with both sizes only."""
        if not arguments:
            return {}
        apart = negative and {"negative_original_size", "negative_target_size"} <= arguments.keys()
        names = [f"negative_{name}" if apart else name for name in SIZES]
        sizes = [side for name in names for side in _pair(name, arguments.get(name))]
        return {GIVEN_SIZES: torch.tensor(sizes, dtype=torch.float32, device=self.device).repeat(rows, 1)}

    def _encoded(self, prompts: Sequence[str], seconds: Sequence[str], skipped: int) -> TextTokens:
        _, _, first = self._read(0, prompts, skipped)
        found, pooled, second = self._read(1, seconds, skipped)
        hidden = torch.cat([first, second], dim=-1)
        if self.zeros_for_empty:
            empty = torch.tensor([prompt == "" for prompt in prompts], device=hidden.device)
            hidden = hidden.masked_fill(empty[:, None, None], 0)
            pooled = pooled.masked_fill(empty[:, None], 0)
        ids = self.known(found.input_ids)
        return TextTokens(ids, hidden, found.attention_mask.bool(), {"pooled": pooled})

    def _read(self, number: int, prompts: Sequence[str], skipped: int) -> tuple[Any, Tensor, Tensor]:
        """Tokens of one tokenizer, the first output of its encoder, and the states before its last layers."""
        encoder = self.text_encoders[number]
        found = self.tokenized(self.tokenizers[number], prompts).to(runs_on(encoder))
        answer = encoder(found.input_ids, output_hidden_states=True)
        return found, answer[0], answer.hidden_states[-2 - skipped]

    def token_spans(self, prompts: Sequence[str]) -> Int64[Tensor, "b n 2"]:
        """Told by the tokenizer of `TextTokens.ids`."""
        found: Tensor = self.tokenized(self.tokenizers[1], prompts, return_offsets_mapping=True)[
            "offset_mapping"
        ]
        return found

    def cut_prompts(self, prompts: Sequence[str]) -> list[CutPrompt]:
        """Told by both tokenizers."""
        cut = {
            one.prompt: one
            for tokenizer in self.tokenizers
            for one in cut_by(tokenizer, prompts, self.facts.token_count)
        }
        return list(cut.values())

    def prompts_version(self) -> str:
        """Of both tokenizers and text encoders."""
        tokenizers = [json.loads(one.backend_tokenizer.to_str())["model"] for one in self.tokenizers]
        encoders = [module_version(one, one.config.to_dict()) for one in self.text_encoders]
        return fingerprint(*encoders, tokenizers, self.zeros_for_empty)


def _added_conditions(inputs: DenoiserInputs, *, pixels: int) -> dict[str, Any]:
    """The pooled text and the six numbers that SDXL knows sizes by, as diffusers' pipeline gives them."""
    height, width = (side * pixels for side in inputs.sample.shape[2:])
    # In float32: bfloat16 cannot tell 1000 pixels from 1004.
    sizes = torch.tensor([height, width, 0, 0, height, width], dtype=torch.float32)
    pooled, given = inputs.extras["pooled"], inputs.extras.get(GIVEN_SIZES)
    sizes = sizes.to(pooled.device).expand(len(pooled), -1)
    sizes = sizes if given is None else torch.where(given.isnan(), sizes, given)
    return {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": sizes}}


def _pair(name: str, given: Any) -> tuple[float, float]:
    """A height and a width; NaN where none are given."""
    if given is None:
        return math.nan, math.nan
    numbers = isinstance(given, list | tuple) and all(isinstance(one, int | float) for one in given)
    if not numbers or len(given) != 2:
        raise InputError(
            f"expected two numbers of pixels, got {given!r}", place=name, remedy="give (height, width)"
        )
    return float(given[0]), float(given[1])
