"""Hypernetworks: files in NovelAI's layout, and the arithmetic of the web interfaces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from graphcond.adapters import HypernetworkInjector
from graphcond.errors import InputError
from tests.builders import small_base
from tests.conformance.parts import inputs, run


@pytest.fixture
def base(sd_folder: Path):
    return small_base(sd_folder)


WEB = {"relu": nn.ReLU, "leakyrelu": nn.LeakyReLU, "swish": nn.Hardswish, "tanh": nn.Tanh}


def network(width: int, header: dict[str, Any]) -> nn.Module:
    """One of a file, as the web interfaces put it together; dropout counts among the modules."""
    layers, sizes = [], header.get("layer_structure", [1, 2, 1])
    for number in range(1, len(sizes)):
        layers.append(nn.Linear(width * sizes[number - 1], width * sizes[number]))
        if number < len(sizes) - 1 or header.get("activate_output", True):
            layers += [WEB[name]() for name in (header.get("activation_func"),) if name in WEB]
        if header.get("is_layer_norm"):
            layers.append(nn.LayerNorm(width * sizes[number]))
        if header.get("dropout_structure", [0] * 9)[number]:
            layers.append(nn.Dropout(0.3))
    made = nn.Module()
    made.linear = nn.Sequential(*layers)
    return made.eval()


def write(file: Path, networks: dict[int, tuple[nn.Module, nn.Module]], header: dict[str, Any]) -> Path:
    weights = {width: tuple(one.state_dict() for one in pair) for width, pair in networks.items()}
    torch.save({**weights, "step": 100, "name": "style", **header}, file)
    return file


@torch.no_grad()
@pytest.mark.parametrize(
    ("header", "settings"),
    [
        ({}, {}),
        ({"activation_func": "linear", "layer_structure": [1, 2, 1], "is_layer_norm": False}, {}),
        ({"activation_func": None, "dropout_structure": [0, 0.3, 0]}, {}),
        ({"activation_func": "relu", "activate_output": False}, {"activation": "relu"}),
        ({"activation_func": "relu"}, {"activation": "relu", "activate_output": True}),
        (
            {
                "activation_func": "swish",
                "activate_output": False,
                "layer_structure": [1, 3, 2, 1],
                "is_layer_norm": True,
                "dropout_structure": [0, 0.3, 0.3, 0],
            },
            {"activation": "swish", "structure": (1, 3, 2, 1), "layer_norm": True},
        ),
    ],
)
def test_a_file_gives_the_tokens_plus_what_its_networks_make_of_them(
    base, tmp_path: Path, header: dict[str, Any], settings: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    widths = {layer.to_k.in_features for layer in (s.module for s in base.sites("cross_attention").values())}
    widths |= {layer.attn1.to_k.in_features for layer in (s.module for s in base.sites("block").values())}
    pairs = {width: tuple(network(width, header) for _ in "kv") for width in widths}
    file = write(tmp_path / "style.pt", pairs, header)
    injector = HypernetworkInjector(widths=tuple(pairs), init=file, **settings)
    injector.inject(base)
    injector.load_init()
    ours = run(base, injector)
    injector.eject()
    plain = base.denoise(inputs(base))
    for name, layer in base.denoiser.named_modules():
        if name.endswith((".to_k", ".to_v")):
            one = pairs[layer.in_features][name.endswith("v")]
            layer.register_forward_pre_hook(lambda _, args, one=one: (args[0] + one.linear(args[0]),))
    assert torch.allclose(ours, base.denoise(inputs(base)), atol=1e-5)
    assert not torch.allclose(ours, plain, atol=1e-3)


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ({"activation_func": "relu"}, "have the activation 'relu', those here 'linear'. Set activation as"),
        ({"activation_func": "mish"}, "have the activation 'mish', .* Use a file with one of linear, relu,"),
        ({"layer_structure": [1, 4, 1]}, r"have the structure \[1, 4, 1\], those here \(1, 2, 1\). Set str"),
        ({"is_layer_norm": True}, "have the layer_norm True, those here False. Set layer_norm as the file"),
        ({"layer_structure": 5}, "have the structure 5"),
    ],
)
def test_what_a_file_says_of_its_networks_is_not_passed_over(
    base, tmp_path: Path, header: dict[str, Any], problem: str
) -> None:
    width = base.facts.token_width
    shape = {} if header.get("layer_structure") == 5 else header
    file = write(tmp_path / "style.pt", {width: (network(width, shape), network(width, shape))}, header)
    injector = HypernetworkInjector(init=file)
    injector.inject(base)
    with pytest.raises(InputError, match=problem):
        injector.load_init()


def test_an_output_that_is_activated_shows_in_no_weight(base, tmp_path: Path) -> None:
    width, header = base.facts.token_width, {"activation_func": "relu"}
    file = write(tmp_path / "style.pt", {width: (network(width, header), network(width, header))}, header)
    injector = HypernetworkInjector(init=file, activation="relu")
    injector.inject(base)
    with pytest.raises(InputError, match="have the activate_output True, those here False"):
        injector.load_init()
    with pytest.raises(InputError, match="begin and end with 1"):
        HypernetworkInjector(structure=(1, 2))


def test_files_that_do_not_fit(base, tmp_path: Path) -> None:
    injector = HypernetworkInjector()
    with pytest.raises(RuntimeError, match="inject first"):
        injector.load_hypernetwork({})
    injector.inject(base)
    width = base.facts.token_width
    pair = (network(width, {}), network(width, {}))
    with pytest.raises(InputError, match=r"is surplus.*Set widths"):
        injector.load_hypernetwork(write(tmp_path / "two.pt", {width: pair, 64: (network(64, {}),) * 2}, {}))
    with pytest.raises(InputError, match="is missing"):
        injector.load_hypernetwork(write(tmp_path / "none.pt", {}, {}))
    with pytest.raises(InputError, match="expected the weights of a hypernetwork, got those of a LoRA"):
        injector.load_hypernetwork({"unet.to_q.lora_A.weight": torch.zeros(1)})
    for other in ("a", "16.0", "16"):
        with pytest.raises(InputError, match="expected the weights of a hypernetwork"):
            injector.load_hypernetwork({other: torch.zeros(1)})
    torch.save({width: Path}, tmp_path / "code.pt")
    with pytest.raises(InputError, match="could run code"):
        injector.load_hypernetwork(tmp_path / "code.pt")
    with pytest.raises(InputError, match="no attention reads tokens of the width 5"):
        HypernetworkInjector(widths=(5,)).inject(base)
