"""Sana behind graphcond's contract of a base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from diffusers import AutoencoderDC, SanaTransformer2DModel, SchedulerMixin
from diffusers.models.attention_processor import Attention
from diffusers.models.transformers.sana_transformer import SanaAttnProcessor2_0
from jaxtyping import Float, Int64
from torch import Tensor, nn
from transformers import BatchEncoding, T5EncoderModel, T5Tokenizer

from graphcond.bases.base import Base, LatentMoments, Site
from graphcond.bases.config import DType, SiteKind
from graphcond.bases.loading import DTYPES, load_part, load_scheduler
from graphcond.bases.noise_process import Flow
from graphcond.bases.sites import (
    Addition,
    BeforeProjection,
    ContextReader,
    filled,
    plain_weights,
    queries_of,
)
from graphcond.bases.token_weights import install_token_weights, shown_places
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.io.fingerprint import fingerprint, module_version
from graphcond.signals import TextTokens
from graphcond_sana.config import sana_facts


class SanaBase(Base):
    """A frozen Sana model.

    Args:
        transformer: the denoiser.
        vae: the autoencoder, which is deterministic.
        text_encoder: prompts to context tokens.
        tokenizer: text to ids.
        scheduler: the noise solver that `new_scheduler` copies.
        tokens: of a prompt; longer prompts are cut.
    """

    masks_padding: ClassVar[bool] = True
    weighs_places: ClassVar[bool] = True

    def __init__(
        self,
        *,
        transformer: SanaTransformer2DModel,
        vae: AutoencoderDC,
        text_encoder: T5EncoderModel,
        tokenizer: T5Tokenizer,
        scheduler: SchedulerMixin,
        tokens: int = 300,
    ) -> None:
        process = Flow(scheduler, patch=transformer.config.patch_size)
        facts = sana_facts(
            transformer.config,
            vae.config,
            token_width=text_encoder.config.d_model,
            token_count=tokens,
            predicts=process.predicts,
        )
        super().__init__(
            denoiser=transformer,
            others=(vae, text_encoder),
            scheduler=scheduler,
            facts=facts,
            process=process,
        )
        self.transformer, self.vae = transformer, vae
        self.text_encoder, self.tokenizer = text_encoder, tokenizer
        install_token_weights(self.sites("cross_attention").values())

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str,
        *,
        device: torch.device | str = "cpu",
        dtype: DType = "fp32",
        attention: Literal["auto", "sdpa"] = "auto",
        revision: str | None = None,
        variant: str | None = None,
        gradient_checkpointing: bool = False,
        tokens: int = 300,
    ) -> SanaBase:
        """Load a model, frozen; the settings are those of `SanaConfig`.

        Raises:
            InputError: a part is missing or damaged.
        """
        options: dict[str, Any] = {"revision": revision, "variant": variant, "dtype": DTYPES[dtype]}
        return cls(
            transformer=load_part(SanaTransformer2DModel, name_or_folder, "transformer", **options),
            vae=load_part(AutoencoderDC, name_or_folder, "vae", **options),
            text_encoder=load_part(T5EncoderModel, name_or_folder, "text_encoder", **options),
            tokenizer=load_part(T5Tokenizer, name_or_folder, "tokenizer", revision=revision),
            scheduler=load_scheduler(name_or_folder, revision=revision),
            tokens=tokens,
        ).placed(device, "sdpa", gradient_checkpointing=gradient_checkpointing)

    def sites(self, kind: SiteKind) -> Mapping[str, Site]:
        """Cross-attentions, and the places before them."""
        stride, found = self.transformer.config.patch_size, {}
        for number, block in enumerate(self.transformer.transformer_blocks):
            name, width = f"transformer_blocks.{number}", block.attn2.inner_dim
            if kind == "cross_attention":
                name = f"{name}.attn2"
                found[name] = Site(
                    *(name, kind, width, block.attn2, block.attn2.heads, stride),
                    attach=partial(BeforeProjection, block.attn2),
                    queries=partial(queries_of, block.attn2),
                )
            elif kind == "block":
                own, heads = block.attn2, block.attn1.heads
                attach, reader = partial(BeforeCrossAttention, own), partial(self._reader, own)
                found[name] = Site(name, kind, width, block, heads, stride, attach=attach, reader=reader)
        return found

    def _reader(self, attention: Attention) -> ContextReader:
        """A copy of a block's cross-attention, and of what makes the context that it reads."""
        config = self.transformer.config
        copy = Attention(
            query_dim=attention.query_dim,
            qk_norm=config.qk_norm,
            kv_heads=attention.heads if config.qk_norm is not None else None,
            cross_attention_dim=attention.cross_attention_dim,
            heads=attention.heads,
            dim_head=attention.inner_dim // attention.heads,
            bias=True,
            processor=SanaAttnProcessor2_0(),
        )
        copy.load_state_dict(plain_weights(attention, self.transformer))
        captions = (self.transformer.caption_projection, self.transformer.caption_norm)
        return ContextReader(norm=None, attention=copy, context=deepcopy(nn.Sequential(*captions)))

    @torch.no_grad()
    def encode_prompt(self, prompts: Sequence[str]) -> TextTokens:
        """Token ids, hidden states, and which tokens are not padding."""
        found = self._tokenized(prompts).to(self.text_encoder.device)
        hidden = self.text_encoder(found.input_ids, attention_mask=found.attention_mask).last_hidden_state
        return TextTokens(found.input_ids, hidden, found.attention_mask.bool())

    def token_spans(self, prompts: Sequence[str]) -> Int64[Tensor, "b n 2"]:
        """Told by the tokenizer."""
        return self._tokenized(prompts, return_offsets_mapping=True).offset_mapping

    def _tokenized(self, prompts: Sequence[str], **options: Any) -> BatchEncoding:
        return self.tokenizer(
            list(prompts),
            padding="max_length",
            max_length=self.facts.token_count,
            truncation=True,
            return_tensors="pt",
            **options,
        )

    @torch.no_grad()
    def encode_pictures(self, pixels: Float[Tensor, "b 3 height width"]) -> LatentMoments:
        """The latents of pictures with values in -1..1."""
        latents = self.vae.encode(pixels.to(self.vae.device, self.vae.dtype)).latent
        latents = latents * self.vae.config.scaling_factor
        return LatentMoments(latents, torch.zeros_like(latents))

    @torch.no_grad()
    def decode_latents(
        self, latents: Float[Tensor, "b channels height width"]
    ) -> Float[Tensor, "b 3 pixel_height pixel_width"]:
        """Pictures in float32, values about -1..1."""
        return self.vae.decode(latents.to(self.vae.dtype) / self.vae.config.scaling_factor).sample.float()

    def denoise(self, inputs: DenoiserInputs) -> Float[Tensor, "b channels height width"]:
        """One call of the transformer. A token of weight w counts w times in the softmax."""
        places = shown_places(inputs, self.sites("cross_attention").values())
        with filled({**inputs.grounding, **places}):
            return self.transformer(
                inputs.sample.to(self.dtype),
                encoder_hidden_states=inputs.context.to(self.dtype),
                encoder_attention_mask=None if places else inputs.context_weight,
                timestep=inputs.timestep * self.transformer.config.timestep_scale,
            ).sample

    def pictures_version(self) -> str:
        """Of the autoencoder."""
        return module_version(self.vae, self.vae.config)

    def prompts_version(self) -> str:
        """Of tokenizer and text encoder."""
        tokenizer = self.tokenizer.backend_tokenizer.to_str()
        return fingerprint(module_version(self.text_encoder, self.text_encoder.config.to_dict()), tokenizer)


class BeforeCrossAttention:
    """Hooks that add to the features that a block's cross-attention reads, until `remove` is called.

    The block computes ``x + attn2(x)``, and with an addition a it must compute ``(x + a) + attn2(x + a)``. So
    x + a goes into the attention, and a is added to its output. Several additions add up.

    Args:
        attention: the block's ``attn2``.
        addition: called with x in every pass through the block, recomputed ones too.
    """

    def __init__(self, attention: nn.Module, addition: Addition) -> None:
        self._addition = addition
        self._added: Tensor | None = None
        self._handles = [
            attention.register_forward_pre_hook(self._enter),
            attention.register_forward_hook(self._leave, always_call=True),
        ]

    def remove(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()

    def _enter(self, attention: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        self._added = self._addition(args[0])
        return None if self._added is None else (args[0] + self._added, *args[1:])

    def _leave(self, attention: nn.Module, args: Any, output: Any) -> Tensor | None:
        added, self._added = self._added, None
        return None if added is None or output is None else output + added
