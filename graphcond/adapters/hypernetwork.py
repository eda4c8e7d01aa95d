"""Hypernetwork (NovelAI, 2022): small networks before the keys and values of attention."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graphcond.adapters.base import kept_layers
from graphcond.adapters.config import Activation, HypernetworkConfig, check_structure
from graphcond.adapters.layer_changes import LayerUpdate, own_modules
from graphcond.bases.base import Base
from graphcond.bases.quantization import dequantized
from graphcond.config import checked, shown
from graphcond.errors import InputError
from graphcond.io.released import flat, read_content
from graphcond.io.tensors import check_weights, method_of

DEFAULT = HypernetworkConfig.model_construct()

ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "leakyrelu": nn.LeakyReLU,
    "elu": nn.ELU,
    "swish": nn.Hardswish,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
"""By their names in files; what web interfaces call swish is the hard one."""

NOISE = 0.01
"""Spread of the first weights of a new network, as the web interfaces have it."""


SETTINGS = {
    "layer_structure": "structure",
    "activation_func": "activation",
    "is_layer_norm": "layer_norm",
    "activate_output": "activate_output",
}
"""What the web interfaces write beside the weights, and our names for it."""


class Small(nn.Module):
    """What is added to tokens of width d: linear layers, by default from d to 2d and from 2d to d.

    Args:
        width: d.
        settings: the injector's.
    """

    def __init__(self, width: int, settings: HypernetworkInjector) -> None:
        super().__init__()
        sizes = [int(width * times) for times in settings.structure]
        layers: list[nn.Module] = []
        for number, pair in enumerate(pairwise(sizes), start=2):
            layers.append(nn.Linear(*pair))
            if number < len(sizes) or settings.activate_output:
                layers.append(ACTIVATIONS[settings.activation]())
            if settings.layer_norm:
                layers.append(nn.LayerNorm(pair[1]))
        self.linear = nn.Sequential(*layers)
        for name, parameter in self.linear.named_parameters():
            nn.init.zeros_(parameter) if name.endswith("bias") else nn.init.normal_(parameter, std=NOISE)

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
        activation: between the layers.
        structure: widths between the layers, as multiples of that of the tokens, from 1 to 1.
        layer_norm: a norm follows each layer.
        activate_output: the activation follows the last layer too.
        init: a file for `load_init` to read.

    Raises:
        InputError: the structure does not begin and end with 1.
    """

    def __init__(
        self,
        *,
        widths: tuple[int, ...] | None = None,
        activation: Activation = DEFAULT.activation,
        structure: tuple[float, ...] = DEFAULT.structure,
        layer_norm: bool = DEFAULT.layer_norm,
        activate_output: bool = DEFAULT.activate_output,
        init: str | Path | None = None,
    ) -> None:
        super().__init__("the hypernetwork")
        check_structure(structure)
        self.widths, self.activation, self.structure, self.init = widths, activation, tuple(structure), init
        self.layer_norm, self.activate_output = layer_norm, activate_output
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
        made = nn.ModuleDict({f"{width}/{part}": Small(width, self) for width in widths for part in "kv"})
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
            InputError: no such file, one of another method, or of networks with other widths or settings.
            RuntimeError: not injected.
        """
        if not self.networks:
            raise RuntimeError("the networks are made for a base: inject first")
        content, place = read_content(weights)
        self._check_settings(content, place)
        tensors, found = flat(content), {}
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
        found = _numbered_like(found, wanted)
        remedy = "set widths, activation, structure and layer_norm as those of the file"
        check_weights(found, wanted, place=place, remedy=remedy)
        for name, tensor in wanted.items():
            tensor.copy_(found[name])

    def _check_settings(self, content: Mapping[Any, Any], place: object) -> None:
        """Compare the settings that a file has beside its weights with those of the networks here.

        Raises:
            InputError: they differ.
        """
        said = {ours: content[theirs] for theirs, ours in SETTINGS.items() if theirs in content}
        if "activation" in said:
            said["activation"] = said["activation"] or "linear"
            said.setdefault("activate_output", True)  # so the web interfaces read files that do not say
        if said.get("activation") == "linear":
            del said["activate_output"]
        for name, value in said.items():
            own = getattr(self, name)
            if value != (list(own) if isinstance(own, tuple) else own):
                remedy = f"set {name} as the file has it"
                if name == "activation" and value not in tuple(ACTIVATIONS):
                    remedy = f"use a file with one of {', '.join(ACTIVATIONS)}"
                raise InputError(
                    f"the networks of the file have the {name} {shown(value)}, those here {shown(own)}",
                    place=place,
                    remedy=remedy,
                )


def _numbered_like(found: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights by the names here, where these differ only in the numbers of the layers.

    Files number the modules without weights in other ways.
    """
    number = re.compile(r"(?<=\.linear)\.?(\d+)")

    def in_order(names: Iterable[str]) -> list[str]:
        return sorted(
            names, key=lambda name: (name.partition(".")[0], [*map(int, number.findall(name))], name)
        )

    theirs, ours = in_order(found), in_order(wanted)
    if [number.sub("", name) for name in theirs] != [number.sub("", name) for name in ours]:
        return found
    return {name: found[other] for name, other in zip(ours, theirs, strict=True)}


def _changed(network: nn.Module, layer: nn.Linear, features: Tensor, output: Tensor) -> Tensor:
    """What the addition of a network to the features changes of a projection, which is linear."""
    weight = dequantized(layer.weight)
    return nn.functional.linear(network(features).to(weight.dtype), weight)
