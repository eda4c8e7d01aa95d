"""DiffFit: what it trains, and that its numbers mean what they are called."""

from __future__ import annotations

from pathlib import Path

import torch

from graphcond.adapters import DiffFitInjector
from tests.builders import small_base
from tests.conformance.parts import inputs, run, wake


@torch.no_grad()
def test_it_is_the_base_with_other_biases_norms_and_scales(sd_folder: Path) -> None:
    base, injector = small_base(sd_folder), DiffFitInjector()
    injector.inject(base)
    wake(injector)
    for parameter in injector.parameters():
        parameter.mul_(0.3)
    ours, changes = run(base, injector), injector.trainable_parameters()
    injector.eject()
    for name, layer in injector.layers.items():
        own = base.denoiser.get_submodule(name.replace("/", "."))
        scale = 1.0 if layer.scale is None else 1 + layer.scale
        own.weight.mul_(scale)
        if layer.weight is not None:
            own.weight.add_(layer.weight)
        if own.bias is not None:
            own.bias.mul_(scale).add_(layer.bias)
    assert torch.allclose(base.denoise(inputs(base)), ours, atol=1e-4)
    small = sum(parameter.numel() for parameter in changes.values())
    assert small < 0.05 * sum(parameter.numel() for parameter in base.denoiser.parameters())
    assert sum(name.endswith(".scale") for name in changes) == 3 * len(base.sites("block"))
