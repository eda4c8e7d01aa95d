"""Configs of bases, and what their files say about them. Nothing here loads torch.

`BaseFields` is what every base config has. A package that brings a base of its own derives its config
from it and names the class under the entry point ``graphcond.bases``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from graphcond.config import ComponentConfig, lazy_registry, registered
from graphcond.errors import InputError

if TYPE_CHECKING:
    import torch

    from graphcond.bases.base import Base

SiteKind = Literal["cross_attention", "joint_attention", "block", "encoder_level", "encoder_block"]
"""The kinds of places in a denoiser where an injector may act; see `graphcond.bases.base.Site`."""

DType = Literal["fp32", "fp16", "bf16"]
AttentionChoice = Literal["auto", "sdpa", "xformers"]
Quantize = Literal["int8", "nf4"]

TINY_FOLDER = Path(str(files("graphcond.bases"))) / "tiny"
"""The base inside the package."""
PACKAGED = {name: TINY_FOLDER.with_name(name) for name in ("tiny", "tiny-dit", "emoji")}
"""The folders of the bases inside the package, by the name that stands for each in place of a folder."""

TIMESTEPS: Mapping[str, tuple[str, ...]] = {
    "epsilon": ("uniform", "high_noise"),
    "v_prediction": ("uniform", "high_noise"),
    "flow": ("logit_normal", "uniform", "high_noise"),
}
"""The predictions of denoisers, each with its distributions of training timesteps, the default first."""


@dataclass(frozen=True)
class BaseFacts:
    """The sizes and the prediction type of a base, which a config gives before any weight is loaded.

    Args:
        token_width: c, width of the context tokens that the denoiser reads.
        token_count: n, tokens in an encoded prompt, padding included.
        latent_channels: channels of the latents.
        pixels_per_latent: side of the square of pixels that one latent covers.
        default_size: side in pixels of the pictures that the denoiser was trained on.
        multiple: heights and widths of pictures in pixels are multiples of it.
        predicts: the prediction type, a key of `TIMESTEPS`.
        extras: tensors of a prompt beside its tokens, by name, with the shape of one row.
        distilled: guidance by the text is distilled into the denoiser, which has no prediction without text.
    """

    token_width: int
    token_count: int
    latent_channels: int
    pixels_per_latent: int
    default_size: int
    multiple: int
    predicts: str
    extras: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    distilled: bool = False

    def check_text_scale(self, scale: float, place: str) -> None:
        """Check that the base can draw with this s_T.

        Raises:
            InputError: it is distilled.
        """
        if self.distilled and scale != 1:
            raise InputError(
                f"the scale {scale:g} needs a prediction without text, which a distilled base does not have",
                place=place,
                remedy="set it to 1, or use the undistilled base",
            )


def predicted_by(class_name: str, config: Mapping[str, object]) -> str:
    """The prediction type of the denoiser that a diffusers scheduler config is for, as in `BaseFacts`.

    Args:
        class_name: of the scheduler.
        config: its settings.
    """
    prediction = config.get("prediction_type") or "epsilon"
    if class_name.startswith("Flow") or config.get("use_flow_sigmas") or prediction == "flow_prediction":
        return "flow"
    return str(prediction)


def check_training(predicts: str, timesteps: str, min_snr_gamma: float | None) -> None:
    """Check that a denoiser can be trained in this way.

    Args:
        predicts: its prediction type.
        timesteps: ``auto`` for the process's own distribution, or the name of one.
        min_snr_gamma: of min-SNR weighting; None without.

    Raises:
        InputError: names the setting that does not fit.
    """
    if predicts not in TIMESTEPS:
        raise InputError(
            f"expected a base that predicts {', '.join(TIMESTEPS)}, got one that predicts '{predicts}'",
            place="base",
            remedy="use another base",
        )
    if timesteps not in ("auto", *TIMESTEPS[predicts]):
        raise InputError(
            f"'{timesteps}' does not fit a base that predicts '{predicts}'",
            place="training.timesteps",
            remedy=f"use {', '.join(('auto', *TIMESTEPS[predicts]))}",
        )
    if predicts == "flow" and min_snr_gamma is not None:
        raise InputError(
            "min-SNR weights are not defined for a base with flow matching",
            place="training.min_snr_gamma",
            remedy="leave it out",
        )


class BaseFields(ComponentConfig):
    """The settings that every base has."""

    sites: ClassVar[frozenset[SiteKind]]
    """The kinds of sites that the base publishes."""
    predicts: ClassVar[frozenset[str]] = frozenset(TIMESTEPS)
    """Prediction types of denoisers of this kind, as in `BaseFacts`; other schedulers are refused."""
    text_tower: ClassVar[bool] = False
    """True if the base has a CLIP text encoder that an encoder may start from; see `Base.text_tower`."""
    weighs_places: ClassVar[bool] = False
    """As `Base.weighs_places`."""
    takes_references: ClassVar[bool] = False
    """As `Base.takes_references`."""
    parts: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """The folders that the base consists of, each with the library and class of its content."""
    index: ClassVar[Mapping[str, object]] = {}
    """The pipeline class and the omitted parts in diffusers' ``model_index.json``."""
    index_settings: ClassVar[frozenset[str]] = frozenset()
    """Keys of ``index`` whose values are those of the model at hand."""
    reshipped: ClassVar[bool] = False
    """True if its weights are inside the package and have changed since models began to record theirs."""

    dtype: DType = "fp32"
    """Number format of the frozen weights."""
    quantize: Quantize | None = None
    """The weights of the denoiser's linear layers in fewer bits than `dtype`, in which it computes: `int8` by
    torchao, or on a GPU `nf4` (4 bits) by bitsandbytes."""
    attention: AttentionChoice = "auto"
    """Attention kernel; `auto` takes xformers where it runs."""
    gradient_checkpointing: bool = False
    """Recompute the denoiser's activations in the backward pass: less memory, more time."""
    channels_last: bool = False
    """Lay the weights of the denoiser's convolutions out with their channels last: faster on CPUs."""

    @property
    def network(self) -> str:
        """The model, as the user would name it."""
        return self.kind

    def check(self) -> None:
        """Check that the files are there and are those of such a base, as far as they are on this machine.

        Raises:
            InputError: names the problem, and the setting to use.
        """

    @abstractmethod
    def facts(self) -> BaseFacts | None:
        """The facts, if they can be read without a download; None otherwise.

        Raises:
            InputError: the files are there, but are not those of such a base.
        """

    @abstractmethod
    def folder(self) -> Path:
        """The folder of the base's files on this machine.

        Raises:
            InputError: it is not on this machine.
        """

    @abstractmethod
    def build(self, *, device: torch.device) -> Base:
        """Load the base, frozen.

        Raises:
            InputError: it is missing or incomplete, or the attention kernel cannot run.
        """


