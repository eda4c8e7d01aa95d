"""Gated self-attention over graph tokens and their boxes, as in GLIGEN (arXiv 2301.07093)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from graphcond.adapters.base import InjectionSite, Injector
from graphcond.adapters.block_hooks import BetweenAttentions
from graphcond.adapters.gated_block import GatedBlock, key_of
from graphcond.adapters.gligen_weights import read_gligen
from graphcond.adapters.position_net import PositionNet
from graphcond.adapters.precision import computed_like
from graphcond.component import ComponentConfig
from graphcond.errors import InputError
from graphcond.types import DenoiserInputs, GraphTokens, Grounding, GroundingSlot, Signal
from graphcond.weights import check_weights

NEAR_ZERO = 0.01
"""Gates whose mean |tanh| is below this count as closed."""

Absent = Literal["masked", "null"]


class GatedSelfAttentionInjector(Injector[GraphTokens]):
    """Lets every transformer block of the denoiser look at graph tokens between its two attentions.

    Its layers stand beside the denoiser and hooks carry what they add into it, so attention kernels, LoRA
    and other injectors may come and go. Several add in the order in which they were injected. A target
    without graph, or at ``scale`` 0, gets the base's own output, bit for bit.

    Args:
        absent: tokens that are not present are hidden (``masked``), or shown as GLIGEN's learned nulls
            (``null``), with which released GLIGEN weights give what GLIGEN gives.
        slots: with ``null``, how many tokens are shown at least; nulls fill up the rest.
    """

    reads: ClassVar[type[Signal]] = GraphTokens

    def __init__(self, *, absent: Absent = "masked", slots: int = 30) -> None:
        super().__init__()
        self.absent, self.slots = absent, slots
        self.position_net: PositionNet | None = None
        self.blocks = nn.ModuleDict()
        self._slot = GroundingSlot()
        self._attached: list[BetweenAttentions] = []
        self._ratios: dict[str, Tensor] = {}

    @property
    def injected(self) -> bool:
        """Whether its layers are in a denoiser now."""
        return bool(self._attached)

    def inject(self, base: InjectionSite) -> None:
        """Build the layers, float32, for the widths of ``base`` and hook them in.

        Layers of an earlier injection are kept: trained ones move from one base to another of its widths.

        Raises:
            InputError: the base has no transformer blocks of the right kind, or other widths than before.
            RuntimeError: injected already.
        """
        if self.injected:
            raise RuntimeError("gated self-attention is injected already; eject it first")
        sites = base.transformer_blocks()
        self._build(sites, base.token_width)
        self.to(device=base.unet.device, dtype=torch.float32)
        self._attached = [BetweenAttentions(site, partial(self._added, name)) for name, site in sites.items()]

    def eject(self) -> None:
        """Take the hooks away; the layers stay here."""
        for attachment in self._attached:
            attachment.remove()
        self._attached = []

    def apply(  # type: ignore[override]
        self, inputs: DenoiserInputs, signal: GraphTokens | None, scale: float = 1.0
    ) -> DenoiserInputs:
        """Inputs with the tokens of ``signal`` for the denoiser's gated layers.

        Raises:
            RuntimeError: not injected.
        """
        if signal is None or scale == 0 or not bool(signal.present.any()):
            return inputs
        return replace(inputs, grounding={**inputs.grounding, self._slot: self._grounding(signal, scale)})

    def load_gligen(self, weights: str | Path | dict[str, Tensor]) -> None:
        """Take position net and gated layers from a GLIGEN UNet in diffusers' layout.

        Args:
            weights: its state dict, or the folder of the UNet or of the whole model.

        Raises:
            InputError: no such file, or weights for another base.
            RuntimeError: not injected.
        """
        if self.position_net is None:
            raise RuntimeError("the layers are made for a base: inject first")
        found, place = read_gligen(weights)
        check_weights(found, self.state_dict(), place=place)
        self.load_state_dict(found)

    def figures(self) -> dict[str, float]:
        """Mean |tanh| of the gates alpha and beta, and mean over blocks of |added| / |v| in the last call.

        The ratio counts the targets with a graph alone; it is missing before the first call.
        """
        if not self.blocks:
            return {}
        gates = {"gate_attention": self._gate("alpha_attn"), "gate_feed_forward": self._gate("alpha_dense")}
        if not self._ratios:
            return gates
        return gates | {"added_to_features": torch.stack(list(self._ratios.values())).mean().item()}

    def unused(self) -> str | None:
        """Says so where both gates are still below `NEAR_ZERO`."""
        if not self.blocks or max(self._gate("alpha_attn"), self._gate("alpha_dense")) >= NEAR_ZERO:
            return None
        return (
            f"the gates of gated self-attention are near 0 (mean |tanh| below {NEAR_ZERO}), "
            "so the graph hardly changes the picture: train longer or raise the learning rate"
        )

    def _added(self, name: str, visual: Float[Tensor, "b v w"]) -> Float[Tensor, "b v w"] | None:
        grounding = self._slot.value
        if grounding is None:
            return None
        with computed_like(visual):
            delta: Tensor = self.blocks[key_of(name)](visual, grounding)
        shown = (grounding.strength != 0)[:, None, None]
        delta = torch.where(shown, delta, 0.0)
        with torch.no_grad():
            self._ratios[name] = delta.norm().float() / (visual * shown).norm().float().clamp(min=1e-12)
        return delta

    def _build(self, sites: Mapping[str, Any], token_width: int) -> None:
        new = nn.ModuleDict({key_of(name): _block(name, site, token_width) for name, site in sites.items()})
        if not new:
            raise InputError("has no transformer blocks", place="base", remedy="use a Stable Diffusion UNet")
        if self.position_net is None:
            self.position_net, self.blocks = PositionNet(token_width), new
        elif _shapes(new) != _shapes(self.blocks):
            raise InputError(
                "its layers were made for a base of other widths",
                place="gated self-attention",
                remedy="inject a new one",
            )

    def _grounding(self, signal: GraphTokens, scale: float) -> Grounding:
        if self.position_net is None or not self.injected:
            raise RuntimeError("gated self-attention is not injected")
        if self.absent == "null":
            signal = _filled_up(signal, self.slots)
        boxes, boxed = signal.boxes, signal.boxed
        if boxes is None or boxed is None:
            boxes = signal.tokens.new_zeros(*signal.tokens.shape[:2], 4)
            boxed = torch.zeros_like(signal.present)
        with computed_like(signal.tokens):
            tokens = self.position_net(signal.tokens, signal.present, boxes.float(), boxed & signal.present)
        present = torch.ones_like(signal.present) if self.absent == "null" else signal.present
        return Grounding(tokens, present, signal.has_graph.to(tokens.dtype) * scale)

    def _gate(self, name: str) -> float:
        gates = torch.stack([getattr(block, name).detach() for block in self.blocks.values()])
        return gates.tanh().abs().mean().item()


class GatedSelfAttentionConfig(ComponentConfig):
    """Let the denoiser look at graph tokens, and where they are, through gated self-attention (GLIGEN)."""

    component: ClassVar = GatedSelfAttentionInjector
    kind: Literal["gated_self_attention"] = "gated_self_attention"
    absent: Absent = "masked"
    """Hide tokens that are not there, or show learned nulls in their place as GLIGEN does."""
    slots: int = Field(30, ge=1)
    """With `absent: null`, how many tokens are shown at least."""

    def build(self, *, signal_width: int | None = None) -> GatedSelfAttentionInjector:
        """The injector, without layers until injected; tokens are as wide as the base's."""
        return GatedSelfAttentionInjector(**self.model_dump(exclude={"kind"}))


def _block(name: str, site: Any, token_width: int) -> GatedBlock:
    if not getattr(site, "use_layer_norm", False) or site.only_cross_attention:
        raise InputError(
            f"'{name}' is no block with self-attention behind a plain layer norm",
            place="base",
            remedy="use a Stable Diffusion 1.x or 2.x UNet",
        )
    return GatedBlock(
        width=site.dim,
        token_width=token_width,
        heads=site.num_attention_heads,
        head_width=site.attention_head_dim,
    )


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: parameter.shape for name, parameter in module.named_parameters()}


def _filled_up(signal: GraphTokens, slots: int) -> GraphTokens:
    missing = max(0, slots - signal.tokens.shape[1])
    return GraphTokens(
        F.pad(signal.tokens, (0, 0, 0, missing)),
        F.pad(signal.present, (0, missing)),
        None if signal.boxes is None else F.pad(signal.boxes, (0, 0, 0, missing)),
        None if signal.boxed is None else F.pad(signal.boxed, (0, missing)),
    )
