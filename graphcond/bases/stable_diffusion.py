"""The frozen base: a Stable Diffusion denoiser with its VAE, text encoder and scheduler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, SchedulerMixin, UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention as AttentionLayer
from jaxtyping import Float
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from graphcond.bases.attention import XFORMERS_KEY_MULTIPLE, choose_attention, use_attention
from graphcond.bases.config import TINY_FOLDER, AttentionChoice, DType
from graphcond.bases.loading import (
    load_part,
    load_scheduler,
    load_tokenizer,
)
from graphcond.bases.sites import GROUNDING, filled, install_grounding, transformer_blocks
from graphcond.bases.token_weights import cross_attentions, install_token_weights
from graphcond.denoiser_inputs import DenoiserInputs, Residuals
from graphcond.signals import TextTokens

DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class LatentMoments:
    """Mean and standard deviation of the VAE's posterior, in the denoiser's scale."""

    mean: Float[Tensor, "b channels height width"]
    std: Float[Tensor, "b channels height width"]


class StableDiffusionBase:
    """A frozen Stable Diffusion model and the sites where injectors attach.

    Args:
        unet: the denoiser; it gets the hooks of `token_weights` and `sites` (graphcond.bases).
        vae: pictures to latents and back.
        text_encoder: prompts to context tokens.
        tokenizer: text to ids.
        scheduler: the noise solver that `new_scheduler` copies.
    """

    def __init__(
        self,
        *,
        unet: UNet2DConditionModel,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        scheduler: SchedulerMixin,
    ) -> None:
        self.unet, self.vae, self.text_encoder = unet, vae, text_encoder
        self.tokenizer, self.scheduler = tokenizer, scheduler
        self.attention: str = "sdpa"
        for part in (unet, vae, text_encoder):
            part.requires_grad_(False)
            part.eval()
        install_token_weights(unet)
        install_grounding(unet)

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str,
        *,
        device: torch.device | str = "cpu",
        dtype: DType = "fp32",
        attention: AttentionChoice = "auto",
        revision: str | None = None,
        variant: str | None = None,
        gradient_checkpointing: bool = False,
    ) -> StableDiffusionBase:
        """Load a base, frozen.

        Args:
            name_or_folder: ``tiny`` for the one inside the package, a folder, or an id on the hub.
            device: where to put it.
            dtype: number format of the weights.
            attention: attention kernel; ``auto`` takes xformers where it runs.
            revision: a branch, tag or commit of a hub model.
            variant: the variant of the weight files, such as ``fp16``.
            gradient_checkpointing: recompute the denoiser's activations in the backward pass.

        Raises:
            InputError: the model is missing or incomplete, or the attention kernel cannot run.
        """
        model = str(TINY_FOLDER) if name_or_folder == "tiny" else name_or_folder
        kernel = choose_attention(attention, torch.device(device))
        options: dict[str, Any] = {"revision": revision, "variant": variant, "dtype": DTYPES[dtype]}
        base = cls(
            unet=load_part(UNet2DConditionModel, model, "unet", **options),
            vae=load_part(AutoencoderKL, model, "vae", **options),
            text_encoder=load_part(CLIPTextModel, model, "text_encoder", **options),
            tokenizer=load_tokenizer(model, revision=revision),
            scheduler=load_scheduler(model, revision=revision),
        )
        base.to(torch.device(device))
        base.set_attention(kernel)
        if gradient_checkpointing:
            base.unet.enable_gradient_checkpointing()
        return base

    @property
    def device(self) -> torch.device:
        """Where the denoiser lies."""
        return self.unet.device

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the denoiser's weights."""
        return self.unet.dtype

    @property
    def token_width(self) -> int:
        """Width c of the context tokens that cross-attention reads."""
        return self.unet.config.cross_attention_dim

    @property
    def token_count(self) -> int:
        """Tokens in an encoded prompt, padding included: as many as tokenizer and text encoder take."""
        return min(self.text_encoder.config.max_position_embeddings, self.tokenizer.model_max_length)

    @property
    def prediction_type(self) -> str:
        """What the denoiser predicts: ``epsilon`` or ``v_prediction``."""
        return self.scheduler.config.prediction_type

    @property
    def pixels_per_latent(self) -> int:
        """Side of the square of pixels that one latent stands for."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def default_size(self) -> int:
        """Side in pixels of the pictures the denoiser was trained on."""
        return self.unet.config.sample_size * self.pixels_per_latent

    def cross_attentions(self) -> dict[str, AttentionLayer]:
        """The sites that read context tokens, by module name."""
        return cross_attentions(self.unet)

    def transformer_blocks(self) -> dict[str, BasicTransformerBlock]:
        """The sites between whose self- and cross-attention an injector may stand, by module name."""
        return transformer_blocks(self.unet)

    def to(self, device: torch.device) -> None:
        """Move all parts to ``device``."""
        for part in (self.unet, self.vae, self.text_encoder):
            part.to(device)

    def set_attention(self, attention: Literal["sdpa", "xformers"]) -> None:
        """Run the denoiser on this attention kernel from now on."""
        use_attention(self.unet, attention)
        self.attention = attention

    def new_scheduler(self) -> SchedulerMixin:
        """A scheduler of the base's own kind, with no state."""
        return type(self.scheduler).from_config(self.scheduler.config)

    def noise_scheduler(self) -> DDPMScheduler:
        """The forward process that the base was trained with, for training on it."""
        return DDPMScheduler.from_config(self.scheduler.config)

    @torch.no_grad()
    def encode_prompt(self, prompts: Sequence[str]) -> TextTokens:
        """Token ids and hidden states of ``prompts``, padded and cut to `token_count`."""
        ids = self.tokenizer(
            list(prompts),
            padding="max_length",
            max_length=self.token_count,
            truncation=True,
            return_tensors="pt",
        ).input_ids.to(self.text_encoder.device)
        return TextTokens(ids, self.text_encoder(ids).last_hidden_state)

    @torch.no_grad()
    def encode_pictures(self, pixels: Float[Tensor, "b 3 height width"]) -> LatentMoments:
        """The VAE's posterior for pictures with values in -1..1."""
        posterior = self.vae.encode(pixels.to(self.vae.device, self.vae.dtype)).latent_dist
        scale = self.vae.config.scaling_factor
        return LatentMoments(posterior.mean * scale, posterior.std * scale)

    @torch.no_grad()
    def decode_latents(
        self, latents: Float[Tensor, "b channels height width"]
    ) -> Float[Tensor, "b 3 pixel_height pixel_width"]:
        """Pictures in float32, values about -1..1."""
        return self.vae.decode(latents.to(self.vae.dtype) / self.vae.config.scaling_factor).sample.float()

    def denoise(self, inputs: DenoiserInputs) -> Float[Tensor, "b channels height width"]:
        """One call of the denoiser; gradients flow to the inputs and to injected parameters only.

        Slots are filled while it runs, and again wherever gradient checkpointing recomputes a block.
        """
        context, weight = self._aligned(inputs.context, inputs.context_weight)
        with filled(inputs.grounding):
            return self.unet(
                inputs.sample.to(self.dtype),
                inputs.timestep,
                encoder_hidden_states=context.to(self.dtype),
                encoder_attention_mask=weight,
                cross_attention_kwargs={GROUNDING: inputs.grounding} if inputs.grounding else None,
                **self._residuals(inputs.residuals),
            ).sample

    def _residuals(self, residuals: Residuals | None) -> dict[str, Any]:
        if residuals is None:
            return {}
        return {
            "down_block_additional_residuals": tuple(one.to(self.dtype) for one in residuals.down),
            "mid_block_additional_residual": residuals.mid.to(self.dtype),
        }

    def _aligned(
        self, context: Float[Tensor, "b l c"], weight: Float[Tensor, "b l"] | None
    ) -> tuple[Float[Tensor, "b m c"], Float[Tensor, "b m"] | None]:
        if weight is None or self.attention != "xformers":
            return context, weight
        missing = -context.shape[1] % XFORMERS_KEY_MULTIPLE
        return F.pad(context, (0, 0, 0, missing)), F.pad(weight, (0, missing))
