"""The copy answers as diffusers' own ControlNet of the same weights, and so does the steered base."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import ControlNetModel, T2IAdapter

from graphcond.adapters import ControlNetInjector, LoraInjector
from graphcond.bases import StableDiffusionBase, StableDiffusionXLBase
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.errors import InputError
from graphcond.signals import LayoutMap
from tests.builders import small_base
from tests.tiny_checkpoints import write_sd_folder

WIDTH = 3


@pytest.fixture(scope="module", params=["epsilon", "v_prediction", "sdxl"])
def base(request, tmp_path_factory: pytest.TempPathFactory) -> StableDiffusionBase | StableDiffusionXLBase:
    if request.param == "sdxl":
        return StableDiffusionXLBase.from_pretrained(str(request.getfixturevalue("sdxl_folder")))
    return small_base(write_sd_folder(tmp_path_factory.mktemp("sd"), prediction=request.param))


def inputs(base) -> DenoiserInputs:
    sample = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    return base.inputs(sample, torch.tensor([300, 700]), base.encode_prompt(["a star", "a tree"]))


def layout() -> LayoutMap:
    features = torch.randn(2, WIDTH, 8, 8, generator=torch.Generator().manual_seed(3))
    return LayoutMap(features, torch.ones(2, dtype=torch.bool))


def awake(base, **options) -> ControlNetInjector:
    injector = ControlNetInjector(layout_width=WIDTH, **options)
    injector.inject(base)
    torch.manual_seed(4)
    with torch.no_grad():
        for name, parameter in injector.named_parameters():
            if "controlnet_" in name:
                parameter.copy_(torch.randn_like(parameter) * 0.1)
    return injector


@torch.no_grad()
@pytest.mark.parametrize("guess_mode", [False, True])
def test_the_steered_base_is_diffusers_own_arithmetic(base, guess_mode: bool) -> None:
    injector, given = awake(base, guess_mode=guess_mode), inputs(base)
    down, mid = injector.controlnet(
        given.sample, given.timestep, given.context, layout().features, 0.7, guess_mode=guess_mode,
        return_dict=False, **base.conditions(given),
    )  # fmt: skip
    theirs = base.unet(
        given.sample,
        given.timestep,
        encoder_hidden_states=given.context,
        down_block_additional_residuals=down,
        mid_block_additional_residual=mid,
        **base.conditions(given),
    ).sample
    assert torch.allclose(base.denoise(injector.apply(given, layout(), 0.7)), theirs, atol=1e-6)
    injector.eject()


@torch.no_grad()
def test_the_copy_is_the_base_without_what_was_put_into_it(base) -> None:
    """A copy made while LoRA acts has the base's own weights, none shared, and no hook of the base."""
    plain = {name: tensor.clone() for name, tensor in base.unet.state_dict().items()}
    lora = LoraInjector(rank=2)
    lora.inject(base)
    injector = awake(base)
    copy = injector.controlnet
    copied = {n: t for n, t in copy.state_dict().items() if not n.startswith("controlnet_")}
    assert len(copied) > 50
    assert all(torch.equal(tensor, plain[name]) for name, tensor in copied.items())
    own = {parameter.data_ptr() for parameter in base.unet.parameters()}
    assert not own & {parameter.data_ptr() for parameter in copy.parameters()}
    hooked = [n for n, m in copy.named_modules() if m._forward_hooks or m._forward_pre_hooks]
    assert all(name.startswith(("controlnet_down_blocks", "controlnet_mid_block")) for name in hooked)
    alone = injector.apply(inputs(base), layout()).residuals
    with torch.no_grad():
        for parameter in lora.trainable_parameters().values():
            parameter.normal_()
    again = injector.apply(inputs(base), layout()).residuals
    assert torch.equal(alone["mid_block"], again["mid_block"])
    lora.eject()
    injector.eject()


