"""LoRA: the update is (alpha / rank) B A, on the layers that were named, from its own file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graphcond.adapters import LoraInjector
from graphcond.adapters.config import ATTENTION_PROJECTIONS
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.errors import InputError
from tests.builders import small_base


@pytest.fixture
def base(sd_folder: Path):
    return small_base(sd_folder)


def wake(injector: LoraInjector) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in injector.trainable_parameters().values():
            parameter.copy_(torch.randn_like(parameter))


def inputs(base) -> DenoiserInputs:
    return DenoiserInputs(torch.zeros(1, 4, 8, 8), torch.tensor([3]), base.encode_prompt(["a star"]).hidden)


@torch.no_grad()
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_update_is_the_papers(base, scale: float) -> None:
    site = next(iter(base.sites("cross_attention").values())).module
    weight = site.to_q.weight.clone()
    injector = LoraInjector(rank=2, alpha=6.0)
    injector.inject(base)
    wake(injector)
    injector.apply(inputs(base), None, scale)
    down, up = (getattr(site.to_q, name)[injector.name].weight for name in ("lora_A", "lora_B"))
    x = torch.randn(3, weight.shape[1])
    wanted = x @ (weight + scale * 6.0 / 2 * up @ down).T
    assert torch.allclose(site.to_q(x), wanted, atol=1e-4)


def test_every_attention_projection_and_nothing_else(base) -> None:
    names = {name for name, _ in base.unet.named_modules() if name.endswith(ATTENTION_PROJECTIONS)}
    injector = LoraInjector(rank=2)
    injector.inject(base)
    adapted = {name.split(".lora_")[0] for name in injector.trainable_parameters()}
    assert adapted == names


def test_targets_that_no_layer_has(base) -> None:
    with pytest.raises(InputError, match=r"lora\.targets"):
        LoraInjector(targets=("no_such_layer",)).inject(base)
    assert not getattr(base.unet, "peft_config", {})


def test_injecting_twice_is_our_fault(base) -> None:
    injector = LoraInjector()
    injector.inject(base)
    with pytest.raises(RuntimeError, match="eject it first"):
        injector.inject(base)


def test_weights_need_a_denoiser(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="inject first"):
        LoraInjector().save_weights(tmp_path)


@torch.no_grad()
@pytest.mark.parametrize("weight_decomposed", [False, True])
def test_a_round_trip_through_the_file(base, tmp_path: Path, weight_decomposed: bool) -> None:
    def build() -> LoraInjector:
        injector = LoraInjector(rank=2, weight_decomposed=weight_decomposed)
        injector.inject(base)
        return injector

    first = build()
    wake(first)
    wanted = base.denoise(first.apply(inputs(base), None))
    first.save_weights(tmp_path)
    first.eject()
    second = build()
    second.load_weights(tmp_path)
    assert torch.allclose(base.denoise(second.apply(inputs(base), None)), wanted, atol=1e-5)
