"""The trainable copy inside a ControlNet, and how a layout enters it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from diffusers import ControlNetModel
from jaxtyping import Float
from torch import Tensor, nn


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


def copy_of_encoder(unet: Any, layout_width: int) -> ControlNetModel:
    """Diffusers' ControlNet with the weights of ``unet``, LoRA left out, and our embedding of layouts."""
    copy = ControlNetModel.from_unet(unet, load_weights_from_unet=False)
    copy.controlnet_cond_embedding = LayoutEmbedding(layout_width, copy.config.block_out_channels[0])
    wanted = {name for name in copy.state_dict() if not name.startswith("controlnet_")}
    plain = _without_lora(unet.state_dict())
    copy.load_state_dict({name: plain[name] for name in wanted}, strict=False)
    return copy


def is_copy_of(copy: ControlNetModel, unet: Any) -> bool:
    """Whether ``copy`` has the shapes of the encoder half of ``unet``."""
    plain = _without_lora(unet.state_dict())
    return all(
        name in plain and plain[name].shape == tensor.shape
        for name, tensor in copy.state_dict().items()
        if not name.startswith("controlnet_")
    )


def zero_convolutions(controlnet: ControlNetModel) -> list[nn.Module]:
    """The layers that residuals come out of: one for each skip connection, then that of the middle."""
    return [*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block]


def _without_lora(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.replace(".base_layer.", "."): tensor for name, tensor in weights.items() if ".lora_" not in name
    }
