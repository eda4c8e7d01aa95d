"""Configs of injectors. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from pydantic import Field, field_validator, model_validator

from graphcond.bases.config import SiteKind
from graphcond.config import ComponentConfig, Names, by_kind, lazy_registry
from graphcond.errors import InputError
from graphcond.signals import GraphTokens, LayoutMap, ReferenceLatents, Signal

if TYPE_CHECKING:
    from graphcond.adapters.base import Injector
    from graphcond.adapters.lora import LoraInjector

Place: TypeAlias = Literal["append", "replace", "add"]
Visible: TypeAlias = Literal["everywhere", "in_boxes"]
Absent: TypeAlias = Literal["masked", "null"]
Placing: TypeAlias = Literal["fourier", "coverage"]
Activation: TypeAlias = Literal["linear", "relu", "leakyrelu", "elu", "swish", "tanh", "sigmoid"]
Hint: TypeAlias = Literal["layout", "picture"]
Keys: TypeAlias = Literal["both", "tokens"]
Start: TypeAlias = Literal["gates", "zero", "cross_attention"]


class InjectorFields(ComponentConfig):
    """Config of an injector, with facts that a recipe is checked by before the injector is imported."""

    reads: ClassVar[type[Signal] | None]
    """The signal that the injector reads; None for one that is the same for every graph."""

    needs_sites: ClassVar[frozenset[SiteKind]] = frozenset()
    """The kinds of sites that the injector can attach to; empty for one that fits every denoiser."""

    needs_references: ClassVar[bool] = False
    """True if the base must take references."""

    groups: ClassVar[frozenset[str]] = frozenset()
    """The groups of its parameters that may have learning rates of their own."""

    @property
    def needs_alignment(self) -> bool:
        """True if graph tokens must be aligned to the words of a sentence."""
        return False

    @property
    def weighs_places(self) -> bool:
        """True if the base must weigh tokens otherwise at each place of the picture."""
        return False

    def build(self, *, signal_width: int | None = None) -> Injector[Any]:
        """The injector, not yet injected.

        Args:
            signal_width: channels of the layouts that the encoder gives; tokens are as wide as the base's.

        Raises:
            InputError: the injector does not fit the signal.
        """
        injector: Injector[Any] = self.make()
        return injector


class PromptTokenConfig(InjectorFields):
    """Append graph tokens to the prompt's tokens, put them in their place, or add them to words."""

    component = "graphcond.adapters.prompt_tokens:PromptTokenInjector"
    reads = GraphTokens
    needs_sites = frozenset({"cross_attention", "joint_attention"})
    kind: Literal["prompt_tokens"] = "prompt_tokens"
    place: Place = "append"
    """`append` graph tokens to the prompt's, `replace` the prompt of targets that have a graph, or `add` them
    behind a gate to the words of the graph's sentence, which then stands in the prompt's place."""
    visible: Visible = "everywhere"
    """`in_boxes`: at each place, a graph token counts as much as its box covers of it; small boxes win."""

    @property
    def needs_alignment(self) -> bool:
        """To add tokens to words."""
        return self.place == "add"

    @property
    def weighs_places(self) -> bool:
        """To show tokens in boxes."""
        return self.visible == "in_boxes"


class GatedSelfAttentionConfig(InjectorFields):
    """Let the denoiser look at graph tokens, and where they are, through gated self-attention (GLIGEN)."""

    component = "graphcond.adapters.gated_self_attention:GatedSelfAttentionInjector"
    reads = GraphTokens
    needs_sites = frozenset({"block"})
    groups = frozenset({"gates", "new"})
    kind: Literal["gated_self_attention"] = "gated_self_attention"
    absent: Absent = "masked"
    """Hide tokens that are not there, or show learned nulls in their place as GLIGEN does."""
    slots: int = Field(30, ge=1)
    """With `absent: null`, how many tokens are shown at least."""
    place: Placing = "fourier"
    """How the picture finds the place of a token: by Fourier features of its box in it (GLIGEN), or also by
    `coverage`, the share of each cell that the box covers, which needs far less training."""
    keys: Keys = "both"
    """The attention reads tokens beside the picture's own features (`both`, GLIGEN), or `tokens` alone."""
    start: Start = "gates"
    """The start: GLIGEN's closed `gates`; open gates before layers that give `zero`; or a copy of the block's
    own `cross_attention`, which changes the picture at once and trains fastest."""

    @model_validator(mode="after")
    def _settings_that_fit(self) -> GatedSelfAttentionConfig:
        check_gated(absent=self.absent, place=self.place, keys=self.keys, start=self.start)
        return self


def check_gated(*, absent: Absent, place: Placing, keys: Keys, start: Start) -> None:
    """Check that the settings of gated self-attention suit each other.

    Raises:
        InputError: they do not.
    """
    if start == "cross_attention" and keys == "both":
        raise InputError(
            "start 'cross_attention' reads tokens alone, and keys is 'both'",
            place="gated_self_attention",
            remedy="set keys to 'tokens'",
        )
    if absent == "null" and place == "coverage":
        raise InputError(
            "with place 'coverage' the nulls of absent tokens would be seen everywhere",
            place="gated_self_attention",
            remedy="set absent to 'masked'",
        )


