"""Gated self-attention over graph tokens and their boxes, as in GLIGEN (arXiv 2301.07093)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from jaxtyping import Bool, Float
from torch import Tensor, nn

from graphcond.adapters.base import Injector, computed_like
from graphcond.adapters.config import Absent, GatedSelfAttentionConfig
from graphcond.bases.base import Attachment, Base
from graphcond.config import checked
from graphcond.denoiser_inputs import DenoiserInputs, Grounding, GroundingSlot
from graphcond.errors import InputError
from graphcond.io.tensors import check_weights, load_tensors
from graphcond.signals import GraphTokens, Signal

DEFAULT = GatedSelfAttentionConfig.model_construct()

FREQUENCIES = 8
"""Number of frequencies in the encoding of a coordinate."""

HIDDEN = 512
"""Width of the hidden layers, as released."""

_BASE = 100.0
"""Frequencies are its powers 0, 1/8 ... 7/8."""


def box_fourier(boxes: Float[Tensor, "b n 4"]) -> Float[Tensor, "b n f"]:
    """Sines and cosines of box coordinates (0..1), in the order in which GLIGEN lays them out."""
    powers = torch.arange(FREQUENCIES, device=boxes.device, dtype=boxes.dtype) / FREQUENCIES
    angles = boxes[..., None, :] * (_BASE**powers)[:, None]
    return torch.stack([angles.sin(), angles.cos()], dim=-2).flatten(-3)


def keep_scale(layer: nn.Linear) -> None:
    """Initialize a layer so that its output has the scale of its input, and without a bias.

    torch's own start shrinks it and adds a bias, so that after a few layers all tokens look alike; the gates
    then have little to open for.
    """
    nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
    nn.init.zeros_(layer.bias)


class PositionNet(nn.Module):
    """h = MLP([embedding, Fourier(box)]), with a learned null for either where it is missing.

    Parameters are named as in GLIGEN's released UNets (diffusers' layout).

    Args:
        width: c, of the embeddings and of h.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        position = FREQUENCIES * 2 * 4
        self.linears = nn.Sequential(
            nn.Linear(width + position, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, width),
        )
        for layer in self.linears:
            if isinstance(layer, nn.Linear):
                keep_scale(layer)
        self.null_positive_feature = nn.Parameter(torch.zeros(width))
        self.null_position_feature = nn.Parameter(torch.zeros(position))

    def forward(
        self,
        embeddings: Float[Tensor, "b n c"],
        embedded: Bool[Tensor, "b n"],
        boxes: Float[Tensor, "b n 4"],
        boxed: Bool[Tensor, "b n"],
    ) -> Float[Tensor, "b n c"]:
        """Tokens for gated self-attention.

        Args:
            embeddings: the embeddings of the slots.
            embedded: True where a slot has an embedding.
            boxes: x0 y0 x1 y1 in 0..1.
            boxed: True where a box is known.
        """
        what = torch.where(embedded[..., None], embeddings, self.null_positive_feature.to(embeddings))
        place = torch.where(boxed[..., None], box_fourier(boxes), self.null_position_feature.to(boxes))
        h: Tensor = self.linears(torch.cat([what, place.to(what)], dim=-1))
        return h


NEAR_ZERO = 0.01
"""Gates whose mean |tanh| is below this count as closed."""


@checked(GatedSelfAttentionConfig)
class GatedSelfAttentionInjector(Injector[GraphTokens]):
    """Lets every transformer block of the denoiser look at graph tokens between its two attentions.

    Its layers are kept beside the denoiser, and hooks add their output to it, so attention kernels, LoRA
    and other injectors may come and go. Several add in the order in which they were injected. A target
    without graph, or at ``scale`` 0, gets the base's own output, bit for bit.

    Args:
        absent: tokens that are not present are hidden (``masked``), or shown as GLIGEN's learned nulls
            (``null``), with which released GLIGEN weights give the result of GLIGEN.
        slots: with ``null``, how many tokens are shown at least; nulls fill up the rest.
    """

    reads: ClassVar[type[Signal]] = GraphTokens

    def __init__(self, *, absent: Absent = DEFAULT.absent, slots: int = DEFAULT.slots) -> None:
        super().__init__()
        self.absent, self.slots = absent, slots
        self.position_net: PositionNet | None = None
        self.blocks = nn.ModuleDict()
        self._slot = GroundingSlot()
        self._attached: list[Attachment] = []
        self._ratios: dict[str, Tensor] = {}

    @property
    def injected(self) -> bool:
        """True if the layers are injected in a denoiser."""
        return bool(self._attached)

    def inject(self, base: Base) -> None:
        """Build the layers, float32, for the widths of ``base`` and hook them in.

        Layers of an earlier injection are kept: trained ones move from one base to another of its widths.

        Raises:
            InputError: the base has no block sites, or other widths than before.
            RuntimeError: injected already.
        """
        if self.injected:
            raise RuntimeError("gated self-attention is injected already; eject it first")
        sites, token_width = base.required_sites("block"), base.facts.token_width
        new = nn.ModuleDict(
            {
                key_of(name): GatedBlock(
                    width=site.width,
                    token_width=token_width,
                    heads=site.heads,
                    head_width=site.width // site.heads,
                )
                for name, site in sites.items()
            }
        )
        if self.position_net is None:
            self.position_net, self.blocks = PositionNet(token_width), new
        elif _shapes(new) != _shapes(self.blocks):
            raise InputError(
                "its layers were made for a base of other widths",
                place="gated self-attention",
                remedy="inject a new one",
            )
        self.to(device=base.device, dtype=torch.float32)
        self._attached = [
            site.attach(partial(self._added, name)) for name, site in sites.items() if site.attach is not None
        ]

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
        if self.position_net is None or not self.injected:
            raise RuntimeError("gated self-attention is not injected")
        tokens, present, boxes, boxed = signal.tokens, signal.present, signal.boxes, signal.boxed
        if boxes is None or boxed is None:
            boxes, boxed = tokens.new_zeros(*present.shape, 4), torch.zeros_like(present)
        if self.absent == "null":  # nulls fill up the slots
            missing = max(0, self.slots - tokens.shape[1])
            tokens, boxes = F.pad(tokens, (0, 0, 0, missing)), F.pad(boxes, (0, 0, 0, missing))
            present, boxed = F.pad(present, (0, missing)), F.pad(boxed, (0, missing))
        with computed_like(tokens):
            tokens = self.position_net(tokens, present, boxes.float(), boxed & present)
        shown = torch.ones_like(present) if self.absent == "null" else present
        grounding = Grounding(tokens, shown, signal.has_graph.to(tokens.dtype) * scale)
        return replace(inputs, grounding={**inputs.grounding, self._slot: grounding})

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

    def _gate(self, name: str) -> float:
        gates = torch.stack([getattr(block, name).detach() for block in self.blocks.values()])
        return gates.tanh().abs().mean().item()


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: parameter.shape for name, parameter in module.named_parameters()}


