"""Gated self-attention over graph tokens and their boxes, as in GLIGEN (arXiv 2301.07093)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from graphcond.adapters.base import Injector, SiteAdditions, check_widths, computed_like, key_of
from graphcond.adapters.config import (
    Absent,
    GatedSelfAttentionConfig,
    Keys,
    Placing,
    Start,
    check_gated,
)
from graphcond.adapters.gated_layers import GatedBlock, PositionNet
from graphcond.bases.attention import XFORMERS_KEY_MULTIPLE
from graphcond.bases.base import Base, Site
from graphcond.config import checked
from graphcond.coverage import coverage
from graphcond.denoiser_inputs import DenoiserInputs, Grounding, GroundingSlot
from graphcond.errors import InputError, Notice
from graphcond.io.files import atomic_folder, check_new_folder
from graphcond.io.tensors import check_weights, load_tensors
from graphcond.signals import GraphTokens, Signal

DEFAULT = GatedSelfAttentionConfig.model_construct()

GLIGEN = ("fourier", "both", "gates")
"""Place, keys and start of GLIGEN's layers."""

NEAR_ZERO = 0.01
"""Gates whose mean size is below this count as closed."""


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
        place: whether boxes are in the tokens alone (``fourier``), or also weigh the tokens cell by cell by
            the share that they cover (``coverage``); a token without a box is everywhere.
        keys: of the attention, as `GatedBlock` says.
        start: of the layers, as `GatedBlock` says. Except with ``gates``, the tokens start as the encoder's.

    Raises:
        InputError: settings that do not suit each other.
    """

    reads: ClassVar[type[Signal]] = GraphTokens
    groups: ClassVar[frozenset[str]] = GatedSelfAttentionConfig.groups

    def __init__(
        self,
        *,
        absent: Absent = DEFAULT.absent,
        slots: int = DEFAULT.slots,
        place: Placing = DEFAULT.place,
        keys: Keys = DEFAULT.keys,
        start: Start = DEFAULT.start,
    ) -> None:
        super().__init__()
        check_gated(absent=absent, place=place, keys=keys, start=start)
        self.absent, self.slots = absent, slots
        self.place, self.keys, self.start = place, keys, start
        self.position_net: PositionNet | None = None
        self.blocks = nn.ModuleDict()
        self._slot = GroundingSlot()
        self._additions = SiteAdditions()
        self._ratios: dict[str, Tensor] = {}
        self._said_unplaced = False

    @property
    def injected(self) -> bool:
        """True if the layers are injected in a denoiser."""
        return bool(self._additions)

    def inject(self, base: Base) -> None:
        """Build the layers, float32, for the widths of ``base`` and hook them in.

        Layers of an earlier injection are kept: trained ones move from one base to another of its widths.

        Raises:
            InputError: the base has no block sites, or other widths than before, or its blocks have no
                cross-attention to start from.
            RuntimeError: injected already.
        """
        if self.injected:
            raise RuntimeError("gated self-attention is injected already; eject it first")
        sites, token_width = base.required_sites("block"), base.facts.token_width
        new = nn.ModuleDict(
            {key_of(name): self._made(name, site, token_width) for name, site in sites.items()}
        )
        if self.position_net is None:
            residual = self.start != "gates"
            self.position_net, self.blocks = PositionNet(token_width, residual=residual), new
        else:
            check_widths(self.blocks, new, "gated self-attention")
        self.to(device=base.device, dtype=torch.float32)
        self._additions.attach(sites, self._added)

    def eject(self) -> None:
        """Take the hooks away; the layers stay here."""
        self._additions.detach()

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
        boxes, boxed = boxes.float(), boxed & present
        missing = max(0, self.slots - tokens.shape[1])  # nulls fill up the slots
        if self.place == "coverage":
            missing = -tokens.shape[1] % XFORMERS_KEY_MULTIPLE
        if self.place == "coverage" or self.absent == "null":
            tokens, boxes = F.pad(tokens, (0, 0, 0, missing)), F.pad(boxes, (0, 0, 0, missing))
            present, boxed = F.pad(present, (0, missing)), F.pad(boxed, (0, missing))
        with computed_like(tokens):
            tokens = self.position_net(tokens, present, boxes, boxed)
        shown = torch.ones_like(present) if self.absent == "null" else present
        strength = signal.has_graph.to(tokens.dtype) * scale
        covered = self._coverage(inputs, present, boxes, boxed) if self.place == "coverage" else {}
        grounding = Grounding(tokens, shown, strength, covered)
        return replace(inputs, grounding={**inputs.grounding, self._slot: grounding})

    def load_gligen(self, weights: str | Path | dict[str, Tensor]) -> None:
        """Take position net and gated layers from a GLIGEN UNet in diffusers' layout.

        With ``place`` or ``keys`` other than GLIGEN's they are a start for training, and a `Notice` says so.

        Args:
            weights: its state dict, or the folder of the UNet or of the whole model.

        Raises:
            InputError: no such file, weights for another base, or ``start`` is not ``gates``.
            RuntimeError: not injected.
        """
        if self.position_net is None:
            raise RuntimeError("the layers are made for a base: inject first")
        if self.start != "gates":
            raise InputError(
                f"GLIGEN's layers are those of the start 'gates', not of '{self.start}'",
                place="gated_self_attention.start",
                remedy="set start to 'gates'",
            )
        if (self.place, self.keys, self.start) != GLIGEN:
            warnings.warn(
                "gated_self_attention: GLIGEN's weights were trained with place 'fourier' and keys 'both', "
                f"not with '{self.place}' and '{self.keys}'; train them before use",
                Notice,
                stacklevel=2,
            )
        found, place = read_gligen(weights)
        check_weights(found, self.state_dict(), place=place)
        self.load_state_dict(found)

    def write_gligen(self, base: Base, folder: str | Path) -> None:
        """Write a GLIGEN UNet, the base's with these layers, as a folder that diffusers reads.

        diffusers shows 30 slots, and nulls where there are fewer tokens, as ``absent: null`` does. A
        `Notice` says so where these layers were trained without.

        Args:
            base: in which they act.
            folder: where to.

        Raises:
            InputError: GLIGEN has no place for the settings or the base, or the folder exists.
            RuntimeError: not injected.
        """
        if self.position_net is None:
            raise RuntimeError("the layers are made for a base: inject first")
        if (self.place, self.keys, self.start) != GLIGEN:
            raise InputError(
                "GLIGEN has place 'fourier', keys 'both' and start 'gates', these layers have "
                f"'{self.place}', '{self.keys}' and '{self.start}'",
                place="gated_self_attention",
                remedy="train with those settings",
            )
        if self.absent != "null":
            warnings.warn(
                "gated_self_attention: diffusers shows nulls in the slots without a token, and these layers "
                "were trained with absent 'masked'; give it as many slots as tokens, or train with 'null'",
                Notice,
                stacklevel=2,
            )
        weights = {}
        for name, tensor in self.state_dict().items():
            block, _, rest = name.removeprefix("blocks.").partition(".")
            inside = name.startswith("blocks.")
            weights[f"{block.replace('/', '.')}.fuser.{rest}" if inside else name] = tensor
        check_new_folder(Path(folder), remedy="choose another place")
        with atomic_folder(Path(folder)) as new:
            base.write_gligen(new, weights)

    def group_of(self, parameter: str) -> str | None:
        """The gates, and all layers that are ``new``; copies of the base's attention are neither."""
        if ".alpha_" in parameter:
            return "gates"
        return None if ".reader." in parameter else "new"

    def figures(self) -> dict[str, float]:
        """Mean size of the gates of either part, and mean over blocks of |added| / |v| in the last call.

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
            f"the gates of gated self-attention are near 0 (mean size below {NEAR_ZERO}), "
            "so the graph hardly changes the picture: train longer or raise the learning rate"
        )

    def _made(self, name: str, site: Site, token_width: int) -> GatedBlock:
        """A new layer for a block."""
        if self.start == "cross_attention" and site.reader is None:
            raise InputError(
                f"the block '{name}' has no cross-attention that can be copied",
                place="gated_self_attention.start",
                remedy="set start to 'zero'",
            )
        return GatedBlock(
            width=site.width,
            token_width=token_width,
            heads=site.heads,
            head_width=site.width // site.heads,
            keys=self.keys,
            start=self.start,
            reader=site.reader() if self.start == "cross_attention" and site.reader is not None else None,
        )

    @torch.no_grad()
    def _coverage(
        self,
        inputs: DenoiserInputs,
        present: Bool[Tensor, "b n"],
        boxes: Float[Tensor, "b n 4"],
        boxed: Bool[Tensor, "b n"],
    ) -> dict[int, Tensor]:
        """The coverage of each level's cells, which all its blocks share."""
        if not self._said_unplaced and not bool(boxed.any()):
            self._said_unplaced = True
            warnings.warn(
                "gated_self_attention: place is 'coverage', and the objects have no boxes, so every token is "
                "everywhere; give the data boxes, or set encoder.predict_boxes and add a stage 'layout'",
                Notice,
                stacklevel=2,
            )
        return self._additions.at_strides(
            inputs.sample,
            lambda *grid: coverage(boxes, boxed, *grid) * present[:, None],
        )

    def _added(self, site: Site, visual: Float[Tensor, "b v w"]) -> Float[Tensor, "b v w"] | None:
        grounding = self._slot.value
        if grounding is None:
            return None
        with computed_like(visual):
            delta: Tensor = self.blocks[key_of(site.name)](
                visual, grounding, grounding.coverage.get(site.stride)
            )
        shown = (grounding.strength != 0)[:, None, None]
        delta = torch.where(shown, delta, 0.0)
        with torch.no_grad():
            self._ratios[site.name] = delta.norm().float() / (visual * shown).norm().float().clamp(min=1e-12)
        return delta

    def _gate(self, name: str) -> float:
        gates = torch.stack([cast(GatedBlock, block).gate(name) for block in self.blocks.values()])
        return gates.detach().abs().mean().item()


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