@torch.no_grad()
def test_a_released_controlnet_gives_its_own_answer(base, tmp_path: Path) -> None:
    torch.manual_seed(5)
    theirs = ControlNetModel.from_unet(base.unet).eval()
    for parameter in theirs.parameters():
        parameter.copy_(torch.randn_like(parameter) * 0.1)
    theirs.save_pretrained(tmp_path)
    injector = ControlNetInjector(layout_width=3, hint="picture", init=tmp_path)
    injector.inject(base)
    injector.load_init()
    given, picture = inputs(base), torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(6))
    down, mid = theirs(
        given.sample, given.timestep, given.context, picture, return_dict=False, **base.conditions(given)
    )
    residuals = injector.apply(given, LayoutMap(picture, torch.ones(2, dtype=torch.bool))).residuals
    assert torch.allclose(residuals["mid_block"], mid, atol=1e-5)
    assert all(
        torch.allclose(one, other, atol=1e-5) for one, other in zip(residuals.values(), down, strict=False)
    )
    injector.eject()


@torch.no_grad()
def test_a_layout_starts_from_a_controlnet_but_for_its_embedding(base, tmp_path: Path) -> None:
    theirs = ControlNetModel.from_unet(base.unet)
    theirs.controlnet_mid_block.bias.fill_(0.5)
    theirs.save_pretrained(tmp_path / "control")
    injector = ControlNetInjector(layout_width=7, init=tmp_path / "control")
    injector.inject(base)
    injector.load_init()
    assert torch.equal(injector.controlnet.controlnet_mid_block.bias, theirs.controlnet_mid_block.bias)
    T2IAdapter(channels=[32, 64]).save_pretrained(tmp_path / "t2i")
    for settings, problem in (
        ({"layout_width": 7, "hint": "picture", "init": tmp_path / "control"}, "has shape"),
        ({"layout_width": 7, "init": tmp_path / "t2i"}, "expected a ControlNetModel, got a T2IAdapter"),
        ({"layout_width": 7, "init": tmp_path / "none"}, "cannot be loaded"),
    ):
        wrong = ControlNetInjector(**settings)
        wrong.inject(base)
        with pytest.raises(InputError, match=problem):
            wrong.load_init()
        wrong.eject()
    injector.eject()


@torch.no_grad()
@pytest.mark.parametrize("channels", [3, 5])
def test_ours_gives_its_answer_in_diffusers(base, tmp_path: Path, channels: int) -> None:
    injector = ControlNetInjector(layout_width=channels, hint="picture")
    injector.inject(base)
    torch.manual_seed(4)
    for parameter in injector.parameters():
        parameter.copy_(torch.randn_like(parameter) * 0.1)
    injector.write_controlnet(tmp_path / "ours")
    theirs = ControlNetModel.from_pretrained(tmp_path / "ours").eval()
    picture = torch.rand(2, channels, 64, 64, generator=torch.Generator().manual_seed(6))
    given = inputs(base)
    down, mid = theirs(
        given.sample, given.timestep, given.context, picture, return_dict=False, **base.conditions(given)
    )
    shown = injector.apply(given, LayoutMap(picture, torch.ones(2, dtype=torch.bool)))
    answer = base.unet(
        given.sample,
        given.timestep,
        encoder_hidden_states=given.context,
        down_block_additional_residuals=down,
        mid_block_additional_residual=mid,
        **base.conditions(given),
    ).sample
    assert torch.allclose(base.denoise(shown), answer, atol=1e-5)
    assert (answer - base.denoise(given)).abs().max() > 1e-2
    again = ControlNetInjector(layout_width=channels, hint="picture", init=tmp_path / "ours")
    again.inject(base)
    again.load_init()
    assert torch.equal(
        again.apply(given, LayoutMap(picture, torch.ones(2, dtype=torch.bool))).residuals["mid_block"],
        shown.residuals["mid_block"],
    )
    with pytest.raises(InputError, match="Choose another place"):
        injector.write_controlnet(tmp_path / "ours")
    with pytest.raises(InputError, match="hint: a ControlNet of diffusers reads pictures, and this one"):
        awake(base).write_controlnet(tmp_path / "layouts")
