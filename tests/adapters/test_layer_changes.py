"""The base's own modules, under layers of peft."""

from __future__ import annotations

from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from graphcond.adapters.layer_changes import own_modules


def test_own_modules_are_those_of_before_under_layers_of_peft() -> None:
    denoiser = nn.ModuleDict({"to_k": nn.Linear(4, 4), "to_out": nn.Sequential(nn.Linear(4, 4), nn.ReLU())})
    before = dict(denoiser.named_modules())
    inject_adapter_in_model(LoraConfig(target_modules=["to_k", "0"]), denoiser, "one")
    assert "to_out.0.base_layer" in dict(denoiser.named_modules())
    assert own_modules(denoiser) == before