class LayoutFields(InjectorFields):
    """The common settings of injectors that read layouts."""

    component: ClassVar[str | type[Any]]
    reads = LayoutMap
    layout_width: int | None = Field(None, ge=1)
    """Channels of the layouts; as many as the encoder gives unless said."""

    def build(self, *, signal_width: int | None = None) -> Injector[Any]:
        """The injector, which makes its network when it is injected.

        Args:
            signal_width: channels of the layouts that the encoder gives.

        Raises:
            InputError: `layout_width` says otherwise.
        """
        if None not in (signal_width, self.layout_width) and signal_width != self.layout_width:
            raise InputError(
                f"expected {self.layout_width} channels, the encoder gives {signal_width}",
                place="injector.layout_width",
                remedy="leave it out",
            )
        injector: Injector[Any] = self.make(layout_width=signal_width or self.layout_width)
        return injector


class ControlNetConfig(LayoutFields):
    """Read a layout through a trainable copy of the denoiser's encoder half (ControlNet)."""

    component = "graphcond.adapters.controlnet:ControlNetInjector"
    needs_sites = frozenset({"encoder_level"})
    kind: Literal["controlnet"] = "controlnet"
    guess_mode: bool = False
    """Weigh residuals from 0.1 at the finest level to 1 in the middle, for prompts that say nothing."""
    hint: Hint = "layout"
    """Read the layout as large as the latents (`layout`), or as large as the picture through the embedding of
    released ControlNets (`picture`)."""
    init: str | None = Field(None, min_length=1)
    """A released ControlNet to start from: a folder of diffusers, or an id on the hub."""


class T2IAdapterConfig(LayoutFields):
    """Read a layout through a small network, whose features are added inside the denoiser's encoder."""

    component = "graphcond.adapters.t2i_adapter:T2IAdapterInjector"
    needs_sites = frozenset({"encoder_block"})
    kind: Literal["t2i_adapter"] = "t2i_adapter"
    downscale: int = Field(1, ge=1, le=64)
    """Side, in pixels of the layout, of what becomes one feature of the first level; released files read
    pictures at 8, or 16 for SDXL."""
    res_blocks: int = Field(2, ge=1, le=16)
    """Residual blocks of each level."""
    init: str | None = Field(None, min_length=1)
    """A released T2I-Adapter to start from: a folder of diffusers, or an id on the hub."""


class IPAdapterConfig(InjectorFields):
    """Let attention read graph tokens with keys and values of their own (IP-Adapter)."""

    component = "graphcond.adapters.ip_adapter:IPAdapterInjector"
    reads = GraphTokens
    needs_sites = frozenset({"cross_attention", "joint_attention"})
    kind: Literal["ip_adapter"] = "ip_adapter"
    visible: Visible = "everywhere"
    """`in_boxes`: each place of the picture sees a graph token as much as its box covers of that place."""
    site_scales: dict[str, float] = Field(default_factory=dict)
    """A factor for the sites whose names start so: `{up_blocks: 1, down_blocks: 0}`; 1 for all others."""
    init: str | None = Field(None, min_length=1)
    """A released IP-Adapter (safetensors) to start from."""


class ReferencesConfig(InjectorFields):
    """Let self-attention look at the neighbors' pictures as they are; nothing is trained."""

    component = "graphcond.adapters.references:ReferencesInjector"
    reads = ReferenceLatents
    needs_references = True
    kind: Literal["references"] = "references"


class LoraConfig(InjectorFields):
    """Low-rank updates of the denoiser, trained beside the graph modules."""

    component = "graphcond.adapters.lora:LoraInjector"
    reads = None
    kind: Literal["lora"] = "lora"
    rank: int = Field(16, ge=1)
    """Rank of the update."""
    alpha: float | None = Field(None, gt=0)
    """The update is scaled by alpha / rank; as large as the rank unless given."""
    targets: Names | None = Field(None, min_length=1)
    """Ends of the names of the layers to adapt; unless given, the projections of the base's attentions."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping an input in training."""
    weight_decomposed: bool = False
    """Train magnitude and direction apart (DoRA)."""
    init: str | None = Field(None, min_length=1)
    """A LoRA of others, such as one of a style, in the layout of diffusers, kohya or peft: a file, or its
    folder. Layers, ranks and alphas are those of the file."""
    train: bool = True
    """Train it; otherwise its weights stay as they were read."""

    def build(self, *, signal_width: int | None = None) -> LoraInjector:
        """The injector, not yet injected; it reads no signal, so ``signal_width`` does not matter."""
        injector: LoraInjector = self.make()
        return injector


class DiffFitConfig(InjectorFields):
    """Update biases, norms and a scale for each block of the denoiser."""

    component = "graphcond.adapters.difffit:DiffFitInjector"
    reads = None
    kind: Literal["difffit"] = "difffit"


