"""Hypernetworks: files in NovelAI's layout, and the arithmetic of the web interfaces."""

from __future__ import annotations

from pathlib import Path

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


def network(width: int, activation: nn.Module | None) -> nn.Module:
    """One of a file: two layers, and between them an activation where the file has one."""
    layers = [nn.Linear(width, 2 * width), activation, nn.Linear(2 * width, width)]
    made = nn.Module()
    made.linear = nn.Sequential(*(layer for layer in layers if layer is not None))
    return made


def write(file: Path, networks: dict[int, tuple[nn.Module, nn.Module]]) -> Path:
    torch.save(
        {
            **{width: tuple(one.state_dict() for one in pair) for width, pair in networks.items()},
            "step": 100,
            "name": "style",
            "layer_structure": [1, 2, 1],
            "activation_func": "relu",
        },
        file,
    )
    return file


@torch.no_grad()
@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_a_file_gives_the_tokens_plus_what_its_networks_make_of_them(
    base, tmp_path: Path, activation
) -> None:
    torch.manual_seed(0)
    widths = sorted(
        {layer.to_k.in_features for layer in (s.module for s in base.sites("cross_attention").values())}
    )
    widths += sorted(
        {layer.attn1.to_k.in_features for layer in (s.module for s in base.sites("block").values())}
    )
    pairs = {
        w: tuple(network(w, nn.ReLU() if activation == "relu" else None) for _ in "kv") for w in set(widths)
    }
    file = write(tmp_path / "style.pt", pairs)
    injector = HypernetworkInjector(widths=tuple(pairs), activation=activation, init=file)
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


def test_files_that_do_not_fit(base, tmp_path: Path) -> None:
    injector = HypernetworkInjector()
    with pytest.raises(RuntimeError, match="inject first"):
        injector.load_hypernetwork({})
    injector.inject(base)
    width = base.facts.token_width
    pair = (network(width, None), network(width, None))
    with pytest.raises(InputError, match=r"is surplus.*Set widths"):
        injector.load_hypernetwork(write(tmp_path / "two.pt", {width: pair, 64: (network(64, None),) * 2}))
    with pytest.raises(InputError, match="is missing"):
        injector.load_hypernetwork(write(tmp_path / "none.pt", {}))
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