class GatedBlock(nn.Module):
    """The layer between a block's self- and cross-attention; gates are 0 at the start.

    v + tanh(alpha) * SelfAttention([v, h])[: len(v)], then v + tanh(beta) * FF(v). Parameters are named
    as in GLIGEN's released UNets (diffusers' layout): alpha is ``alpha_attn``, beta ``alpha_dense``.

    Args:
        width: of the block's features v.
        token_width: c, of the grounding tokens.
        heads: of the attention.
        head_width: of each head.
    """

    def __init__(self, *, width: int, token_width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(token_width, width)
        keep_scale(self.linear)
        self.attn = Attention(query_dim=width, heads=heads, dim_head=head_width)
        self.ff = FeedForward(width, activation_fn="geglu")
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.alpha_attn = nn.Parameter(torch.zeros(()))
        self.alpha_dense = nn.Parameter(torch.zeros(()))

    def forward(self, visual: Float[Tensor, "b v w"], grounding: Grounding) -> Float[Tensor, "b v w"]:
        """The layer's residual for ``visual``; both gates are multiplied by the grounding's strength."""
        strength = grounding.strength.to(visual)[:, None, None]
        own = torch.ones(visual.shape[:2], dtype=torch.bool, device=visual.device)
        visible = torch.cat([own, grounding.present.to(visual.device)], dim=1)[:, None]
        keys = torch.cat([visual, self.linear(grounding.tokens.to(visual))], dim=1)
        seen = self.attn(
            self.norm1(visual),
            encoder_hidden_states=self.norm1(keys),
            attention_mask=visible,
        )
        first = strength * self.alpha_attn.tanh() * seen
        second = strength * self.alpha_dense.tanh() * self.ff(self.norm2(visual + first))
        return (first + second).to(visual.dtype)


def key_of(block_name: str) -> str:
    """A block's module name as a key of an ``nn.ModuleDict``, which allows no dots."""
    return block_name.replace(".", "/")


_STEM = "diffusion_pytorch_model"


def read_gligen(weights: str | Path | Mapping[str, Tensor]) -> tuple[dict[str, Tensor], object]:
    """Position net and gated layers of a GLIGEN UNet, named as in `GatedSelfAttentionInjector`.

    Args:
        weights: the state dict of the UNet, or the folder of the UNet or of the whole model.

    Returns:
        The weights, and where they come from (for messages).

    Raises:
        InputError: no weights there, or those of a UNet without gated self-attention.
    """
    if isinstance(weights, Mapping):
        found, place = dict(weights), "the state dict"
    else:
        folder, place = Path(weights), str(weights)
        inner = folder / "unet" if (folder / "unet").is_dir() else folder
        whole = inner / f"{_STEM}.safetensors"
        files = [whole] if whole.is_file() else sorted(inner.glob(f"{_STEM}*.safetensors"))
        if not files:
            raise InputError(
                f"the folder has no {_STEM}.safetensors",
                place=inner,
                remedy="give the folder of a GLIGEN UNet, its weights as safetensors",
            )
        found = {name: tensor for file in files for name, tensor in load_tensors(file).items()}
    ours = {name: tensor for name, tensor in found.items() if name.startswith("position_net.")}
    for name, tensor in found.items():
        block, fuser, rest = name.partition(".fuser.")
        if fuser:
            ours[f"blocks.{key_of(block)}.{rest}"] = tensor
    if not ours:
        raise InputError(
            "the UNet has no gated self-attention (no 'fuser', no 'position_net')",
            place=place,
            remedy="give the UNet of a GLIGEN model in diffusers' layout",
        )
    return ours, place