STABLE_DIFFUSION: Mapping[str, tuple[str, str]] = {
    "unet": ("diffusers", "UNet2DConditionModel"),
    "vae": ("diffusers", "AutoencoderKL"),
    "text_encoder": ("transformers", "CLIPTextModel"),
    "tokenizer": ("transformers", "CLIPTokenizer"),
    "scheduler": ("diffusers", "SchedulerMixin"),
}
STABLE_DIFFUSION_INDEX: Mapping[str, object] = {
    "_class_name": "StableDiffusionPipeline",
    "safety_checker": [None, None],
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
}


class FolderFields(BaseFields):
    """Config of a base in a folder or on the hub, in diffusers' layout."""

    model: str
    """A folder, or a model id on the Hugging Face hub."""
    revision: str | None = None
    """A branch, tag or commit of the hub model."""
    variant: str | None = None
    """The variant of the weight files, such as `fp16`."""

    @property
    def network(self) -> str:
        """As the setting `model` says."""
        return self.model

    def check(self) -> None:
        """Check a folder of the model."""
        from graphcond.bases.base_files import check_folder

        check_folder(type(self), self.model, self.variant)

    def facts(self) -> BaseFacts | None:
        """The facts that the model's config files give."""
        from graphcond.bases.base_files import folder_facts

        return folder_facts(self)

    @abstractmethod
    def facts_of(self, parts: Mapping[str, Mapping[str, Any]]) -> BaseFacts:
        """The facts that the config files of the parts give.

        Args:
            parts: the content of each part's file, without tokenizers and processors.
        """

    def folder(self) -> Path:
        """The folder, or that of a hub model that is downloaded."""
        from graphcond.bases.base_files import local_folder

        return local_folder(self.model, revision=self.revision)

    def build(self, *, device: torch.device) -> Base:
        """Load the model, frozen."""
        from graphcond.bases.quantization import quantized

        self.check()
        settings = self.model_dump(exclude={"kind", "model", "quantize", "channels_last"})
        kind = self.component_class()
        with quantized(kind.denoiser_name, self.quantize):
            base: Base = kind.from_pretrained(self.model, device=device, **settings)
        if self.channels_last:
            base.put_channels_last()
        base.loaded_as = self
        return base


class UNetFields(FolderFields):
    """Config of a base whose denoiser is diffusers' ``UNet2DConditionModel``."""

    sites: ClassVar[frozenset[SiteKind]] = frozenset(
        {"cross_attention", "block", "encoder_level", "encoder_block"}
    )
    predicts: ClassVar[frozenset[str]] = frozenset({"epsilon", "v_prediction"})
    text_tower = True
    weighs_places = True
    takes_references = True

    def facts_of(self, parts: Mapping[str, Mapping[str, Any]]) -> BaseFacts:
        """The facts that the config files of the parts give."""
        from graphcond.bases.base_files import unet_facts

        return unet_facts(
            type(self),
            parts["unet"],
            parts["vae"],
            parts["scheduler"],
            token_count=int(parts["text_encoder"]["max_position_embeddings"]),
            pooled=int(parts["text_encoder_2"]["projection_dim"]) if "text_encoder_2" in parts else None,
            place=self.model,
        )


