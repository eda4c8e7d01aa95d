"""Bases whose denoiser is a diffusers ``UNet2DConditionModel``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    SchedulerMixin,
    UNet2DConditionModel,
)
from diffusers.loaders import StableDiffusionLoraLoaderMixin, TextualInversionLoaderMixin
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from diffusers.pipelines.pipeline_utils import StableDiffusionMixin
from jaxtyping import Float, Int64
from torch import Tensor, nn
from transformers import BatchEncoding, CLIPTokenizer

from graphcond.bases.attention import XFORMERS_KEY_MULTIPLE
from graphcond.bases.base import Base, EncoderCopy, LatentMoments, Site
from graphcond.bases.base_files import unet_facts
from graphcond.bases.config import BaseFields, SiteKind
from graphcond.bases.cut_prompts import TOKENIZING
from graphcond.bases.loading import quiet_loading
from graphcond.bases.noise_process import Diffusion
from graphcond.bases.reference_attention import BANK, Bank, install_reference_attention
from graphcond.bases.sites import (
    BeforeProjection,
    BetweenAttentions,
    ContextReader,
    filled,
    keys_and_values_of,
    plain_weights,
    queries_of,
    transformer_blocks,
)
from graphcond.bases.token_weights import install_token_weights, shown_places
from graphcond.denoiser_inputs import IP_ADAPTER, DenoiserInputs, References, Slot
from graphcond.errors import InputError, Notice
from graphcond.io.fingerprint import module_version
from graphcond.io.tensors import runs_on


class UNetEncoderCopy(ControlNetModel, EncoderCopy):
    """diffusers' ControlNet as an `EncoderCopy`."""

    levels: tuple[str, ...] = ()
    """The names of the sites that the residuals belong to."""
    conditions: Callable[[DenoiserInputs], dict[str, Any]]
    """`UNetBase.conditions` of the base that was copied."""

    def zero_layers(self) -> Mapping[str, nn.Module]:
        """The zero convolutions, by the name of their site."""
        down: Any = self.controlnet_down_blocks
        layers = (*down, self.controlnet_mid_block)
        return dict(zip(self.levels, layers, strict=True))

    def write_controlnet(self, folder: Path, channels: int, widths: Sequence[int]) -> None:
        """A plain ControlNet of the same weights."""
        config: Any = self.config
        embedding = {"conditioning_channels": channels, "conditioning_embedding_out_channels": list(widths)}
        plain = ControlNetModel.from_config({**config, **embedding})
        plain.load_state_dict(self.state_dict())
        plain.save_pretrained(folder)

    def residuals(
        self,
        inputs: DenoiserInputs,
        hint: Float[Tensor, "b c height width"],
        *,
        scale: float,
        guess_mode: bool,
    ) -> dict[str, Tensor]:
        """The residuals by site name."""
        down, mid = self(
            inputs.sample,
            inputs.timestep,
            encoder_hidden_states=inputs.context[:, : inputs.prompt_length],
            controlnet_cond=hint,
            conditioning_scale=scale,
            guess_mode=guess_mode,
            return_dict=False,
            **self.conditions(inputs),
        )
        return dict(zip(self.levels, (*down, mid), strict=True))


