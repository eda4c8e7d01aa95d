"""What is particular to ControlNet: width, size, prompt, sum, levels, half precision."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graphcond.adapters import ControlNetConfig, ControlNetInjector, PromptTokenInjector
from graphcond.bases import StableDiffusionBase
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.errors import InputError
from graphcond.signals import GraphTokens, LayoutMap
from tests.builders import small_base
from tests.tiny_checkpoints import write_sd_folder

WIDTH = 5


@pytest.fixture
def base(sd_folder: Path) -> StableDiffusionBase:
    return small_base(sd_folder)


def inputs(base) -> DenoiserInputs:
    shape = (2, base.facts.latent_channels, 8, 8)
    sample = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return DenoiserInputs(sample, torch.tensor([300, 700]), base.encode_prompt(["a star", "a tree"]).hidden)


def layout(side: int = 8) -> LayoutMap:
    features = torch.randn(2, WIDTH, side, side, generator=torch.Generator().manual_seed(1))
    return LayoutMap(features, torch.ones(2, dtype=torch.bool))


def awake(base, seed: int = 2, **options) -> ControlNetInjector:
    injector = ControlNetInjector(layout_width=WIDTH, **options)
    injector.inject(base)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in injector.named_parameters():
            if "controlnet_" in name:
                parameter.copy_(torch.randn_like(parameter) * 0.1)
    return injector


def test_the_encoder_says_how_wide_layouts_are(base) -> None:
    assert ControlNetConfig().build(signal_width=7).layout_width == 7
    assert ControlNetConfig(layout_width=3).build().layout_width == 3
    with pytest.raises(InputError, match="expected 3 channels, the encoder gives 7"):
        ControlNetConfig(layout_width=3).build(signal_width=7)
    with pytest.raises(InputError, match="the number of channels"):
        ControlNetConfig().build().inject(base)
    injector = ControlNetConfig(layout_width=3).build()
    injector.inject(base)
    with pytest.raises(InputError, match="layouts have 5 channels, it was made for 3"):
        injector.apply(inputs(base), layout())


def test_misuse_is_our_fault(base) -> None:
    injector = ControlNetInjector(layout_width=WIDTH)
    with pytest.raises(RuntimeError, match="not injected"):
        injector.apply(inputs(base), layout())
    injector.inject(base)
    with pytest.raises(RuntimeError, match="eject it first"):
        injector.inject(base)


@torch.no_grad()
@pytest.mark.parametrize("side", [4, 8, 32])
def test_a_layout_of_any_size_is_read(base, side: int) -> None:
    injector, plain = awake(base), base.denoise(inputs(base))
    assert not torch.allclose(base.denoise(injector.apply(inputs(base), layout(side))), plain, atol=1e-4)


@torch.no_grad()
def test_where_the_layout_says_something_matters(base) -> None:
    injector, given = awake(base), layout()
    mirrored = LayoutMap(given.features.flip(-1), given.present)
    first, second = (injector.apply(inputs(base), one).residuals for one in (given, mirrored))
    assert not torch.allclose(first["conv_in"], second["conv_in"], atol=1e-4)


@torch.no_grad()
def test_it_reads_the_prompt_alone(base) -> None:
    injector = awake(base)
    tokens = GraphTokens(torch.randn(2, 3, base.facts.token_width), torch.ones(2, 3, dtype=torch.bool))
    alone = injector.apply(inputs(base), layout()).residuals
    for place in ("append", "replace"):
        given = PromptTokenInjector(place=place).apply(inputs(base), tokens)
        assert torch.equal(injector.apply(given, layout()).residuals["mid_block"], alone["mid_block"])
    other = inputs(base)
    other = DenoiserInputs(other.sample, other.timestep, other.context.flip(0))
    assert not torch.allclose(injector.apply(other, layout()).residuals["mid_block"], alone["mid_block"])


@torch.no_grad()
def test_residuals_of_two_add_up_and_scale(base) -> None:
    first, second = awake(base, 3), awake(base, 4)
    one, two = (injector.apply(inputs(base), layout()).residuals for injector in (first, second))
    both = second.apply(first.apply(inputs(base), layout()), layout(), 0.5).residuals
    assert both.keys() == base.sites("encoder_level").keys()
    assert all(torch.allclose(both[site], one[site] + two[site] / 2, atol=1e-6) for site in both)


@torch.no_grad()
def test_guess_mode_weighs_the_levels(base) -> None:
    plain = awake(base).apply(inputs(base), layout()).residuals
    guess = awake(base, guess_mode=True).apply(inputs(base), layout()).residuals
    assert torch.allclose(guess["conv_in"], plain["conv_in"] / 10, atol=1e-6)
    assert torch.allclose(guess["mid_block"], plain["mid_block"], atol=1e-6)


@torch.no_grad()
def test_figures_are_relative_to_the_features(base) -> None:
    injector = awake(base)
    for convolution in [
        *injector.controlnet.controlnet_down_blocks,
        injector.controlnet.controlnet_mid_block,
    ]:
        torch.nn.init.dirac_(convolution.weight)
        convolution.weight *= 0.25
        torch.nn.init.zeros_(convolution.bias)
    injector.apply(inputs(base), layout(), 0.5)
    assert injector.figures()["residuals_to_features"] == pytest.approx(0.25, abs=1e-4)
    assert injector.unused() is None


def test_a_trained_copy_moves_to_a_base_of_its_shape_only(base, tmp_path: Path) -> None:
    injector = awake(base)
    weights = {name: tensor.clone() for name, tensor in injector.state_dict().items()}
    injector.eject()
    injector.inject(small_base(write_sd_folder(tmp_path / "other", seed=5)))
    assert all(torch.equal(tensor, weights[name]) for name, tensor in injector.state_dict().items())
    injector.eject()
    with pytest.raises(InputError, match="a base of another shape"):
        injector.inject(small_base(write_sd_folder(tmp_path / "wider", cross_width=48)))


def test_it_checkpoints_as_the_base_does(base) -> None:
    base.enable_gradient_checkpointing()
    injector = awake(base)
    assert injector.controlnet.is_gradient_checkpointing
    injector.eject()
    base.unet.disable_gradient_checkpointing()
    injector.inject(base)
    assert not injector.controlnet.is_gradient_checkpointing


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_half_precision_base_trains_a_float32_copy(base, dtype: torch.dtype) -> None:
    exact = awake(base)
    with torch.no_grad():
        wanted = base.denoise(exact.apply(inputs(base), layout()))
    for part in (base.unet, base.text_encoder):
        part.to(dtype)
    half = awake(base)
    output = base.denoise(half.apply(inputs(base), layout()))
    assert output.dtype == dtype
    assert torch.allclose(output.float(), wanted, atol=0.15)
    output.float().square().sum().backward()
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in half.trainable_parameters().values())


@torch.no_grad()
def test_on_the_packaged_base() -> None:
    base = StableDiffusionBase.from_pretrained("tiny")
    plain = base.denoise(inputs(base))
    injector = ControlNetInjector(layout_width=WIDTH)
    injector.inject(base)
    assert torch.equal(base.denoise(injector.apply(inputs(base), layout())), plain)
    injector.eject()
    assert not torch.allclose(base.denoise(awake(base).apply(inputs(base), layout())), plain, atol=1e-4)
