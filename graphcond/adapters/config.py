"""Configs of injectors. Nothing here imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from pydantic import Field, model_validator

from graphcond.bases.config import SiteKind
from graphcond.config import ComponentConfig, Names, by_kind, lazy_registry
from graphcond.errors import InputError
from graphcond.signals import GraphTokens, LayoutMap, Signal

if TYPE_CHECKING:
    from graphcond.adapters.base import Injector
    from graphcond.adapters.lora import LoraInjector

Place: TypeAlias = Literal["append", "replace", "add"]
Visible: TypeAlias = Literal["everywhere", "in_boxes"]
Absent: TypeAlias = Literal["masked", "null"]
Placing: TypeAlias = Literal["fourier", "coverage"]
Keys: TypeAlias = Literal["both", "tokens"]
Start: TypeAlias = Literal["gates", "zero", "cross_attention"]

ATTENTION_PROJECTIONS = ("to_q", "to_k", "to_v", "to_out.0")
"""The linear layers of every attention of a diffusers model."""


class InjectorFields(ComponentConfig):
    """Config of an injector, with facts that a recipe is checked by before the injector is imported."""

    reads: ClassVar[type[Signal] | None]
    """The signal that the injector reads; None for one that is the same for every graph."""

    needs_sites: ClassVar[frozenset[SiteKind]] = frozenset()
    """The kinds of sites that the injector can attach to; empty for one that fits every denoiser."""

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
    """`in_boxes`: at each place of the picture, a graph token counts as much as its box covers of it."""

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


class ControlNetConfig(InjectorFields):
    """Read a layout through a trainable copy of the denoiser's encoder half (ControlNet)."""

    component = "graphcond.adapters.controlnet:ControlNetInjector"
    reads = LayoutMap
    needs_sites = frozenset({"encoder_level"})
    kind: Literal["controlnet"] = "controlnet"
    layout_width: int | None = Field(None, ge=1)
    """Channels of the layouts; as many as the encoder gives unless said."""
    guess_mode: bool = False
    """Weigh residuals from 0.1 at the finest level to 1 in the middle, for prompts that say nothing."""

    def build(self, *, signal_width: int | None = None) -> Injector[Any]:
        """The injector, without its copy until injected.

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


class IPAdapterConfig(InjectorFields):
    """Let cross-attention read graph tokens with keys and values of their own (IP-Adapter)."""

    component = "graphcond.adapters.ip_adapter:IPAdapterInjector"
    reads = GraphTokens
    needs_sites = frozenset({"cross_attention"})
    kind: Literal["ip_adapter"] = "ip_adapter"
    visible: Visible = "everywhere"
    """`in_boxes`: each place of the picture sees a graph token as much as its box covers of that place."""
    site_scales: dict[str, float] = Field(default_factory=dict)
    """A factor for the sites whose names start so: `{up_blocks: 1, down_blocks: 0}`; 1 for all others."""
    init: str | None = Field(None, min_length=1)
    """A released IP-Adapter (safetensors) to start from."""


class LoraConfig(InjectorFields):
    """Low-rank updates of the denoiser, trained beside the graph modules."""

    component = "graphcond.adapters.lora:LoraInjector"
    reads = None
    kind: Literal["lora"] = "lora"
    rank: int = Field(16, ge=1)
    """Rank of the update."""
    alpha: float | None = Field(None, gt=0)
    """The update is scaled by alpha / rank; as large as the rank unless given."""
    targets: Names = Field(ATTENTION_PROJECTIONS, min_length=1)
    """Ends of the names of the layers to adapt."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping an input in training."""
    weight_decomposed: bool = False
    """Train magnitude and direction apart (DoRA)."""

    def build(self, *, signal_width: int | None = None) -> LoraInjector:
        """The injector, not yet injected; it reads no signal, so ``signal_width`` does not matter."""
        injector: LoraInjector = self.make()
        return injector


def _injectors() -> dict[str, type[ComponentConfig]]:
    return by_kind(
        (
            PromptTokenConfig,
            GatedSelfAttentionConfig,
            IPAdapterConfig,
            ControlNetConfig,
            LoraConfig,
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