class UNetBase(Base):
    """A frozen ``UNet2DConditionModel`` with a KL autoencoder.

    Args:
        unet: the denoiser; it gets the hooks of `graphcond.bases.token_weights`.
        vae: pictures to latents and back.
        text_encoders: prompts to context tokens.
        token_count: n, tokens in an encoded prompt.
        scheduler: the noise solver that `new_scheduler` copies.
        pooled: width of the pooled text that SDXL reads.

    Attributes:
        conditions: further arguments of the UNet and of its copies, which a family makes of the inputs.
    """

    weighs_places: ClassVar[bool] = True
    takes_references: ClassVar[bool] = True
    lora_mixin: ClassVar[Any] = StableDiffusionLoraLoaderMixin
    denoiser_name: ClassVar[str] = "unet"
    config: ClassVar[type[BaseFields]]
    """The config of this kind of base."""
    denoiser: UNet2DConditionModel

    def __init__(
        self,
        *,
        unet: UNet2DConditionModel,
        vae: AutoencoderKL,
        text_encoders: Sequence[nn.Module],
        token_count: int,
        scheduler: SchedulerMixin,
        pooled: int | None = None,
    ) -> None:
        facts = unet_facts(
            self.config,
            unet.config,
            vae.config,
            {**scheduler.config, "_class_name": type(scheduler).__name__},
            token_count=token_count,
            pooled=pooled,
            place=type(self).__name__,
        )
        super().__init__(
            denoiser=unet,
            others=(vae, *text_encoders),
            scheduler=scheduler,
            facts=facts,
            process=Diffusion(scheduler),
        )
        self.unet, self.vae = unet, vae
        self._words: int = _config(text_encoders[-1]).vocab_size
        self.conditions: Callable[[DenoiserInputs], dict[str, Any]] = lambda inputs: {}
        self._handles = install_token_weights(self.sites("cross_attention").values())
        self._handles += install_reference_attention(unet)

    @classmethod
    def loaders(cls) -> tuple[type, ...]:
        """Those of Stable Diffusion."""
        with quiet_loading():  # transformers warns of image processors, which the loader imports
            from graphcond.bases.picture_prompts import PicturePrompts

        return *super().loaders(), StableDiffusionMixin, TextualInversionLoaderMixin, PicturePrompts

    @property
    def components(self) -> dict[str, Any]:
        """The parts, and None for those that the family's pipelines have and a base has not."""
        missing = [name for name, kind in self.config.index.items() if kind == [None, None]]
        return {**super().components, **dict.fromkeys(missing)}

    def replace(self, name: str, part: Any) -> None:
        """Use another part from now on."""
        super().replace(name, part)
        vars(self).pop("_vae_in_float32", None)

    def release(self) -> None:
        """Take the hooks out of the UNet."""
        for handle in self._handles:
            handle.remove()

    def set_attention(self, attention: Literal["sdpa", "xformers"]) -> None:
        """Run the UNet on this attention kernel from now on."""
        if attention == "xformers":
            self.unet.enable_xformers_memory_efficient_attention()
        else:
            self.unet.disable_xformers_memory_efficient_attention()
        self.attention = attention

    def sites(self, kind: SiteKind) -> Mapping[str, Site]:
        """Cross-attentions (``attn2``), transformer blocks, and the feature maps of skip connections."""
        if kind == "encoder_level":
            return {site.name: site for site in self._levels()}
        if kind == "encoder_block":
            return {site.name: site for site in self._blocks()}
        found, last = {}, len(self.unet.config.block_out_channels) - 1
        for name, block in transformer_blocks(self.denoiser).items():
            part, number, *_ = name.split(".")
            level = {"down_blocks": 0, "up_blocks": last}.get(part)  # None: the middle
            stride = 2 ** (last if level is None else abs(level - int(number)))
            heads = block.num_attention_heads
            if kind == "cross_attention" and block.attn2 is not None:
                name = f"{name}.attn2"
                found[name] = Site(
                    *(name, kind, block.dim, block.attn2, heads, stride),
                    attach=partial(BeforeProjection, block.attn2),
                    queries=partial(queries_of, block.attn2),
                    keys_and_values=partial(keys_and_values_of, block.attn2, self.denoiser),
                )
            # Other norms put a scale and a gate between the attention's output and the features.
            elif kind == "block" and block.use_layer_norm and not block.only_cross_attention:
                attach, reader = partial(BetweenAttentions, block), partial(_reader, block, self.denoiser)
                copy = None if block.attn2 is None else reader
                found[name] = Site(name, kind, block.dim, block, heads, stride, attach=attach, reader=copy)
        return found

    def tokenized(self, tokenizer: CLIPTokenizer, prompts: Sequence[str], **options: Any) -> BatchEncoding:
        """Token ids and attention mask of ``prompts``, padded and cut to `BaseFacts.token_count` tokens.

        A word that textual inversion taught the tokenizer stands for all of its vectors.

        Args:
            tokenizer: of a text encoder.
            prompts: the texts.
            options: further ones of the tokenizer.
        """
        with TOKENIZING:
            return tokenizer(
                TextualInversionLoaderMixin().maybe_convert_prompt(list(prompts), tokenizer),
                padding="max_length",
                max_length=self.facts.token_count,
                truncation=True,
                return_tensors="pt",
                **options,
            )

    def known(self, ids: Int64[Tensor, "b n"]) -> Int64[Tensor, "b n"]:
        """Token ids as encoders of graphs know them: the last of the vocabulary for words learned later."""
        return ids.clamp(max=self._words - 1)

    def check_skip(self, encoder: nn.Module, layers: int) -> None:
        """Check that ``layers`` of the text encoder can be left out.

        Raises:
            InputError: it has not so many.
        """
        most: int = _config(encoder).num_hidden_layers
        if not (isinstance(layers, int) and 0 <= layers <= most):
            raise InputError(
                f"expected a whole number, at most the {most} layers of the text encoder, got {layers!r}",
                place="clip_skip",
                remedy="leave it out",
            )

    def encode_pictures(self, pixels: Float[Tensor, "b 3 height width"]) -> LatentMoments:
        """The VAE's posterior for pictures with values in -1..1."""
        with torch.no_grad():
            posterior = self.vae.encode(pixels.to(runs_on(self.vae), self.vae.dtype)).latent_dist
        scale = self.vae.config.scaling_factor
        return LatentMoments(posterior.mean * scale, posterior.std * scale)

    def decode_latents(
        self, latents: Float[Tensor, "b channels height width"]
    ) -> Float[Tensor, "b 3 pixel_height pixel_width"]:
        """Pictures in float32, values about -1..1.

        An autoencoder that overflows in half precision, as SDXL's does, decodes again in float32.
        """
        scaled = latents / self.vae.config.scaling_factor
        with torch.no_grad():
            pixels = self.vae.decode(scaled.to(self.vae.dtype)).sample.float()
            if self.vae.dtype == torch.float16 and not pixels.isfinite().all():
                warnings.warn(
                    "base: the autoencoder overflows in fp16 and decodes in float32; bf16 would not",
                    Notice,
                    stacklevel=2,
                )
                pixels = self._vae_in_float32.decode(scaled.float()).sample
        return pixels

    @cached_property
    def _vae_in_float32(self) -> AutoencoderKL:
        # A copy: casting the autoencoder itself would disturb other threads that decode.
        return deepcopy(self.vae).float()

    def denoise(self, inputs: DenoiserInputs) -> Float[Tensor, "b channels height width"]:
        """One call of the UNet; with references two, of which the first runs these."""
        if inputs.references is None:
            return self._denoise(inputs)
        return self._denoise(inputs, {BANK: self._looked_at(inputs, inputs.references)})

    def _looked_at(self, inputs: DenoiserInputs, references: References) -> Bank:
        """The features of references that were run through the UNet, noised to the timestep.

        They are read with the prompt, and with what acts everywhere. Their noise is always the same.
        """
        latents, shown = references.latents, references.weight > 0
        bank = Bank(references.weight, shown)
        rows = bank.rows
        noise = torch.randn(latents.shape[2:], generator=torch.Generator().manual_seed(0)).to(latents)
        # Some schedulers have timesteps between those of training.
        times = inputs.timestep[rows].round().long()
        own = replace(
            inputs,
            sample=self.process.noisy(latents[shown], noise.expand(len(rows), -1, -1, -1), times),
            timestep=times,
            context=inputs.context[rows, : inputs.length],
            context_weight=None,
            prompt_length=None,
            sentences=1,
            grounding={
                slot: one.select(rows)
                for slot, one in inputs.grounding.items()
                if not (one.coverage or one.places)
            },
            residuals={},
            extras={name: extra[rows] for name, extra in inputs.extras.items()},
            references=None,
        )
        self._denoise(own, {BANK: bank})
        return replace(bank, reading=True)

    def _denoise(
        self, inputs: DenoiserInputs, shown: Mapping[Slot[Any], Any] | None = None
    ) -> Float[Tensor, "b channels height width"]:
        context, weight = inputs.context, inputs.context_weight
        if weight is not None and self.attention == "xformers":
            missing = -context.shape[1] % XFORMERS_KEY_MULTIPLE
            context = F.pad(context, (0, 0, 0, missing))
            weight = F.pad(weight, (*(0, 0) * (weight.ndim - 2), 0, missing))
            inputs = replace(inputs, context=context, context_weight=weight)
        residuals: dict[str, Any] = {}
        levels, nothing = self.sites("encoder_level"), inputs.sample.new_zeros(())
        if levels.keys() & inputs.residuals.keys():
            *down, mid = (inputs.residuals.get(site, nothing).to(self.dtype) for site in levels)
            residuals["down_block_additional_residuals"] = tuple(down)
            residuals["mid_block_additional_residual"] = mid
        added = self.conditions(inputs)
        pictures = [inputs.extras[name] for name in sorted(inputs.extras) if name.startswith(IP_ADAPTER)]
        if pictures:
            added["added_cond_kwargs"] = {**added.get("added_cond_kwargs", {}), "image_embeds": pictures}
        if inputs.residuals.keys() - levels.keys():
            blocks = self.sites("encoder_block").keys() - levels.keys()
            residuals["down_intrablock_additional_residuals"] = [
                inputs.residuals.get(site, nothing).to(self.dtype) for site in sorted(blocks)
            ]
        places: dict[Slot[Any], Any] = {}
        if weight is not None and weight.ndim > 2:  # finding the sites takes time
            places = shown_places(inputs, self.sites("cross_attention").values())
        with filled({**inputs.grounding, **places, **(shown or {})}):
            # torch cannot compile what asks a tensor which references are shown.
            return (self.denoiser if shown else self.unet)(
                inputs.sample.to(self.dtype),
                inputs.timestep,
                encoder_hidden_states=context.to(self.dtype),
                encoder_attention_mask=None if places else weight,
                **residuals,
                **added,
            ).sample

    def copy_encoder(self, embedding: Callable[[int], nn.Module]) -> UNetEncoderCopy:
        """Diffusers' ControlNet with the weights of the UNet, without LoRA."""
        copy = UNetEncoderCopy.from_unet(self.denoiser, load_weights_from_unet=False)
        copy.controlnet_cond_embedding = embedding(copy.config.block_out_channels[0])
        copy.levels, copy.conditions = tuple(self.sites("encoder_level")), self.conditions
        plain = plain_weights(self.denoiser, self.denoiser)
        copied = {name for name in copy.state_dict() if not name.startswith("controlnet_")}
        copy.load_state_dict({name: plain[name] for name in copied}, strict=False)
        return copy

    def write_gligen(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """In float32, as the layers were trained, and not quantized."""
        config = {**self.denoiser.config, "attention_type": "gated"}
        config.pop("quantization_config", None)
        unet = UNet2DConditionModel.from_config(config)
        unet.load_state_dict({**plain_weights(self.denoiser, self.denoiser), **weights})
        unet.save_pretrained(folder)

    def pictures_version(self) -> str:
        """Of the VAE."""
        return module_version(self.vae, self.vae.config)

    def _blocks(self) -> Iterator[Site]:
        """In the order of diffusers' ``down_intrablock_additional_residuals``, then the middle."""
        widths = self.denoiser.config.block_out_channels
        for number, (block, width) in enumerate(zip(self.denoiser.down_blocks, widths, strict=True)):
            # A block with attention is added to before it scales its features down, others after.
            scaled = not getattr(block, "has_cross_attention", False) and bool(block.downsamplers)
            yield Site(f"down_blocks.{number}", "encoder_block", width, block, stride=2 ** (number + scaled))
        stride = 2 ** (len(widths) - 1)
        yield Site("mid_block", "encoder_block", widths[-1], self.denoiser.mid_block, stride=stride)

    def _levels(self) -> Iterator[Site]:
        """In the order of diffusers' ``down_block_additional_residuals``, the middle last."""
        widths = self.denoiser.config.block_out_channels
        yield Site("conv_in", "encoder_level", widths[0], self.denoiser.conv_in)
        for number, (block, width) in enumerate(zip(self.denoiser.down_blocks, widths, strict=True)):
            attentions = "attentions" if getattr(block, "attentions", None) else "resnets"
            for layer, module in enumerate(getattr(block, attentions)):
                name = f"down_blocks.{number}.{attentions}.{layer}"
                yield Site(name, "encoder_level", width, module, stride=2**number)
            for layer, module in enumerate(block.downsamplers or ()):
                name = f"down_blocks.{number}.downsamplers.{layer}"
                yield Site(name, "encoder_level", width, module, stride=2 ** (number + 1))
        stride = 2 ** (len(widths) - 1)
        yield Site("mid_block", "encoder_level", widths[-1], self.denoiser.mid_block, stride=stride)


def _config(network: nn.Module) -> Any:
    return network.config


def _reader(block: BasicTransformerBlock, denoiser: nn.Module) -> ContextReader:
    """A copy of the cross-attention of a block and of the norm before it, without LoRA and hooks."""
    own, norm = block.attn2, block.norm2
    copy = Attention(
        query_dim=own.query_dim,
        cross_attention_dim=own.cross_attention_dim,
        heads=own.heads,
        dim_head=own.inner_dim // own.heads,
        bias=own.use_bias,
    )
    copy.load_state_dict(plain_weights(own, denoiser))
    before = nn.LayerNorm(norm.normalized_shape, eps=norm.eps, elementwise_affine=norm.elementwise_affine)
    before.load_state_dict(plain_weights(norm, denoiser))
    return ContextReader(norm=before, attention=copy)