class HypernetworkConfig(InjectorFields):
    """Put small networks before the keys and values of the denoiser's attention."""

    component = "graphcond.adapters.hypernetwork:HypernetworkInjector"
    reads = None
    needs_sites = frozenset({"cross_attention"})
    kind: Literal["hypernetwork"] = "hypernetwork"
    widths: tuple[int, ...] | None = Field(None, min_length=1)
    """Of the tokens that are changed; those of the context that cross-attention reads, unless given."""
    activation: Activation = "linear"
    """Between the layers of each network."""
    structure: tuple[float, ...] = (1, 2, 1)
    """Widths between the layers, as multiples of that of the tokens; the first and the last are 1."""
    layer_norm: bool = False
    """A norm follows each layer."""
    activate_output: bool = False
    """The activation follows the last layer too, as in the first files of the web interfaces."""
    init: str | None = Field(None, min_length=1)
    """A file in NovelAI's layout to start from."""

    @field_validator("structure")
    @classmethod
    def _leads_back(cls, structure: tuple[float, ...]) -> tuple[float, ...]:
        check_structure(structure)
        return structure


def check_structure(structure: Sequence[float]) -> None:
    """Check that the layers of a hypernetwork lead from the width of the tokens to that width.

    Raises:
        InputError: they do not.
    """
    if len(structure) < 2 or structure[0] != 1 or structure[-1] != 1 or min(structure) <= 0:
        raise InputError(
            f"expected multiples of the tokens' width that begin and end with 1, got {list(structure)}",
            place="hypernetwork.structure",
            remedy="write it as in [1, 2, 1]",
        )


REFUSED_METHODS = {
    "pissa": "it rewrites the weights of the base, which then cannot be restored",
    "c3a": "its update is not 0 at the start",
    "fourierft": "its update is not 0 at the start",
    "vera": "its layers share matrices, so that none is complete without the others",
}
"""Methods of peft that do not keep the contract of an injector, and why."""


class PeftConfig(InjectorFields):
    """Update layers of the denoiser by a method of peft, such as LoKr, OFT or IA3."""

    component = "graphcond.adapters.peft:PeftInjector"
    reads = None
    kind: Literal["peft"] = "peft"
    method: str = "lokr"
    """A type of peft's in lower case (`lora`, `loha`, `lokr`, `oft`, `boft`, `ia3`, `miss`, `ln_tuning`,
    `randlora`, `shira`, `delora`, `road`, `gralora`, `waveft`, `hira`), or `dora` or `rslora`."""
    targets: Names | None = Field(None, min_length=1)
    """Ends of the names of the layers to adapt; unless given, the projections of the base's attentions, or
    for `ln_tuning` the norms."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Passed on to peft's own config, by peft's names: `{r: 8, rank_pattern: {...}}`."""
    init: str | None = Field(None, min_length=1)
    """A folder that peft wrote, to start from; the settings in it count."""
    train: bool = True
    """Train it; otherwise its weights stay as they were read."""

    @model_validator(mode="before")
    @classmethod
    def _keys_of_peft_are_settings(cls, values: Any) -> Any:
        unknown = [key for key in values if key not in cls.model_fields] if isinstance(values, dict) else []
        if unknown:
            raise ValueError(
                f"'{unknown[0]}' is none of {', '.join(cls.model_fields)}; "
                "write what peft's own config has under settings, such as settings: {r: 8}"
            )
        return values

    @model_validator(mode="after")
    def _kept(self) -> PeftConfig:
        check_peft(self.method, self.settings)
        return self


def check_peft(method: str, settings: Mapping[str, Any]) -> None:
    """Check that a method of peft is not one that is known to break the contract of an injector.

    Raises:
        InputError: it is.
    """
    start = str(settings.get("init_lora_weights", "")).partition("_")[0]
    for name in (method, start):
        if name in REFUSED_METHODS:
            raise InputError(
                f"the method '{name}' cannot be used: {REFUSED_METHODS[name]}",
                place="peft.method",
                remedy="use another, such as lora, lokr or oft",
            )


def _injectors() -> dict[str, type[ComponentConfig]]:
    return by_kind(
        (
            PromptTokenConfig,
            GatedSelfAttentionConfig,
            IPAdapterConfig,
            ReferencesConfig,
            ControlNetConfig,
            T2IAdapterConfig,
            LoraConfig,
            PeftConfig,
            DiffFitConfig,
            HypernetworkConfig,
        ),
        "graphcond.injectors",
        InjectorFields,
    )


if TYPE_CHECKING:
    INJECTORS: dict[str, type[ComponentConfig]]
    """Every injector config by its kind, plug-ins included."""
    InjectorConfig: TypeAlias = InjectorFields
    """The pydantic type of an injector in a recipe."""
else:
    __getattr__ = lazy_registry(__name__, "INJECTORS", "InjectorConfig", _injectors)
