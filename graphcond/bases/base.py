"""The contract of a base: a frozen denoiser with its autoencoder and text encoder, and what it publishes.

Nothing outside this room knows which denoiser is inside a base. Samplers, encoders, injectors, training and
drawing ask for what stands here. A new base derives from `Base`; the rows of
``tests/conformance/test_bases.py`` are its acceptance test.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self, runtime_checkable

import torch
from diffusers import SchedulerMixin
from diffusers.loaders import SanaLoraLoaderMixin
from jaxtyping import Float, Int64
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from graphcond.attributed_graph import ShortRepr
from graphcond.bases.config import BaseFacts, BaseFields, SiteKind
from graphcond.bases.cut_prompts import CutPrompt
from graphcond.bases.noise_process import NoiseProcess
from graphcond.bases.sites import Addition, ContextReader, recomputed
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.errors import InputError
from graphcond.io.fingerprint import weights_sketch
from graphcond.io.tensors import other_family, pick_device, runs_on
from graphcond.signals import TextTokens


@runtime_checkable
class Attachment(Protocol):
    """An addition that is attached to a site."""

    def remove(self) -> None:
        """Detach it and restore the site."""
        ...


@dataclass(frozen=True)
class Site:
    """A named place in a denoiser where an injector may act.

    Kinds: ``cross_attention`` reads context tokens. ``joint_attention`` has text and picture in one sequence.
    ``block`` lies where a transformer block is about to read the context, behind its self-attention if that
    is apart.
    ``encoder_level`` is a feature map on its way to the decoder, to which `DenoiserInputs.residuals` adds, by
    the name of the site; ``encoder_block`` one that the encoder itself reads on.

    Args:
        name: unique among the sites of its kind: the name of ``module`` in the denoiser.
        kind: the kind of attachment.
        width: channels of the features.
        module: the module itself.
        heads: of the attention there; 1 where there is none.
        stride: side, in latents, of the square that one feature covers.
        attach: for a ``block``: calls an addition with the site's features in every pass, recomputed ones
            included, and adds what it returns. For an attention: with the features of the picture that make
            its queries, and what it returns is added to what was read, before the output projection.
        queries: for an attention: the queries that these features make, heads side by side.
        keys_and_values: for a ``cross_attention``: the weights that make these of context tokens; None where
            the denoiser changes tokens before.
        reader: for a ``block``: makes a trainable copy of its cross-attention; None where it has none that
            can be copied.
    """

    name: str
    kind: SiteKind
    width: int
    module: nn.Module
    heads: int = 1
    stride: int = 1
    attach: Callable[[Addition], Attachment] | None = None
    reader: Callable[[], ContextReader] | None = None
    queries: Callable[[Tensor], Tensor] | None = None
    keys_and_values: Callable[[], tuple[Tensor, Tensor]] | None = None

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of picture features, for latents of ``height`` x ``width``."""
        return -(-height // self.stride), -(-width // self.stride)


@dataclass(frozen=True, repr=False)
class LatentMoments(ShortRepr):
    """Mean and standard deviation of latents, in the denoiser's scale."""

    mean: Float[Tensor, "b channels height width"]
    std: Float[Tensor, "b channels height width"]

    def to(self, device: torch.device | str) -> LatentMoments:
        """The same moments on another device."""
        return LatentMoments(self.mean.to(device), self.std.to(device))


class EncoderCopy(nn.Module, ABC):
    """A trainable copy of the encoder half of a denoiser, which shares no weight with it.

    It ends in one zero layer for each ``encoder_level`` site, so that at the start its residuals are 0.
    """

    @abstractmethod
    def enable_gradient_checkpointing(self) -> None:
        """Recompute activations in the backward pass from now on."""

    @abstractmethod
    def disable_gradient_checkpointing(self) -> None:
        """Keep activations for the backward pass from now on."""

    @abstractmethod
    def zero_layers(self) -> Mapping[str, nn.Module]:
        """The layers that produce the residuals, by the name of their site."""

    def write_controlnet(self, folder: Path, channels: int, widths: Sequence[int]) -> None:
        """Write a folder that diffusers' ``ControlNetModel.from_pretrained`` reads.

        Args:
            folder: where to.
            channels: of the pictures that its embedding reads.
            widths: of that embedding's layers.

        Raises:
            InputError: diffusers has no ControlNet like it.
        """
        raise InputError(
            f"diffusers has no ControlNet like a {type(self).__name__}",
            place="base",
            remedy="use a base of Stable Diffusion or SDXL",
        )

    @abstractmethod
    def residuals(
        self,
        inputs: DenoiserInputs,
        hint: Float[Tensor, "b c height width"],
        *,
        scale: float,
        guess_mode: bool,
    ) -> dict[str, Tensor]:
        """The residuals by site name. The copy reads the prompt's tokens alone.

        Args:
            inputs: of the denoiser.
            hint: the input of the copy's embedding; as large as the latents.
            scale: multiplies the residuals.
            guess_mode: weigh them from 0.1 at the finest level to 1 at the coarsest.
        """


class Base(ABC):
    """A frozen model that draws pictures, and the sites where injectors attach.

    Loading freezes all networks. Gradients flow through `denoise` to its inputs and to what injectors put
    into the denoiser, never to the base's own weights.

    Args:
        denoiser: the network whose layers injectors adapt.
        others: the other networks, such as autoencoder and text encoder.
        scheduler: the noise solver that `new_scheduler` copies.
        facts: sizes, and what the denoiser predicts.
        process: how the base was trained to denoise.
    """

    masks_padding: ClassVar[bool] = False
    """Whether the denoiser hides the padding of prompts. Stable Diffusion attends to it."""
    weighs_places: ClassVar[bool] = False
    """Whether `denoise` reads a `DenoiserInputs.context_weight` for each place of the picture."""
    takes_references: ClassVar[bool] = False
    """Whether `denoise` reads `DenoiserInputs.references`."""
    advised_references: ClassVar[int | None] = None
    """How many references of a picture the base was made for, where that is known."""
    lora_mixin: ClassVar[Any] = SanaLoraLoaderMixin
    """The diffusers class that writes and reads LoRA files of this family; by default a plain one."""
    text_arguments: ClassVar[frozenset[str]] = frozenset()
    """Arguments of drawing that `encode_beside` reads, by the names of diffusers' pipeline."""
    size_arguments: ClassVar[frozenset[str]] = frozenset()
    """Further arguments of drawing, that `size_extras` reads."""
    denoiser_name: ClassVar[str] = "transformer"
    """The name of the denoiser's folder in diffusers' layout, and of its part in a LoRA file."""
    attention_projections: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")
    """Ends of the names of the linear layers in the denoiser's attentions, which LoRA and peft adapt."""
    loaded_as: BaseFields | None = None
    """The config that loads it again, for models composed by hand; None for one that was made in Python."""

    def __init__(
        self,
        *,
        denoiser: nn.Module,
        others: Sequence[nn.Module],
        scheduler: SchedulerMixin,
        facts: BaseFacts,
        process: NoiseProcess,
    ) -> None:
        self.denoiser, self.others, self.scheduler = denoiser, tuple(others), scheduler
        self.facts, self.process = facts, process
        self.attention: Literal["sdpa", "xformers"] = "sdpa"
        for network in (denoiser, *self.others):
            network.requires_grad_(False)
            network.eval()

    @property
    def device(self) -> torch.device:
        """The device on which the denoiser computes, also where its weights are offloaded."""
        return runs_on(self.denoiser)

    @property
    def dtype(self) -> torch.dtype:
        """Number format in which the denoiser computes, that of its weights unless they are quantized."""
        return next(one.dtype for one in self.denoiser.parameters() if one.is_floating_point())

    @classmethod
    def loaders(cls) -> tuple[type, ...]:
        """The mixins of this family's pipelines in diffusers, whose methods `GraphPipeline` then has."""
        return (cls.lora_mixin,)

    @property
    def components(self) -> dict[str, Any]:
        """The networks and tokenizers, by the names that this family's pipelines in diffusers give them.

        They are the attributes of the base with these names.
        """
        kinds = nn.Module, PreTrainedTokenizerBase
        parts = {name: part for name, part in vars(self).items() if isinstance(part, kinds)}
        return {name: part for name, part in parts.items() if name != "denoiser"}

    def replace(self, name: str, part: Any) -> None:
        """Use another part from now on, such as a smaller autoencoder, or the denoiser as compiled by torch.

        Args:
            name: in `components`.
            part: the new one.

        Raises:
            InputError: it is another denoiser than the one to which injectors are attached.
        """
        if name == self.denoiser_name and getattr(part, "_orig_mod", part) is not self.denoiser:
            raise InputError(
                "the conditions are attached to this denoiser, and another cannot take its place",
                place=name,
                remedy="load the model with base=, a base that has the other denoiser",
            )
        old = getattr(self, name)
        setattr(self, name, part)
        self.others = tuple(part if one is old else one for one in self.others)

    @property
    def gradient_checkpointing(self) -> bool:
        """Whether the denoiser recomputes activations in the backward pass."""
        return bool(getattr(self.denoiser, "is_gradient_checkpointing", False))

    @property
    def text_tower(self) -> nn.Module | None:
        """The transformers ``CLIPTextModel`` that reads `TextTokens.ids`; None for a base without one.

        An encoder may take over its config and weights.
        """
        return None

    @property
    def tower_columns(self) -> slice:
        """The columns of a context token that hold the states of `text_tower`."""
        return slice(0, self.facts.token_width)

    def to(self, device: torch.device) -> None:
        """Move all networks to ``device``."""
        for network in (self.denoiser, *self.others):
            network.to(device)

    def put_channels_last(self) -> None:
        """Lay the weights of the denoiser's convolutions out with the channels last; their values stay."""
        self.denoiser.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def release(self) -> None:  # noqa: B027, most bases put nothing there
        """Take what the base itself put into its denoiser out again; the base cannot be used after that."""

    def set_attention(self, attention: Literal["sdpa", "xformers"]) -> None:
        """Run the denoiser on this attention kernel from now on.

        Raises:
            InputError: it has no other kernel than its own.
        """
        if attention != "sdpa":
            raise InputError(
                f"{type(self).__name__} does not run on it",
                place=f"base.attention: {attention}",
                remedy="set base.attention to 'sdpa'",
            )

    def enable_gradient_checkpointing(self) -> None:
        """Recompute the denoiser's activations in the backward pass from now on.

        What injectors placed inside it is shown the same groundings again.
        """
        denoiser: Any = self.denoiser
        denoiser.enable_gradient_checkpointing(recomputed)

    def placed(
        self,
        device: torch.device | str,
        attention: Literal["sdpa", "xformers"],
        *,
        gradient_checkpointing: bool,
    ) -> Self:
        """This base on a device, with an attention kernel, and with or without gradient checkpointing.

        Raises:
            InputError: it does not run on that kernel.
        """
        self.to(pick_device(device))
        self.set_attention(attention)
        if gradient_checkpointing:
            self.enable_gradient_checkpointing()
        return self

    def new_scheduler(self) -> SchedulerMixin:
        """A scheduler of the base's own kind, with no state."""
        return type(self.scheduler).from_config(self.scheduler.config)

    @abstractmethod
    def sites(self, kind: SiteKind) -> Mapping[str, Site]:
        """The sites of one kind by name, in the order in which the denoiser runs through them.

        Empty for a kind that this base does not publish.
        """

    def required_sites(self, *kinds: SiteKind) -> Mapping[str, Site]:
        """The sites of the first of ``kinds`` that the base publishes.

        Raises:
            InputError: it publishes none of them.
        """
        found = next((sites for kind in kinds if (sites := self.sites(kind))), None)
        if found is None:
            raise InputError(
                f"{type(self).__name__} has no sites of the kind {' or '.join(kinds)}",
                place="base",
                remedy="use another base or another injector",
            )
        return found

    @abstractmethod
    def encode_prompt(self, prompts: Sequence[str]) -> TextTokens:
        """Prompts as the denoiser reads them, padded and cut to `BaseFacts.token_count` tokens.

        ``extras`` has the names and the shapes of `BaseFacts.extras`.
        """

    def encode_skipping(self, prompts: Sequence[str], clip_skip: int) -> TextTokens:
        """As `encode_prompt`, with states from ``clip_skip`` layers earlier in the text encoder.

        Raises:
            InputError: the base cannot leave out layers, or has not so many.
        """
        raise InputError(
            f"{type(self).__name__} reads the last layer of its text encoder only",
            place="clip_skip",
            remedy="leave it out",
        )

    def encode_beside(
        self,
        prompts: Sequence[str],
        arguments: Mapping[str, Any],
        *,
        negative: bool = False,
        clip_skip: int | None = None,
    ) -> TextTokens:
        """As `encode_prompt`, with arguments that stand beside the prompt.

        Args:
            prompts: the prompts, or the negative ones.
            arguments: of `text_arguments`, by name; for a prompt and its negative one.
            negative: whether ``prompts`` are the negative ones.
            clip_skip: as for `encode_skipping`.

        Raises:
            InputError: an argument has a wrong value; or as `encode_skipping`.
        """
        return self.encode_prompt(prompts) if clip_skip is None else self.encode_skipping(prompts, clip_skip)

    def size_extras(
        self, arguments: Mapping[str, Any], rows: int, *, negative: bool = False
    ) -> dict[str, Tensor]:
        """What `size_arguments` add to `TextTokens.extras`, the same names for prompts and negative ones.

        Args:
            arguments: by name; for a prompt and its negative one.
            rows: of each tensor.
            negative: whether they are for the negative prompts.

        Raises:
            InputError: an argument has a wrong value.
        """
        return {}

    def token_spans(self, prompts: Sequence[str]) -> Int64[Tensor, "b n 2"]:
        """The characters of a prompt that each token of `encode_prompt` stands for: from, and up to.

        Both are 0 for tokens that stand for none: start, end and padding.

        Raises:
            InputError: the base cannot tell.
        """
        raise InputError(
            f"{type(self).__name__} does not tell which token stands for which word",
            place="base",
            remedy="use another base, or an encoder that does not align words with tokens",
        )

    def cut_prompts(self, prompts: Sequence[str]) -> list[CutPrompt]:
        """The prompts whose ends `encode_prompt` leaves out, each once; empty for a base that cannot tell."""
        return []

    @abstractmethod
    def encode_pictures(self, pixels: Float[Tensor, "b 3 height width"]) -> LatentMoments:
        """The latents of pictures with values in -1..1; ``std`` is 0 where the encoder is deterministic."""

    @abstractmethod
    def decode_latents(
        self, latents: Float[Tensor, "b channels height width"]
    ) -> Float[Tensor, "b 3 pixel_height pixel_width"]:
        """Pictures in float32, values about -1..1."""

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Channels, height and width of the latents of a picture of ``height`` x ``width`` pixels.

        Raises:
            InputError: a side is not a multiple of the pixels of one latent.
        """
        unit = self.facts.pixels_per_latent
        for name, pixels in (("height", height), ("width", width)):
            if pixels % unit:
                raise InputError(
                    f"{pixels} is not a multiple of {unit}", place=name, remedy=f"use a multiple of {unit}"
                )
        return self.facts.latent_channels, height // unit, width // unit

    def inputs(
        self, sample: Float[Tensor, "b channels height width"], timestep: Tensor, text: TextTokens
    ) -> DenoiserInputs:
        """The denoiser's inputs for a noisy sample and a prompt, before any injector adds to them."""
        weight = text.attended(True).float() if self.masks_padding else None
        return DenoiserInputs(sample, timestep, text.hidden, context_weight=weight, extras=text.extras)

    @abstractmethod
    def denoise(self, inputs: DenoiserInputs) -> Float[Tensor, "b channels height width"]:
        """One call of the denoiser, with everything in ``inputs`` acting as `DenoiserInputs` says."""

    def copy_encoder(self, embedding: Callable[[int], nn.Module]) -> EncoderCopy:
        """A float32 copy of the denoiser's encoder half, without injected modules.

        Args:
            embedding: makes, for the width of the copy's first features, the module that reads a hint
                before it is added to them.
        """
        raise NotImplementedError(f"{type(self).__name__} publishes no encoder_level sites")

    @abstractmethod
    def pictures_version(self) -> str:
        """A name that changes with whatever `encode_pictures` depends on."""

    @abstractmethod
    def prompts_version(self) -> str:
        """A name that changes with whatever `encode_prompt` depends on."""

    def weights_version(self) -> dict[str, str]:
        """Fingerprints of the weights of the ``denoiser`` and of the ``others``; see `weights_sketch`."""
        return {
            "denoiser": weights_sketch(self.denoiser),
            "others": " ".join(weights_sketch(network) for network in self.others),
        }

    def write_lora(self, folder: Path, weights: Mapping[str, Tensor], settings: Mapping[str, Any]) -> None:
        """Write a LoRA file that diffusers' ``load_lora_weights`` reads.

        Args:
            folder: where to.
            weights: by diffusers' names of layers.
            settings: of peft.
        """
        options = {"lora_layers": dict(weights), "lora_adapter_metadata": dict(settings)}
        self.lora_mixin.save_lora_weights(
            folder, **{f"{self.denoiser_name}_{name}": value for name, value in options.items()}
        )

    def write_gligen(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the denoiser with GLIGEN's layers as a folder of diffusers.

        Args:
            folder: where to.
            weights: of these layers, by diffusers' names.

        Raises:
            InputError: diffusers has no GLIGEN for this denoiser.
        """
        raise InputError(
            f"diffusers has no GLIGEN for a {type(self).__name__}",
            place="base",
            remedy="use a base of Stable Diffusion",
        )

    def lora_weights(self, weights: Mapping[str, Tensor], place: object) -> dict[str, Tensor]:
        """The weights in a LoRA file of this family, by diffusers' names of layers.

        Raises:
            InputError: they are not those of a LoRA in a layout that diffusers knows.
        """
        # Kohya's files for SDXL number blocks as the original code does; the config tells which are meant.
        config = {f"{self.denoiser_name}_config": self.denoiser.config}
        try:
            found = self.lora_mixin.lora_state_dict(dict(weights), **config)
        except (ValueError, KeyError) as error:
            family = other_family(weights, self.denoiser.state_dict())
            raise InputError(
                f"the weights are not those of a LoRA for a {type(self).__name__}"
                + (f", but for {family}" if family else ""),
                place=place,
                remedy="use a LoRA of this family of models",
            ) from error
        found = found[0] if isinstance(found, tuple) else found
        return {key.removeprefix(f"{self.denoiser_name}."): value for key, value in found.items()}


def check_published(base: Base, config: BaseFields) -> None:
    """Check that a loaded base has the facts that its config gave to the recipe check.

    Raises:
        InputError: it lacks sites of a kind, or its tokens or predictions are others.
    """
    facts = config.facts() or base.facts  # none are known of a hub model that is downloaded by loading it
    told: dict[str, object] = {f"sites '{kind}'": True for kind in sorted(config.sites)}
    found: dict[str, object] = {f"sites '{kind}'": bool(base.sites(kind)) for kind in config.sites}
    for name in ("token_width", "predicts"):
        told[name], found[name] = getattr(facts, name), getattr(base.facts, name)
    for name, value in told.items():
        if found[name] != value:
            raise InputError(
                f"{type(config).__name__} says {value}, {type(base).__name__} has {found[name]}",
                place=f"base '{config.kind}', {name}",
                remedy="correct the package that the base comes from",
            )
