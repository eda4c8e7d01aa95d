"""Hypernetwork (NovelAI, 2022): small networks before the keys and values of attention."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from graphcond.adapters.base import kept_layers
from graphcond.adapters.config import Activation, HypernetworkConfig
from graphcond.adapters.layer_changes import LayerUpdate, own_modules
from graphcond.bases.base import Base
from graphcond.bases.quantization import dequantized
from graphcond.config import checked
from graphcond.errors import InputError
from graphcond.io.released import read_released
from graphcond.io.tensors import check_weights, method_of

DEFAULT = HypernetworkConfig.model_construct()

ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "leakyrelu": nn.LeakyReLU,
    "swish": nn.Hardswish,
}
"""By their names in files; what web interfaces call swish is the hard one."""

NOISE = 0.01
"""Spread of the first weights of a new network, as the web interfaces have it."""


class Small(nn.Module):
    """Linear(d, 2d), an activation, Linear(2d, d): what is added to tokens of width d."""

    def __init__(self, width: int, activation: Activation) -> None:
        super().__init__()
        self.linear = nn.Sequential(
            nn.Linear(width, 2 * width), ACTIVATIONS[activation](), nn.Linear(2 * width, width)
        )
        for layer in (self.linear[0], self.linear[2]):
            nn.init.normal_(cast(Tensor, layer.weight), std=NOISE)
            nn.init.zeros_(cast(Tensor, layer.bias))

    def forward(self, tokens: Tensor) -> Tensor:
        """The addition."""
        added: Tensor = self.linear(tokens)
        return added


@checked(HypernetworkConfig)
class HypernetworkInjector(LayerUpdate):
    """Keys and values read x + MLP_k(x) and x + MLP_v(x) in place of the tokens x.

    It reads no signal: its update is the same for every graph. There is one pair of networks for each width
    of tokens, which all attentions that read such tokens share, as in NovelAI's files. Their output passes
    the base's own projections of keys and values, and hooks add it there, in the calls whose inputs come from
    `apply`, and in no others. It starts near the base, not as the base.

    Args:
        widths: of the tokens that are changed; those of the context that cross-attention reads, unless given.
        activation: between the two layers.
        init: a file for `load_init` to read.
    """

    def __init__(
        self,
        *,
        widths: tuple[int, ...] | None = None,
        activation: Activation = DEFAULT.activation,
        init: str | Path | None = None,
    ) -> None:
        super().__init__("the hypernetwork")
        self.widths, self.activation, self.init = widths, activation, init
        self.networks = nn.ModuleDict()

    def inject(self, base: Base) -> None:
        """Make the networks, float32, for the widths of ``base`` and hook them in.

        Those of an earlier injection are kept: trained ones move from one base to another of its widths.

        Raises:
            InputError: the base has no cross-attention, no attention reads tokens of a width, or the widths
                are others than before.
            RuntimeError: injected already.
        """
        self._changes.check_new()
        sites = base.required_sites("cross_attention")
        layers = {
            name: module
            for name, module in own_modules(base.denoiser).items()
            if isinstance(module, nn.Linear) and name.endswith((".to_k", ".to_v"))
        }
        read = {name: module.in_features for name, module in layers.items()}
        context = {read[f"{site}.to_k"] for site in sites}
        for width in self.widths or ():
            if width not in read.values():
                raise InputError(
                    f"no attention reads tokens of the width {width}",
                    place="hypernetwork.widths",
                    remedy=f"use widths of {sorted(set(read.values()))}",
                )
        widths = sorted(self.widths or context)
        made = nn.ModuleDict(
            {f"{width}/{part}": Small(width, self.activation) for width in widths for part in "kv"}
        )
        self.networks = kept_layers(self.networks, made, "hypernetwork")
        self.to(device=base.device, dtype=torch.float32)
        for name, layer in layers.items():
            if read[name] in widths:
                network = self.networks[f"{read[name]}/{name[-1]}"]
                self._changes.attach(layer, partial(_changed, network, layer))

    def load_init(self) -> None:
        """Read the file named as ``init``, if any; see `load_hypernetwork`."""
        if self.init is not None:
            self.load_hypernetwork(self.init)

    @torch.no_grad()
    def load_hypernetwork(self, weights: str | Path | Mapping[Any, Any]) -> None:
        """Take the networks of a file in NovelAI's layout: by width, a pair of state dicts.

        Args:
            weights: the file of `torch.save`, which is read without running code, or its content.

        Raises:
            InputError: no such file, one of another method, with other widths, more layers or layer norms.
            RuntimeError: not injected.
        """
        if not self.networks:
            raise RuntimeError("the networks are made for a base: inject first")
        tensors, place = read_released(weights)
        found = {}
        for name, tensor in tensors.items():
            width, _, rest = name.partition(".")
            number, _, key = rest.partition(".")
            if not (width.isdigit() and number in ("0", "1") and key):
                raise InputError(
                    f"expected the weights of a hypernetwork, got those of {method_of(tensors)}",
                    place=place,
                    remedy="give a file in NovelAI's layout",
                )
            found[f"{width}/{'kv'[int(number)]}.{key}"] = tensor
        wanted = self.networks.state_dict()
        remedy = "set widths and activation as those of the file; it must have two layers and no layer norms"
        if any(name.endswith("linear.1.weight") for name in found) and not any(
            name.endswith("linear.2.weight") for name in found
        ):  # without a module for the activation
            found = {name.replace("linear.1.", "linear.2."): tensor for name, tensor in found.items()}
        check_weights(found, wanted, place=place, remedy=remedy)
        for name, tensor in wanted.items():
            tensor.copy_(found[name])


def _changed(network: nn.Module, layer: nn.Linear, features: Tensor, output: Tensor) -> Tensor:
    """What the addition of a network to the features changes of a projection, which is linear."""
    weight = dequantized(layer.weight)
    return nn.functional.linear(network(features).to(weight.dtype), weight)
