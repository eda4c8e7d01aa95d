"""IP-Adapter (arXiv 2308.06721): attention reads graph tokens with keys and values of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from graphcond.adapters.base import Injector, SiteAdditions, computed_like, kept_layers, key_of
from graphcond.adapters.config import IPAdapterConfig, Visible
from graphcond.bases.base import Base, Site
from graphcond.bases.token_weights import bias_of_shares
from graphcond.config import checked
from graphcond.coverage import coverage
from graphcond.denoiser_inputs import DenoiserInputs, Grounding, GroundingSlot
from graphcond.errors import InputError, did_you_mean
from graphcond.io.released import half_of, read_released
from graphcond.io.tensors import check_weights
from graphcond.signals import GraphTokens, Signal

DEFAULT = IPAdapterConfig.model_construct()


class KeysAndValues(nn.Module):
    """The projections of tokens to keys and values at one site, named as in released files.

    Args:
        width: of the site.
        token_width: c.
        start: weights of both to begin with; without them the values begin at 0.
    """

    def __init__(self, width: int, token_width: int, start: tuple[Tensor, Tensor] | None = None) -> None:
        super().__init__()
        self.to_k_ip = nn.Linear(token_width, width, bias=False)
        self.to_v_ip = nn.Linear(token_width, width, bias=False)
        nn.init.zeros_(self.to_v_ip.weight)
        if start is not None:
            self.load_state_dict(dict(zip(("to_k_ip.weight", "to_v_ip.weight"), start, strict=True)))

    def forward(
        self, queries: Float[Tensor, "b v w"], tokens: Float[Tensor, "b n c"], shares: Tensor, heads: int
    ) -> Float[Tensor, "b v w"]:
        """What the queries read of the tokens; of several it is their mean, weighed by attention and shares.

        Args:
            queries: of the site, heads side by side.
            tokens: of the graph.
            shares: (b, v or 1, n), 0..1, how much a place sees of a token; what it reads is multiplied by
                the largest.
            heads: of the attention.
        """
        parts = (queries, self.to_k_ip(tokens), self.to_v_ip(tokens))
        query, key, value = (rearrange(part, "b v (h w) -> b h v w", h=heads) for part in parts)
        bias = bias_of_shares(shares)[:, None].to(query)
        read = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return rearrange(read, "b h v w -> b v (h w)") * shares.amax(-1, keepdim=True).to(read)


@checked(IPAdapterConfig)
class IPAdapterInjector(Injector[GraphTokens]):
    """Adds, at every cross-attention, what its queries read of graph tokens to what they read of the prompt.

    Attn(q, k, v) + scale * Attn(q, k_ip, v_ip), before the output projection. Where text and picture are one
    sequence, the queries are those of the picture. With the encoder
    `image_prompts` the neighbors' pictures are the image prompts. The projections to keys and values start as
    the base's own for the prompt, as the paper's do; over a base that does not publish those, values start at
    0. They are kept beside the denoiser, and hooks add what they read, in the calls whose inputs come from
    `apply`. A target without graph, or at ``scale`` 0, gets the base's own output, bit for bit. A mask of the
    signal multiplies what is added at each place, resampled to each site as diffusers resamples masks.

    Args:
        visible: tokens count ``everywhere``; or a place of the picture sees a token ``in_boxes``, as much as
            its box covers of that place, and reads nothing where no box is (the masks of diffusers). A token
            without a box is seen everywhere.
        site_scales: a factor for the sites whose names start so, the longest start first (``blocks.1`` is not
            the start of ``blocks.10``); 1 for the others.
        init: a released file for `load_init` to read.
    """

    reads: ClassVar[type[Signal]] = GraphTokens
    reads_masks: ClassVar[bool] = True

    def __init__(
        self,
        *,
        visible: Visible = DEFAULT.visible,
        site_scales: Mapping[str, float] | None = None,
        init: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.visible, self.site_scales, self.init = visible, dict(site_scales or {}), init
        self.layers = nn.ModuleDict()
        self._slot = GroundingSlot()
        self._additions = SiteAdditions()

    def inject(self, base: Base) -> None:
        """Make the projections, float32, for the widths of ``base`` and hook them in.

        Those of an earlier injection are kept: trained ones move from one base to another of its widths.

        Raises:
            InputError: the base has no attention to attach to, other widths than before, or no sites of
                a name in ``site_scales``.
            RuntimeError: injected already.
        """
        if self._additions:
            raise RuntimeError("IP-Adapter is injected already; eject it first")
        sites = base.required_sites("cross_attention", "joint_attention")
        for start in self.site_scales:
            if not any(_starts_with(name, start) for name in sites):
                words = [name.split(".") for name in sites]
                starts = {".".join(parts[:end]) for parts in words for end in range(1, len(parts))}
                raise InputError(
                    f"no attention has a name that starts with '{start}'",
                    place="ip_adapter.site_scales",
                    remedy=did_you_mean(start, starts),
                )
        made = nn.ModuleDict({key_of(name): _made(site, base) for name, site in sites.items()})
        self.layers = kept_layers(self.layers, made, "ip_adapter")
        self.to(device=base.device, dtype=torch.float32)
        self._additions.attach(sites, self._added)

    def eject(self) -> None:
        """Take the hooks away; the projections stay here."""
        self._additions.detach()

    def apply(  # type: ignore[override]
        self, inputs: DenoiserInputs, signal: GraphTokens | None, scale: float = 1.0
    ) -> DenoiserInputs:
        """Inputs with the tokens of ``signal`` for the cross-attentions.

        Raises:
            InputError: a mask has another aspect ratio than the picture, or is not in 0..1.
            RuntimeError: not injected.
        """
        if signal is None or scale == 0 or not bool(signal.present.any()):
            return inputs
        if not self._additions:
            raise RuntimeError("IP-Adapter is not injected")
        tokens, present = signal.tokens.masked_fill(~signal.present[..., None], 0), signal.present
        covered = {}
        if self.visible == "in_boxes":
            boxes, boxed = signal.boxes, signal.boxed
            if boxes is None or boxed is None:
                boxes, boxed = tokens.new_zeros(*present.shape, 4), torch.zeros_like(present)
            boxes = boxes.masked_fill(~boxed[..., None], 0)
            covered = self._additions.at_strides(
                inputs.sample,
                lambda *grid: coverage(boxes, boxed, *grid) * present[:, None],
            )
        strength = signal.has_graph.to(tokens.dtype) * scale
        grounding = Grounding(tokens, present, strength, covered, self._places(signal, inputs))
        return replace(inputs, grounding={**inputs.grounding, self._slot: grounding})

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        """The projections by name; those of sites whose factor is 0 get no gradient and stay as they are."""
        return {
            name: parameter
            for name, parameter in self.named_parameters()
            if self._scale_of(name.removeprefix("layers.").replace("/", ".")) != 0
        }

    def load_init(self) -> None:
        """Read the released file named as ``init``, if any; see `load_ip_adapter`."""
        if self.init is not None:
            self.load_ip_adapter(self.init)

    @torch.no_grad()
    def load_ip_adapter(self, weights: str | Path | Mapping[str, Tensor]) -> None:
        """Take the keys and values of a released IP-Adapter: its tensors ``ip_adapter.<n>.to_k_ip.weight``.

        Args:
            weights: the file (safetensors, or tensors saved by torch), or its tensors by name.

        Raises:
            InputError: no such file, one of another method, or made for another base.
            RuntimeError: not injected.
        """
        if not self.layers:
            raise RuntimeError("the projections are made for a base: inject first")
        tensors, place = read_released(weights)
        found = half_of(tensors, "ip_adapter.", method="an IP-Adapter", place=place)
        wanted = self.released_weights()
        check_weights(found, wanted, place=place, remedy="use an IP-Adapter that was made for this base")
        for name, tensor in wanted.items():
            tensor.copy_(found[name])

    def released_weights(self) -> dict[str, Tensor]:
        """The keys and values by their names in the part ``ip_adapter`` of a released file.

        Every other attention of a UNet is a cross-attention, so they are 1, 3, 5 ... in its order.
        """
        return {
            f"{2 * number + 1}.{name}": parameter.detach()
            for number, layer in enumerate(self.layers.values())
            for name, parameter in layer.named_parameters()
        }

    def _places(self, signal: GraphTokens, inputs: DenoiserInputs) -> dict[int, Tensor]:
        """The mask at the cells of each stride, as diffusers' ``IPAdapterMaskProcessor`` interpolates it."""
        if signal.mask is None:
            return {}
        mask = signal.mask.float()
        (height, width), (rows, columns) = mask.shape[1:], inputs.sample.shape[2:]
        if height * columns != width * rows:
            raise InputError(
                f"a mask of {height} x {width} has another aspect ratio than the latents, {rows} x {columns}",
                place="ip_adapter, mask",
                remedy="give one as large as the picture, or with its sides in the same ratio",
            )
        if not bool(((mask >= 0) & (mask <= 1)).all()):
            raise InputError(
                "a mask has values outside of 0..1",
                place="ip_adapter, mask",
                remedy="divide it by its maximum",
            )
        return self._additions.at_strides(
            inputs.sample, lambda *grid: F.interpolate(mask[:, None], grid, mode="bicubic").flatten(1)
        )

    def _scale_of(self, site: str) -> float:
        starts = [start for start in self.site_scales if _starts_with(site, start)]
        return self.site_scales[max(starts, key=len)] if starts else 1.0

    def _added(self, site: Site, features: Tensor) -> Tensor | None:
        shown, factor = self._slot.value, self._scale_of(site.name)
        if shown is None or factor == 0 or site.queries is None:
            return None
        queries = site.queries(features)
        shares = shown.coverage.get(site.stride, shown.present[:, None].float())
        with computed_like(queries):
            layer = cast(KeysAndValues, self.layers[key_of(site.name)])
            read = layer(queries, shown.tokens.to(queries), shares, site.heads)
        strength = shown.strength[:, None, None].to(read) * factor
        if site.stride in shown.places:
            strength = strength * shown.places[site.stride][..., None].to(read)
        return torch.where(strength != 0, read * strength, 0.0).to(queries.dtype)


def _starts_with(site: str, start: str) -> bool:
    """Whether the name of a site starts so; a number at the end of ``start`` is a whole one."""
    ends_in_number = start[-1:].isdigit()
    return site.startswith(start) and not (ends_in_number and site[len(start) :][:1].isdigit())


def _made(site: Site, base: Base) -> KeysAndValues:
    if site.attach is None or site.queries is None:
        raise InputError(
            f"{type(base).__name__} lets nothing be added to what '{site.name}' reads",
            place="ip_adapter",
            remedy="use another base, or another injector",
        )
    start = None if site.keys_and_values is None else site.keys_and_values()
    return KeysAndValues(site.width, base.facts.token_width, start)
