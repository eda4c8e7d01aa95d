"""LoRA: the update is (alpha / rank) B A, on the layers that were named, from its own file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig as PeftLoraConfig

from graphcond.adapters import LoraInjector
from graphcond.adapters.config import ATTENTION_PROJECTIONS
from graphcond.adapters.lora import ADAPTER
from graphcond.bases import StableDiffusionBase, StableDiffusionXLBase
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.errors import InputError
from tests.builders import small_base
from tests.conformance.parts import hooks


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


def layer_of(base) -> torch.nn.Linear:
    return next(iter(base.sites("cross_attention").values())).module.to_q


@torch.no_grad()
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_update_is_the_papers(base, scale: float) -> None:
    layer, seen = layer_of(base), {}
    injector = LoraInjector(rank=2, alpha=6.0)
    injector.inject(base)
    wake(injector)
    layer.register_forward_hook(lambda module, args, output: seen.update(x=args[0], y=output))
    base.denoise(injector.apply(inputs(base), None, scale))
    name = next(name for name, module in base.unet.named_modules() if module is layer)
    down, up = (injector.trainable_parameters()[f"{name}.lora_{side}.{ADAPTER}.weight"] for side in "AB")
    assert torch.allclose(seen["y"], seen["x"] @ (layer.weight + scale * 6.0 / 2 * up @ down).T, atol=1e-4)


def test_every_attention_projection_and_nothing_else(base) -> None:
    names = {name for name, _ in base.unet.named_modules() if name.endswith(ATTENTION_PROJECTIONS)}
    injector = LoraInjector(rank=2)
    injector.inject(base)
    adapted = {name.split(".lora_")[0] for name in injector.trainable_parameters()}
    assert adapted == names


def test_targets_that_no_layer_has(base) -> None:
    before = hooks(base)
    for target in ("no_such_layer", "attn1"):  # the second one is no layer that can be adapted
        with pytest.raises(InputError, match=rf"lora\.targets.*{target}"):
            LoraInjector(targets=(target,)).inject(base)
    assert not hooks(base) - before


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


@torch.no_grad()
@pytest.mark.parametrize("weight_decomposed", [False, True])
def test_an_ejected_update_acts_again_on_another_base(base, sd_folder: Path, weight_decomposed: bool) -> None:
    injector = LoraInjector(rank=2, weight_decomposed=weight_decomposed)
    injector.inject(base)
    wake(injector)
    wanted = base.denoise(injector.apply(inputs(base), None))
    injector.eject()
    with pytest.raises(RuntimeError, match="inject first"):
        injector.apply(inputs(base), None)
    other = small_base(sd_folder)
    injector.inject(other)
    assert torch.equal(other.denoise(injector.apply(inputs(other), None)), wanted)


def test_its_weights_do_not_move_to_a_base_of_other_widths(base, sdxl_folder: Path) -> None:
    injector = LoraInjector(rank=2)
    injector.inject(base)
    injector.eject()
    wide = StableDiffusionXLBase.from_pretrained(str(sdxl_folder))
    with pytest.raises(InputError, match="other widths"):
        injector.inject(wide)
    assert not injector.injected


def foreign_state(unet) -> dict[str, object]:
    """What belongs to the adapters that others put into a denoiser."""
    layers = {name: module for name, module in unet.named_modules() if hasattr(module, "base_layer")}
    return {
        "weights": {name: (p.requires_grad, p.sum().item()) for name, p in unet.named_parameters()},
        "active": {name: (layer.active_adapters, layer.disable_adapters) for name, layer in layers.items()},
        "known": list(getattr(unet, "peft_config", {})),
    }


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:Already found a `peft_config`")
@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("targets", [["to_q"], ["to_k", "conv1"]], ids=["the same layers", "others"])
def test_adapters_of_others_stay_as_they_are(base, enabled: bool, targets: list[str]) -> None:
    for name in ("theirs", "idle"):
        base.unet.add_adapter(PeftLoraConfig(r=2, target_modules=targets, init_lora_weights=False), name)
    base.unet.set_adapter("theirs")
    base.unet.requires_grad_(False)
    if not enabled:
        base.unet.disable_adapters()
    before, plain = foreign_state(base.unet), base.denoise(inputs(base))
    first, second = LoraInjector(rank=2, targets=("to_q", "to_v")), LoraInjector(rank=2)
    first.inject(base)
    second.inject(base)
    wake(first)
    drawn = base.denoise(first.apply(inputs(base), None))
    assert not torch.allclose(drawn, plain, atol=1e-4)
    assert foreign_state(base.unet) == before
    assert torch.equal(base.denoise(inputs(base)), plain)
    second.eject()
    assert torch.equal(base.denoise(first.apply(inputs(base), None)), drawn)
    first.eject()
    assert foreign_state(base.unet) == before
    assert torch.equal(base.denoise(inputs(base)), plain)


@torch.no_grad()
def test_what_others_do_with_their_adapters_leaves_it_alone(base) -> None:
    injector = LoraInjector(rank=2)
    injector.inject(base)
    wake(injector)
    wanted = base.denoise(injector.apply(inputs(base), None))
    base.unet.add_adapter(PeftLoraConfig(r=2, target_modules=["to_q"], init_lora_weights=False), "theirs")
    assert all(parameter.requires_grad for parameter in injector.trainable_parameters().values())
    assert not torch.equal(base.denoise(injector.apply(inputs(base), None)), wanted)
    base.unet.disable_adapters()
    assert torch.equal(base.denoise(injector.apply(inputs(base), None)), wanted)
    base.unet.unload_lora()
    assert torch.equal(base.denoise(injector.apply(inputs(base), None)), wanted)


@torch.no_grad()
def test_dropout_acts_in_training_alone(base) -> None:
    injector = LoraInjector(rank=2, dropout=0.9)
    injector.inject(base)
    wake(injector)
    given = injector.apply(inputs(base), None)
    assert torch.equal(base.denoise(given), base.denoise(given))
    injector.train()
    assert not torch.equal(base.denoise(given), base.denoise(given))


@torch.no_grad()
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_decomposed_update_starts_as_the_base_and_fades_into_it(sd_folder: Path, dtype: str) -> None:
    base = StableDiffusionBase.from_pretrained(str(sd_folder), dtype=dtype)
    plain, injector = base.denoise(inputs(base)), LoraInjector(rank=2, weight_decomposed=True)
    injector.inject(base)
    assert torch.allclose(base.denoise(injector.apply(inputs(base), None)), plain, atol=1e-5)
    wake(injector)
    assert torch.equal(base.denoise(injector.apply(inputs(base), None, 0.0)), plain)
    far, near = (
        (base.denoise(injector.apply(inputs(base), None, scale)) - plain).abs().max() for scale in (1.0, 1e-3)
    )
    assert near < 0.05 * far
