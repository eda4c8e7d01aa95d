"""ControlNet (arXiv 2302.05543) over a layout: a trainable copy of the denoiser's encoder half."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from diffusers import ControlNetModel
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from jaxtyping import Float
from torch import Tensor, nn

from graphcond.adapters.base import Injector, computed_like
from graphcond.adapters.config import ControlNetConfig, Hint
from graphcond.adapters.layouts import known_width, resized, with_residuals
from graphcond.bases.base import Base
from graphcond.bases.loading import load_released
from graphcond.config import checked
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.errors import InputError
from graphcond.io.files import atomic_folder, check_new_folder
from graphcond.io.tensors import check_weights
from graphcond.signals import LayoutMap, Signal

DEFAULT = ControlNetConfig.model_construct()
HINT_WIDTHS = (16, 32, 96, 256)
"""Channels of a released ControlNet's embedding of pictures; each after the first halves their size."""


class LayoutEmbedding(nn.Module):
    """A layout as an addition to the denoiser's first features: three convolutions, the last one zero.

    Args:
        layout_width: channels of the layout.
        width: channels of the features.
    """

    def __init__(self, layout_width: int, width: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(layout_width, width, 3, padding=1)
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.conv_out = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)  # type: ignore[arg-type]

    def forward(self, layout: Float[Tensor, "b c height width"]) -> Float[Tensor, "b w height width"]:
        """The addition, as large as ``layout``."""
        embedded: Tensor = self.conv_out(F.silu(self.conv(F.silu(self.conv_in(layout)))))
        return embedded


NEAR_ZERO = 0.001
"""Residuals smaller than this, relative to the features they come from, count as none."""


