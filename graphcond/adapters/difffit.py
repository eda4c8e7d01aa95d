"""DiffFit (arXiv 2304.06648): biases, norms, and a scale for each attention and feed-forward block."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from diffusers.models.attention import AttentionModuleMixin, FeedForward
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from graphcond.adapters.base import kept_layers, key_of
from graphcond.adapters.layer_changes import LayerUpdate, own_modules
from graphcond.bases.base import Base
from graphcond.errors import InputError
from graphcond.io.tensors import without_hooks


class Shift(nn.Module):
    """What is added to a layer's output: changes of its bias, of a norm's weight, and of a block's scale.

    Args:
        layer: of the base.
        scales: whether the layer ends a block that has a scale.
    """

    def __init__(self, layer: Any, *, scales: bool) -> None:
        super().__init__()
        norm = isinstance(layer, nn.LayerNorm | nn.GroupNorm)
        self.channels_last = isinstance(layer, nn.Linear | nn.LayerNorm)
        self.bias = None if layer.bias is None else nn.Parameter(torch.zeros_like(layer.bias))
        self.weight = nn.Parameter(torch.zeros_like(layer.weight)) if norm else None
        self.scale = nn.Parameter(torch.zeros(1, device=layer.weight.device)) if scales else None

    def forward(self, layer: Any, features: Tensor, output: Tensor) -> Tensor:
        """The change of the output of ``layer``, which has no hooks, whatever others added to ``output``."""
        change = torch.zeros((), device=features.device)
        if self.scale is not None:
            change = change + layer(features) * self.scale
        if self.weight is not None:
            change = change + self._along(self.weight, output) * _normalized(layer, features)
        if self.bias is not None:
            change = change + self._along(self.bias, output)
        return change.expand_as(output)

    def _along(self, values: Tensor, output: Tensor) -> Tensor:
        return values if self.channels_last else values.view(-1, *[1] * (output.ndim - 2))


class DiffFitInjector(LayerUpdate):
    """Trains biases and the weights of norms in the denoiser, and a scale for each block.

    It reads no signal: its update is the same for every graph. What changes is kept beside the denoiser, and
    hooks add it, in the calls whose inputs come from `apply`, and in no others. Blocks are the attentions and
    feed-forward parts of diffusers; their scale, 1 at the start, multiplies what they add to the features.
    """

    def __init__(self) -> None:
        super().__init__("DiffFit")
        self.layers = nn.ModuleDict()

    def inject(self, base: Base) -> None:
        """Make the changes, float32, for the layers of ``base`` and hook them in.

        Those of an earlier injection are kept: trained ones move from one base to another of its widths.

        Raises:
            InputError: the denoiser has other layers than before, or none of these.
            RuntimeError: injected already.
        """
        self._changes.check_new()
        layers = _layers(base.denoiser)
        made = nn.ModuleDict(
            {key_of(name): Shift(layer, scales=scales) for name, (layer, scales) in layers.items()}
        )
        if not made:
            raise InputError(
                "the denoiser has no biases, norms or blocks", place="difffit", remedy="use another injector"
            )
        self.layers = kept_layers(self.layers, made, "difffit")
        self.to(device=base.device, dtype=torch.float32)
        for name, (layer, _) in layers.items():
            shift = cast(Shift, self.layers[key_of(name)])
            self._changes.attach(layer, partial(shift, without_hooks(layer)))


def _layers(denoiser: nn.Module) -> dict[str, tuple[nn.Module, bool]]:
    """The layers that change, by name, and whether each ends a block; not those of peft over them."""
    ends: set[nn.Module] = set()
    for module in denoiser.modules():
        if isinstance(module, Attention | AttentionModuleMixin) and module.to_out is not None:
            out = module.to_out[0] if isinstance(module.to_out, nn.ModuleList) else module.to_out
            ends.add(getattr(out, "base_layer", out))
        elif isinstance(module, FeedForward):
            ends.add(getattr(module.net[-1], "base_layer", module.net[-1]))
    found = {}
    for name, module in own_modules(denoiser).items():
        changes = isinstance(module, nn.Linear | nn.Conv2d | nn.LayerNorm | nn.GroupNorm)
        norm = isinstance(module, nn.LayerNorm | nn.GroupNorm) and module.weight is not None
        if changes and (norm or module.bias is not None or module in ends):
            found[name] = (module, module in ends)
    return found


def _normalized(layer: Any, features: Tensor) -> Tensor:
    """The features as a norm leaves them before its weight and bias."""
    if isinstance(layer, nn.GroupNorm):
        return F.group_norm(features, layer.num_groups, eps=layer.eps)
    return F.layer_norm(features, layer.normalized_shape, eps=layer.eps)
