"""FLUX.2 Klein as a base: joint attention over text and picture, and flow matching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import partial
from threading import local
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel, SchedulerMixin
from diffusers.loaders import Flux2LoraLoaderMixin
from diffusers.models.attention_processor import Attention
from diffusers.models.transformers.transformer_flux2 import Flux2Attention
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu
from einops import rearrange
from jaxtyping import Float, Int64
from pydantic import ValidationError
from torch import Tensor, nn
from transformers import Qwen2TokenizerFast, Qwen3ForCausalLM

from graphcond.bases.base import Base, LatentMoments, Site
from graphcond.bases.base_files import INDEX, explained, read_config
from graphcond.bases.chat_prompts import ChatPrompts
from graphcond.bases.config import PACKAGED, DType, Quantize, SiteKind
from graphcond.bases.cut_prompts import CutPrompt
from graphcond.bases.flux2_config import TINY_TOKENS, Flux2Config, flux2_facts
from graphcond.bases.joint_weights import joint_bias
from graphcond.bases.loading import load_part, load_scheduler, load_tokenizer, number_format
from graphcond.bases.noise_process import Flow
from graphcond.bases.quantization import quantized
from graphcond.bases.sites import Addition, ContextReader, filled, plain_weights
from graphcond.config import as_input_error
from graphcond.denoiser_inputs import DenoiserInputs, Slot
from graphcond.io.fingerprint import fingerprint, module_version
from graphcond.io.tensors import loaded, runs_on, without_hooks
from graphcond.signals import TextTokens

PROMPTS_AT_ONCE = 8
"""Prompts in one call of the text encoder, which keeps the states of all its layers."""

PICTURE: Slot[slice] = Slot()
"""Where the picture is in the sequence of a single-stream block: behind the context, before references."""


class Flux2Base(Base):
    """A frozen FLUX.2 Klein model.

    A context token joins states at a quarter, half and three quarters of the text encoder's depth. A latent
    is a square of 2 x 2 of the autoencoder's, normalized. The denoiser attends to padding, too. Context
    tokens that come as many as the prompt has, have its positions, and all others the position behind it:
    their order does not matter. The positions of the picture are on other axes.

    Args:
        transformer: the denoiser.
        vae: pictures to latents and back.
        text_encoder: prompts to context tokens.
        tokenizer: text to ids, with a chat template.
        scheduler: the noise solver that `new_scheduler` copies.
        tokens: of a prompt; longer prompts are cut.
        embedded_guidance: input of a denoiser with guidance distilled into it; others take none.
        distilled: the model was distilled to few steps, and draws with a text scale of 1.
    """

    weighs_places: ClassVar[bool] = True
    takes_references: ClassVar[bool] = True
    advised_references: ClassVar[int | None] = 4  # docs.bfl.ml/guides/prompting_editing_overview
    lora_mixin: ClassVar[Any] = Flux2LoraLoaderMixin

    def __init__(
        self,
        *,
        transformer: Flux2Transformer2DModel,
        vae: AutoencoderKLFlux2,
        text_encoder: Qwen3ForCausalLM,
        tokenizer: Qwen2TokenizerFast,
        scheduler: SchedulerMixin,
        tokens: int = 512,
        embedded_guidance: float = 4.0,
        distilled: bool = False,
    ) -> None:
        process = Flow(scheduler, drawing_exponent=compute_empirical_mu)
        super().__init__(
            denoiser=transformer,
            others=(vae, text_encoder),
            scheduler=scheduler,
            facts=flux2_facts(
                transformer.config,
                vae.config,
                token_count=tokens,
                predicts=process.predicts,
                distilled=distilled,
            ),
            process=process,
        )
        self.transformer, self.vae = transformer, vae
        self.text_encoder, self.tokenizer = text_encoder, tokenizer
        single = range(len(transformer.single_transformer_blocks))
        self.attention_projections = (
            *Base.attention_projections,
            "to_qkv_mlp_proj",  # in blocks with a single stream
            *(f"single_transformer_blocks.{number}.attn.to_out" for number in single),
        )
        self._prompts, self._guidance = ChatPrompts(tokenizer, tokens), embedded_guidance
        depth = text_encoder.config.num_hidden_layers
        self._layers = tuple(depth * quarter // 4 for quarter in (1, 2, 3))  # 9, 18 and 27 of Qwen3's 36

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str,
        *,
        device: torch.device | str = "cpu",
        dtype: DType = "fp32",
        quantize: Quantize | None = None,
        attention: Literal["auto", "sdpa"] = "auto",
        revision: str | None = None,
        variant: str | None = None,
        gradient_checkpointing: bool = False,
        tokens: int | None = None,
        embedded_guidance: float = 4.0,
    ) -> Flux2Base:
        """Load a base, frozen; the settings are those of `Flux2Config`.

        Args:
            name_or_folder: ``tiny-dit`` for the one inside the package, a folder, or an id on the hub.
            device: where to put it.
            dtype: number format of the weights.
            quantize: the weights of the denoiser's linear layers in fewer bits, ``int8`` or ``nf4``.
            attention: attention kernel.
            revision: a branch, tag or commit of a hub model.
            variant: the variant of the weight files.
            gradient_checkpointing: recompute the denoiser's activations in the backward pass.
            tokens: of a prompt; unless given as many as the model was trained with, for ``tiny-dit`` at most.
            embedded_guidance: as for `Flux2Base`.

        Raises:
            InputError: the model is missing, incomplete or of another kind, the device or the dtype is not
                there, or a setting is not one of `Flux2Config`.
        """
        if name_or_folder in PACKAGED:
            tokens = min(TINY_TOKENS if tokens is None else tokens, TINY_TOKENS)
        tokens = 512 if tokens is None else tokens
        name_or_folder = str(PACKAGED.get(name_or_folder, name_or_folder))
        asked: dict[str, Any] = {
            "tokens": tokens,
            "embedded_guidance": embedded_guidance,
            "attention": attention,
        }
        try:
            files = Flux2Config(model=name_or_folder, revision=revision, variant=variant, **asked)
        except ValidationError as error:
            raise as_input_error(error, Flux2Config, "base") from None
        options: dict[str, Any] = {"revision": revision, "variant": variant, "dtype": number_format(dtype)}
        index = read_config(name_or_folder, INDEX, revision=revision) or {}
        with explained(files), quantized(cls.denoiser_name, quantize):
            base = cls(
                transformer=load_part(Flux2Transformer2DModel, name_or_folder, "transformer", **options),
                vae=load_part(AutoencoderKLFlux2, name_or_folder, "vae", **options),
                text_encoder=load_part(Qwen3ForCausalLM, name_or_folder, "text_encoder", **options),
                tokenizer=load_tokenizer(name_or_folder, kind=Qwen2TokenizerFast, revision=revision),
                scheduler=load_scheduler(name_or_folder, revision=revision),
                tokens=tokens,
                embedded_guidance=embedded_guidance,
                distilled=bool(index.get("is_distilled")),
            )
        base.loaded_as = files.model_copy(update={"dtype": dtype, "quantize": quantize})
        return base.placed(device, "sdpa", gradient_checkpointing=gradient_checkpointing)

    def sites(self, kind: SiteKind) -> Mapping[str, Site]:
        """The blocks and the joint attentions in them, first those with two streams."""
        found: dict[str, Site] = {}
        lists = ("transformer_blocks", "single_transformer_blocks")
        blocks: dict[str, Any] = {
            f"{name}.{number}": block
            for name in lists
            for number, block in enumerate(getattr(self.transformer, name))
        }
        for name, block in blocks.items():
            width, heads = block.attn.inner_dim, block.attn.heads
            if kind == "joint_attention":
                name = f"{name}.attn"
                beside = partial(BesideJointAttention, block.attn)  # which calls with the queries themselves
                found[name] = Site(
                    name, kind, width, block.attn, heads, attach=beside, queries=lambda queries: queries
                )
            elif kind == "block":
                attach, reader = partial(BeforeBlock, block), partial(self._reader, block)
                found[name] = Site(name, kind, width, block, heads, attach=attach, reader=reader)
        return found

    def _reader(self, block: Any) -> ContextReader:
        """What the picture reads of the context in a block: without modulation, and all at one place."""
        attention, plain = block.attn, plain_weights(block.attn, self.transformer)
        if isinstance(attention, Flux2Attention):
            norm, queries, keys, values = block.norm1, *(plain[f"{name}.weight"] for name in DOUBLE)
            key_norm, out = plain["norm_added_k.weight"], plain["to_out.0.weight"]
        else:
            inner = attention.inner_dim
            norm, (queries, keys, values) = block.norm, plain["to_qkv_mlp_proj.weight"][: 3 * inner].chunk(3)
            key_norm, out = plain["norm_k.weight"], plain["to_out.weight"][:, :inner]
        copy = Attention(
            query_dim=attention.query_dim,
            cross_attention_dim=attention.query_dim,
            heads=attention.heads,
            dim_head=attention.head_dim,
            qk_norm="rms_norm",
            eps=attention.norm_q.eps,
            out_bias=False,
        )
        copy.load_state_dict(
            {
                "to_q.weight": queries,
                "to_k.weight": keys,
                "to_v.weight": values,
                "to_out.0.weight": out,
                "norm_q.weight": plain["norm_q.weight"],
                "norm_k.weight": key_norm,
            }
        )
        embedder, norm = without_hooks(self.transformer.context_embedder), without_hooks(norm)
        with loaded(self.transformer.context_embedder, "cpu", within=self.transformer):
            context = nn.Sequential(deepcopy(embedder), deepcopy(norm))
        return ContextReader(norm=deepcopy(norm), attention=copy, context=context)

    @torch.no_grad()
    def encode_prompt(self, prompts: Sequence[str]) -> TextTokens:
        """Token ids, the states of three layers side by side, and which tokens are not padding."""
        found = self._prompts.tokens(prompts).to(runs_on(self.text_encoder))
        hidden = [
            torch.cat([states[layer] for layer in self._layers], dim=-1)
            for ids, mask in zip(
                found.input_ids.split(PROMPTS_AT_ONCE),
                found.attention_mask.split(PROMPTS_AT_ONCE),
                strict=True,
            )
            for states in [
                self.text_encoder(
                    ids, attention_mask=mask, output_hidden_states=True, use_cache=False, logits_to_keep=1
                ).hidden_states
            ]
        ]
        return TextTokens(found.input_ids, torch.cat(hidden), found.attention_mask.bool())

    def token_spans(self, prompts: Sequence[str]) -> Int64[Tensor, "b n 2"]:
        """From the tokenizer."""
        return self._prompts.spans(prompts)

    def cut_prompts(self, prompts: Sequence[str]) -> list[CutPrompt]:
        """From the tokenizer."""
        return self._prompts.cut(prompts)

    @torch.no_grad()
    def encode_pictures(self, pixels: Float[Tensor, "b 3 height width"]) -> LatentMoments:
        """The VAE's posterior for pictures with values in -1..1."""
        posterior = self.vae.encode(pixels.to(runs_on(self.vae), self.vae.dtype)).latent_dist
        mean, std = self._statistics(posterior.mean)
        return LatentMoments((_packed(posterior.mean) - mean) / std, _packed(posterior.std) / std)

    @torch.no_grad()
    def decode_latents(
        self, latents: Float[Tensor, "b channels height width"]
    ) -> Float[Tensor, "b 3 pixel_height pixel_width"]:
        """Pictures in float32, values about -1..1."""
        mean, std = self._statistics(latents)
        unpacked = rearrange(latents * std + mean, "b (c p q) h w -> b c (h p) (w q)", p=2, q=2)
        return self.vae.decode(unpacked.to(self.vae.dtype)).sample.float()

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation by which the channels of latents are normalized."""
        norm = self.vae.bn
        mean, variance = (one.view(1, -1, 1, 1).to(like) for one in (norm.running_mean, norm.running_var))
        return mean, (variance + self.vae.config.batch_norm_eps).sqrt()

    def denoise(self, inputs: DenoiserInputs) -> Float[Tensor, "b channels height width"]:
        """One call of the transformer. A token of weight w counts w times in the softmax.

        References stand behind the picture, each at a time of its own, as in diffusers' Flux2KleinPipeline.
        """
        (height, width), length = inputs.sample.shape[2:], inputs.context.shape[1]
        prompt = self.facts.token_count if inputs.prompt_length is None else inputs.prompt_length
        at = [place % prompt if place < inputs.sentences * prompt else prompt for place in range(length)]
        bias = joint_bias(inputs)
        picture = rearrange(inputs.sample, "b c h w -> b (h w) c")
        places = _places(range(height), range(width), [0], device=self.device)
        if inputs.references is not None:
            latents = inputs.references.latents.to(picture)
            count, rows, columns = latents.shape[1], *latents.shape[3:]
            times = [10 + 10 * number for number in range(count)]
            there = _places(range(rows), range(columns), [0], times=times, device=self.device)
            picture = torch.cat([picture, rearrange(latents, "b k c h w -> b (k h w) c")], dim=1)
            places = torch.cat([places, there])
        told = inputs.sample.new_full((len(inputs.sample),), self._guidance)
        with filled({**inputs.grounding, PICTURE: slice(length, length + height * width)}):
            found = self.transformer(
                picture.to(self.dtype),
                encoder_hidden_states=inputs.context.to(self.dtype),
                timestep=inputs.timestep.to(self.dtype) / self.process.steps,
                img_ids=places,
                txt_ids=_places([0], [0], at, device=self.device),
                guidance=told if self.transformer.config.guidance_embeds else None,
                joint_attention_kwargs=None if bias is None else {"attention_mask": bias.to(self.dtype)},
            ).sample
        return rearrange(found[:, : height * width], "b (h w) c -> b c h w", h=height)

    def pictures_version(self) -> str:
        """Of the VAE and its statistics."""
        return module_version(self.vae, self.vae.config)

    def prompts_version(self) -> str:
        """Of tokenizer and text encoder, and of how many tokens a prompt has."""
        tokenizer = self.tokenizer.backend_tokenizer.to_str(), self.tokenizer.chat_template
        encoder = module_version(self.text_encoder, self.text_encoder.config.to_dict())
        return fingerprint(encoder, tokenizer, self._layers, self.facts.token_count)


DOUBLE = ("to_q", "add_k_proj", "add_v_proj")
"""The layers of a block with two streams that make the picture's queries, and keys and values of text."""


