"""T2I-Adapter (arXiv 2302.08453) over a layout: feature maps that are added inside the denoiser's encoder."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import T2IAdapter

from graphcond.adapters.base import Injector, computed_like
from graphcond.adapters.config import T2IAdapterConfig
from graphcond.adapters.layouts import known_width, resized, with_residuals
from graphcond.bases.base import Base
from graphcond.bases.loading import load_released
from graphcond.config import checked
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.errors import InputError
from graphcond.io.tensors import check_weights
from graphcond.signals import LayoutMap, Signal

DEFAULT = T2IAdapterConfig.model_construct()

FAMILIES = {"full_adapter": "Stable Diffusion", "full_adapter_xl": "SDXL"}
"""Whose encoders the networks of diffusers fit, by type; the light one, of color adapters, is not read."""


@checked(T2IAdapterConfig)
class T2IAdapterInjector(Injector[LayoutMap]):
    """A small network of its own that turns the layout into one feature map for each level of the encoder.

    The network is diffusers' ``full_adapter`` or, for a base whose first two levels have one size as SDXL's,
    ``full_adapter_xl``. As in the paper it does not start as the base. A target without layout gets the
    base's own output, bit for bit. Several add up.

    Args:
        layout_width: c, channels of the layouts it reads.
        downscale: side, in pixels of the layout, of what becomes one feature of the first level; 8, or 16 for
            SDXL, in released files, which read pictures.
        res_blocks: residual blocks of each level.
        init: a released T2I-Adapter for `load_init` to read: a folder of diffusers, or an id on the hub.
    """

    reads: ClassVar[type[Signal]] = LayoutMap

    def __init__(
        self,
        *,
        layout_width: int | None = None,
        downscale: int = DEFAULT.downscale,
        res_blocks: int = DEFAULT.res_blocks,
        init: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.layout_width, self.downscale = layout_width, downscale
        self.res_blocks, self.init = res_blocks, init
        self.network: Any = None
        self._sites: dict[str, int] = {}

    def inject(self, base: Base) -> None:
        """Make the network for ``base``, in float32, unless there is one from an earlier injection.

        Raises:
            InputError: the base has no encoder to add to, or other widths than before, or the width of the
                layouts is not known.
            RuntimeError: injected already.
        """
        if self._sites:
            raise RuntimeError("T2I-Adapter is injected already; eject it first")
        strides = {name: site.stride for name, site in base.required_sites("encoder_block").items()}
        layout_width = known_width(self.layout_width, "t2i_adapter")
        first, second, *_ = strides.values()
        large = first == second
        # What the two networks of diffusers give; a base reads it as far as its levels agree.
        steps = [first * (min(2, max(1, level)) if large else 2**level) for level in range(len(strides))]
        fitting = takewhile(lambda pair: pair[0][1] == pair[1], zip(strides.items(), steps, strict=True))
        self._sites = {name: stride for (name, stride), _ in fitting}
        sites = base.sites("encoder_block")
        shape: dict[str, Any] = {
            "adapter_type": "full_adapter_xl" if large else "full_adapter",
            "channels": [sites[name].width for name in self._sites],
        }
        if self.network is None:
            self.network = T2IAdapter(
                in_channels=layout_width,
                num_res_blocks=self.res_blocks,
                downscale_factor=self.downscale,
                **shape,
            )
        elif any(self.network.config[key] != value for key, value in shape.items()):
            self._sites = {}
            raise InputError(
                "its network was made for a base of another shape",
                place="t2i_adapter",
                remedy="inject a new one",
            )
        self.to(device=base.device, dtype=torch.float32)

    def eject(self) -> None:
        """Nothing to restore: the network is separate from the base and is kept."""
        self._sites = {}

    def apply(  # type: ignore[override]
        self, inputs: DenoiserInputs, signal: LayoutMap | None, scale: float = 1.0
    ) -> DenoiserInputs:
        """Inputs with the feature maps of ``signal``, times ``scale``, on top of those that are there.

        Raises:
            RuntimeError: not injected.
        """
        if signal is None or scale == 0 or not bool(signal.present.any()):
            return inputs
        if not self._sites:
            raise RuntimeError("T2I-Adapter is not injected")
        first = next(iter(self._sites.values()))
        height, width = (-(-side // first) * self.downscale for side in inputs.sample.shape[2:])
        layout = resized(signal, (height, width), self.layout_width, "t2i_adapter")
        with computed_like(inputs.context):
            maps = self.network(layout)
        added = {site: features * scale for site, features in zip(self._sites, maps, strict=True)}
        return with_residuals(inputs, added, signal)

    def load_init(self) -> None:
        """Read the T2I-Adapter named as ``init``, if any.

        Raises:
            InputError: there is none, or it was made for another base or other layouts.
            RuntimeError: not injected.
        """
        if self.init is None:
            return
        if self.network is None:
            raise RuntimeError("T2I-Adapter is not injected")
        released = load_released(T2IAdapter, str(self.init), place="t2i_adapter.init")
        theirs, ours = (network.config["adapter_type"] for network in (released, self.network))
        if theirs != ours:
            made = (
                f"is made for {FAMILIES[theirs]}"
                if theirs in FAMILIES
                else f"is a '{theirs}', which is not read"
            )
            raise InputError(
                f"the T2I-Adapter {made}",
                place=f"t2i_adapter.init: {self.init}",
                remedy="use one that was made for this base",
            )
        found = released.state_dict()
        remedy = "use a T2I-Adapter of this base, and its downscale, res_blocks and channels of the layout"
        check_weights(found, self.network.state_dict(), place=f"t2i_adapter.init: {self.init}", remedy=remedy)
        self.network.load_state_dict(found)