class StableDiffusionConfig(UNetFields):
    """Any Stable Diffusion 1.x or 2.x model in diffusers' folder layout."""

    component = "graphcond.bases.stable_diffusion:StableDiffusionBase"
    parts: ClassVar[Mapping[str, tuple[str, str]]] = STABLE_DIFFUSION
    index: ClassVar[Mapping[str, object]] = STABLE_DIFFUSION_INDEX

    kind: Literal["stable_diffusion"] = "stable_diffusion"
    model: str = "stable-diffusion-v1-5/stable-diffusion-v1-5"
    """A folder, or a model id on the Hugging Face hub."""


class StableDiffusionXLConfig(UNetFields):
    """Any SDXL base model in diffusers' folder layout; not its refiner."""

    component = "graphcond.bases.stable_diffusion_xl:StableDiffusionXLBase"
    parts: ClassVar[Mapping[str, tuple[str, str]]] = {
        **STABLE_DIFFUSION,
        "text_encoder_2": ("transformers", "CLIPTextModelWithProjection"),
        "tokenizer_2": ("transformers", "CLIPTokenizer"),
    }
    index: ClassVar[Mapping[str, object]] = {
        "_class_name": "StableDiffusionXLPipeline",
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "force_zeros_for_empty_prompt": True,
    }
    index_settings = frozenset({"force_zeros_for_empty_prompt"})

    kind: Literal["sdxl"] = "sdxl"
    model: str = "stabilityai/stable-diffusion-xl-base-1.0"
    """A folder, or a model id on the Hugging Face hub."""


PUBLISHED = (
    *("component", "sites", "predicts", "text_tower", "weighs_places", "takes_references"),
    *("parts", "index", "index_settings"),
)
"""What a family of bases says of itself."""


class PackagedFields(BaseFields):
    """Config of a base inside the package: 64 px, trained by us, in the layout of a public family."""

    layout: ClassVar[type[FolderFields]]
    """The family."""
    features: ClassVar[Mapping[str, str]]
    """A recipe's features by the CLIP that belongs to the base."""
    graph_world: ClassVar[str]
    """The world of neighbors that the base draws."""
    scene_world: ClassVar[str | None] = None
    """The world of scenes that the base draws."""
    section: ClassVar[str | None] = None
    """The section of a recipe that is for this base alone; that of the base `tiny` is for all of them."""
    made_by: ClassVar[str]
    """The scripts that make the weights."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Take over what the family publishes."""
        super().__init_subclass__(**kwargs)
        for name in PUBLISHED:
            setattr(cls, name, getattr(cls.layout, name))

    def check(self) -> None:
        """Check that this installation has the weights."""
        if not (self.folder() / "model_index.json").is_file():
            raise InputError(
                f"the weights of the base '{self.kind_name()}' are not in this installation",
                place="base.kind",
                remedy=f"use another base, or make them: {self.made_by}/README.md",
            )

    def facts(self) -> BaseFacts | None:
        """The facts of the packaged model."""
        return self._model().facts()

    def folder(self) -> Path:
        """The folder inside the package."""
        return PACKAGED[self.kind_name()]

    def build(self, *, device: torch.device) -> Base:
        """Load the packaged model, frozen."""
        self.check()
        return self._model().build(device=device)

    def _model(self) -> FolderFields:
        return self.layout(model=str(self.folder()), **self.model_dump(exclude={"kind"}))


class TinyConfig(PackagedFields):
    """The base of the procedural worlds, paintings and scenes."""

    layout = StableDiffusionConfig
    reshipped: ClassVar[bool] = True
    features = MappingProxyType({"kind": "tiny"})
    graph_world = "art"
    scene_world = "scenes"
    section = "tiny"
    made_by = "scripts/tiny_base"

    kind: Literal["tiny"] = "tiny"


class EmojiConfig(PackagedFields):
    """The base that draws emoji and knows their studios by name."""

    layout = StableDiffusionConfig
    features = MappingProxyType({"kind": "clip", "model": "emoji"})
    graph_world = "emoji"
    made_by = "scripts/emoji"

    kind: Literal["emoji"] = "emoji"


def packaged_bases() -> dict[str, type[PackagedFields]]:
    """The configs of the bases inside the package, by kind."""
    from graphcond.bases.flux2_config import TinyDitConfig  # it derives from a class above

    return {config.kind_name(): config for config in (TinyConfig, TinyDitConfig, EmojiConfig)}


def _bases() -> dict[str, type[BaseFields]]:
    from graphcond.bases.flux2_config import Flux2Config  # it derives from a class above

    return registered(
        (StableDiffusionConfig, StableDiffusionXLConfig, Flux2Config, *packaged_bases().values()),
        "graphcond.bases",
        name=lambda config: config.kind_name(),
        accepts=lambda found: (
            isinstance(found, type)
            and issubclass(found, BaseFields)
            and getattr(found, "sites", None) is not None
        ),
        expected="a BaseFields config that names its `sites`",
    )


if TYPE_CHECKING:
    BASES: dict[str, type[BaseFields]]
    """Every base config by its kind, plug-ins included."""
    BaseConfig: TypeAlias = BaseFields
    """The pydantic type of a base in a recipe."""
else:
    __getattr__ = lazy_registry(__name__, "BASES", "BaseConfig", _bases)