class BeforeBlock:
    """A hook that adds to the picture's features as a block reads them, until `remove` is called.

    Several additions add up. The text, in front of the picture in a block with a single stream, stays.

    Args:
        block: of the transformer.
        addition: called with the picture's features in every pass through the block, recomputed ones too.
    """

    def __init__(self, block: nn.Module, addition: Addition) -> None:
        self._addition = addition
        self._handle = block.register_forward_pre_hook(self, with_kwargs=True)

    def remove(self) -> None:
        """Take the hook away."""
        self._handle.remove()

    def __call__(
        self, block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """What the block is called with, changed; None to leave it."""
        # Checkpointed blocks are called with positions, others with names.
        sequence: Tensor = args[0] if args else kwargs["hidden_states"]
        streams = args[1] if args else kwargs["encoder_hidden_states"]
        picture = _picture(single=streams is None)
        added = self._addition(sequence[:, picture])
        if added is None:
            return None
        sequence = _plus(sequence, picture, added)
        return ((sequence, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": sequence})


class BesideJointAttention:
    """Hooks that add to what the picture has read in a joint attention, before its output projection.

    The queries are those before the rotation by places, as in the IP-Adapters of FLUX.1
    (``FluxIPAdapterAttnProcessor`` of diffusers). What text and references read stays.

    Args:
        attention: of a block with two streams or one.
        addition: called in every pass with the picture's queries, heads side by side.
    """

    def __init__(self, attention: Any, addition: Addition) -> None:
        self._addition, self._single = addition, not isinstance(attention, Flux2Attention)
        self._entered = local()  # several threads may run one denoiser
        out = attention.to_out if self._single else attention.to_out[0]
        self._handles = [
            attention.norm_q.register_forward_hook(self._enter),
            out.register_forward_pre_hook(self._add),
        ]

    def remove(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()

    def _enter(self, norm: nn.Module, args: tuple[Tensor, ...], queries: Tensor) -> None:
        self._entered.queries = queries[:, _picture(self._single)].flatten(2)

    def _add(self, projection: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        queries, self._entered.queries = self._entered.queries, None
        added = self._addition(queries)
        if added is None:
            return None
        # Behind what was read, a block with a single stream has the hidden features of its feedforward.
        added = F.pad(added, (0, args[0].shape[-1] - added.shape[-1]))
        return (_plus(args[0], _picture(self._single), added), *args[1:])


def _picture(single: bool) -> slice:
    """Where the picture is in the sequence of a block."""
    place = PICTURE.value or slice(None)
    if single or place.stop is None:
        return place
    return slice(place.stop - place.start)


def _plus(sequence: Tensor, place: slice, added: Tensor) -> Tensor:
    """A sequence with something added at a part of it."""
    before, there, behind = sequence.tensor_split((place.start or 0, place.stop or sequence.shape[1]), dim=1)
    return torch.cat([before, there + added, behind], dim=1)


def _packed(latents: Float[Tensor, "b c h w"]) -> Float[Tensor, "b packed h2 w2"]:
    """Each square of 2 x 2 as one place."""
    return rearrange(latents, "b c (h p) (w q) -> b (c p q) h w", p=2, q=2)


def _places(
    rows: Sequence[int],
    columns: Sequence[int],
    tokens: Sequence[int],
    *,
    times: Sequence[int] = (0,),
    device: torch.device,
) -> Int64[Tensor, "s 4"]:
    """Positions of a sequence on the axes time, height, width and text."""
    axes = (times, rows, columns, tokens)
    return torch.cartesian_prod(*(torch.tensor(axis, device=device) for axis in axes))