@checked(ControlNetConfig)
class ControlNetInjector(Injector[LayoutMap]):
    """A copy of the denoiser's encoder that reads the layout and adds to every skip connection.

    There are zero convolutions before and after it, so that at the start it adds nothing. It shares no weight
    with the base and reads the prompt's tokens alone, whatever other conditions put behind or over them.
    A target without layout gets the base's own output, bit for bit. Residuals of several add up.

    Args:
        layout_width: c, channels of the layouts it reads.
        guess_mode: weigh residuals from 0.1 at the finest level to 1 in the middle (diffusers' guess mode),
            for prompts that say nothing.
        hint: the layout is read at the size of the latents (``layout``), or as large as the picture through
            the embedding of released ControlNets (``picture``).
        init: a released ControlNet for `load_init` to read: a folder of diffusers, or an id on the hub.
    """

    reads: ClassVar[type[Signal]] = LayoutMap

    def __init__(
        self,
        *,
        layout_width: int | None = None,
        guess_mode: bool = DEFAULT.guess_mode,
        hint: Hint = DEFAULT.hint,
        init: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.layout_width, self.guess_mode = layout_width, guess_mode
        self.hint, self.init = hint, init
        self._pixels = 1
        self.controlnet: Any = None
        self._injected = False
        self._ratios: dict[str, Tensor] = {}

    def inject(self, base: Base) -> None:
        """Copy the encoder half of ``base``, in float32, without modules that other injectors added.

        The copy of an earlier injection is kept: a trained one moves to another base of the same shape.

        Raises:
            InputError: the base has no encoder levels or another shape than before, or the width of the
                layouts is not known.
            RuntimeError: injected already.
        """
        if self._injected:
            raise RuntimeError("ControlNet is injected already; eject it first")
        base.required_sites("encoder_level")
        width = known_width(self.layout_width, "controlnet")
        embedding: Callable[[int], nn.Module] = partial(LayoutEmbedding, width)
        if self.hint == "picture":
            self._pixels = base.facts.pixels_per_latent
            embedding = partial(
                ControlNetConditioningEmbedding, conditioning_channels=width, block_out_channels=self._widths
            )
        copy = base.copy_encoder(embedding)
        if self.controlnet is None:
            self.controlnet = copy
            for site, layer in copy.zero_layers().items():
                layer.register_forward_hook(_Ratio(self._ratios, site))
        elif _shapes(self.controlnet) != _shapes(copy):
            raise InputError(
                "it was copied from a base of another shape", place="controlnet", remedy="inject a new one"
            )
        self.to(device=base.device, dtype=torch.float32)
        if base.gradient_checkpointing:
            self.controlnet.enable_gradient_checkpointing()
        else:
            self.controlnet.disable_gradient_checkpointing()
        self._injected = True

    def eject(self) -> None:
        """Nothing to restore: the copy is separate from the base and is kept."""
        self._injected = False

    def apply(  # type: ignore[override]
        self, inputs: DenoiserInputs, signal: LayoutMap | None, scale: float = 1.0
    ) -> DenoiserInputs:
        """Inputs with the residuals of ``signal``, on top of those that are there.

        Raises:
            RuntimeError: not injected.
        """
        if signal is None or scale == 0 or not bool(signal.present.any()):
            return inputs
        if self.controlnet is None or not self._injected:
            raise RuntimeError("ControlNet is not injected")
        height, width = inputs.sample.shape[2:]
        size = (height * self._pixels, width * self._pixels)
        features = resized(signal, size, self.layout_width, "controlnet")
        with computed_like(inputs.context):
            added = self.controlnet.residuals(inputs, features, scale=scale, guess_mode=self.guess_mode)
        return with_residuals(inputs, added, signal)

    @property
    def _widths(self) -> tuple[int, ...]:
        """Channels of the embedding of pictures, which halves their size down to that of the latents."""
        return HINT_WIDTHS[: self._pixels.bit_length()]

    def load_init(self) -> None:
        """Read the ControlNet named as ``init``, if any; the embedding of a layout stays new.

        Raises:
            InputError: there is none, or it was made for another base or another hint.
            RuntimeError: not injected.
        """
        if self.init is None:
            return
        if self.controlnet is None:
            raise RuntimeError("ControlNet is not injected")
        released = load_released(ControlNetModel, str(self.init), place="controlnet.init")
        found, wanted = released.state_dict(), self.controlnet.state_dict()
        if self.hint == "layout":
            found, wanted = _without_embedding(found), _without_embedding(wanted)
        remedy = "use a ControlNet of this base, and hint 'layout' for layouts that it was not trained on"
        check_weights(found, wanted, place=f"controlnet.init: {self.init}", remedy=remedy)
        self.controlnet.load_state_dict(found, strict=False)

    def write_controlnet(self, folder: str | Path) -> None:
        """Write a folder that diffusers' ``ControlNetModel.from_pretrained`` and ``init`` read.

        Its pictures are the layouts, with their channels. If ``guess_mode`` is set here, give it to diffusers
        too.

        Raises:
            InputError: the hint is ``layout``, or the folder exists.
            RuntimeError: not injected.
        """
        if self.hint != "picture":
            raise InputError(
                "a ControlNet of diffusers reads pictures, and this one reads layouts of the latents' size",
                place="controlnet.hint",
                remedy="train it with hint: picture",
            )
        if self.controlnet is None or self.layout_width is None:
            raise RuntimeError("ControlNet is not injected")
        check_new_folder(Path(folder), remedy="choose another place")
        with atomic_folder(Path(folder)) as new:
            self.controlnet.write_controlnet(new, self.layout_width, self._widths)

    def figures(self) -> dict[str, float]:
        """Norm of the residuals in the last call, before ``scale``, relative to the features they come from.

        That is the output of each zero convolution over its input, the copy's features at that level,
        which begin as the base's own; the mean over levels. Missing before the first call.
        """
        if not self._ratios:
            return {}
        return {"residuals_to_features": torch.stack(list(self._ratios.values())).mean().item()}

    def unused(self) -> str | None:
        """Says so where the residuals of the last call were below `NEAR_ZERO`."""
        ratio = self.figures().get("residuals_to_features")
        if ratio is None or ratio >= NEAR_ZERO:
            return None
        return (
            f"the residuals of ControlNet are near 0 ({ratio:.1e} of the features they come from), "
            "so the layout hardly changes the picture: train longer or raise the learning rate"
        )


class _Ratio:
    """A hook that keeps the norm of a layer's output over that of its input."""

    def __init__(self, ratios: dict[str, Tensor], level: str) -> None:
        self._ratios, self._level = ratios, level

    @torch.no_grad()
    def __call__(self, module: nn.Module, args: tuple[Tensor], output: Tensor) -> None:
        self._ratios[self._level] = output.float().norm() / args[0].float().norm().clamp(min=1e-12)


def _without_embedding(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in weights.items() if "controlnet_cond_embedding" not in name}


def _shapes(copy: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in copy.state_dict().items()}
