"""Stable Diffusion 1.x and 2.x as a base."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from diffusers import AutoencoderKL, SchedulerMixin, UNet2DConditionModel
from jaxtyping import Int64
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from graphcond.bases.attention import choose_attention
from graphcond.bases.base_files import explained
from graphcond.bases.config import (
    PACKAGED,
    AttentionChoice,
    BaseFields,
    DType,
    Quantize,
    StableDiffusionConfig,
)
from graphcond.bases.cut_prompts import CutPrompt, cut_by
from graphcond.bases.loading import load_part, load_scheduler, load_tokenizer, number_format
from graphcond.bases.quantization import quantized
from graphcond.bases.unet import UNetBase
from graphcond.io.fingerprint import fingerprint, module_version
from graphcond.io.tensors import pick_device, runs_on
from graphcond.signals import TextTokens


class StableDiffusionBase(UNetBase):
    """A frozen Stable Diffusion model.

    Args:
        unet: the denoiser.
        vae: pictures to latents and back.
        text_encoder: prompts to context tokens.
        tokenizer: text to ids.
        scheduler: the noise solver that `new_scheduler` copies.
    """

    config: ClassVar[type[BaseFields]] = StableDiffusionConfig

    def __init__(
        self,
        *,
        unet: UNet2DConditionModel,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        scheduler: SchedulerMixin,
    ) -> None:
        super().__init__(
            unet=unet,
            vae=vae,
            text_encoders=(text_encoder,),
            token_count=min(text_encoder.config.max_position_embeddings, tokenizer.model_max_length),
            scheduler=scheduler,
        )
        self.text_encoder, self.tokenizer = text_encoder, tokenizer

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
    ) -> StableDiffusionBase:
        """Load a base, frozen.

        Args:
            name_or_folder: ``tiny`` or ``emoji`` for one inside the package, a folder, or an id on the hub.
            device: where to put it.
            dtype: number format of the weights.
            quantize: the weights of the denoiser's linear layers in fewer bits, ``int8`` or ``nf4``.
            attention: attention kernel; ``auto`` takes xformers where it runs.
            revision: a branch, tag or commit of a hub model.
            variant: the variant of the weight files, such as ``fp16``.
            gradient_checkpointing: recompute the denoiser's activations in the backward pass.

        Raises:
            InputError: the model is missing, incomplete or of another kind, or the device, the dtype or the
                attention kernel is not there.
        """
        model = str(PACKAGED.get(name_or_folder, name_or_folder))
        kernel = choose_attention(attention, pick_device(device))
        files = StableDiffusionConfig(model=model, revision=revision, variant=variant)
        options: dict[str, Any] = {"revision": revision, "variant": variant, "dtype": number_format(dtype)}
        with explained(files), quantized(cls.denoiser_name, quantize):
            base = cls(
                unet=load_part(UNet2DConditionModel, model, "unet", **options),
                vae=load_part(AutoencoderKL, model, "vae", **options),
                text_encoder=load_part(CLIPTextModel, model, "text_encoder", **options),
                tokenizer=load_tokenizer(model, revision=revision),
                scheduler=load_scheduler(model, revision=revision),
            )
        base.loaded_as = files.model_copy(update={"dtype": dtype, "quantize": quantize})
        return base.placed(device, kernel, gradient_checkpointing=gradient_checkpointing)

    @property
    def text_tower(self) -> nn.Module:
        """The text encoder."""
        return self.text_encoder

    @torch.no_grad()
    def encode_prompt(self, prompts: Sequence[str]) -> TextTokens:
        """Token ids and hidden states of ``prompts``. The denoiser attends to the padding too."""
        found = self.tokenized(self.tokenizer, prompts).to(runs_on(self.text_encoder))
        hidden = self.text_encoder(found.input_ids).last_hidden_state
        return TextTokens(self.known(found.input_ids), hidden, found.attention_mask.bool())

    @torch.no_grad()
    def encode_skipping(self, prompts: Sequence[str], clip_skip: int) -> TextTokens:
        """States of an earlier layer, normed as those of the last one are."""
        self.check_skip(self.text_encoder, clip_skip)
        found = self.tokenized(self.tokenizer, prompts).to(runs_on(self.text_encoder))
        states = self.text_encoder(found.input_ids, output_hidden_states=True).hidden_states
        tower = getattr(self.text_encoder, "text_model", self.text_encoder)  # as older transformers have it
        hidden = tower.final_layer_norm(states[-1 - clip_skip])
        return TextTokens(self.known(found.input_ids), hidden, found.attention_mask.bool())

    def token_spans(self, prompts: Sequence[str]) -> Int64[Tensor, "b n 2"]:
        """Told by the tokenizer."""
        found: Tensor = self.tokenized(self.tokenizer, prompts, return_offsets_mapping=True)["offset_mapping"]
        return found

    def cut_prompts(self, prompts: Sequence[str]) -> list[CutPrompt]:
        """Told by the tokenizer."""
        return cut_by(self.tokenizer, prompts, self.facts.token_count)

    def prompts_version(self) -> str:
        """Of tokenizer and text encoder."""
        tokenizer = json.loads(self.tokenizer.backend_tokenizer.to_str())
        encoder = module_version(self.text_encoder, self.text_encoder.config.to_dict())
        return fingerprint(encoder, tokenizer["model"])
