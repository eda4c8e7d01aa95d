"""Released GLIGEN weights give here what diffusers' own GLIGEN UNet gives."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file

from graphcond.adapters import GatedSelfAttentionInjector
from graphcond.bases import StableDiffusionBase
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.errors import InputError, Notice
from graphcond.signals import GraphTokens
from tests.builders import small_base

SLOTS, SHOWN = 30, 4


@pytest.fixture
def base(sd_folder: Path) -> StableDiffusionBase:
    return small_base(sd_folder)


@pytest.fixture
def gligen(base) -> UNet2DConditionModel:
    """The same base as a GLIGEN UNet with random gated layers, gates and nulls."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel.from_config({**base.unet.config, "attention_type": "gated"}).eval()
    unet.load_state_dict(base.unet.state_dict(), strict=False)
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if "alpha_" in name or "null_" in name:
                parameter.copy_(torch.randn_like(parameter))
    return unet


@pytest.fixture
def signal(base) -> GraphTokens:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(2, SHOWN, base.facts.token_width, generator=generator)
    corner = torch.rand(2, SHOWN, 2, generator=generator) / 2
    present = torch.tensor([[True] * SHOWN, [True, True, False, False]])
    return GraphTokens(tokens, present, torch.cat([corner, corner + 0.4], -1), present)


def inputs(base) -> DenoiserInputs:
    sample = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    return DenoiserInputs(sample, torch.tensor([300, 700]), base.encode_prompt(["a star", "a tree"]).hidden)


def their_answer(
    unet: UNet2DConditionModel, given: DenoiserInputs, signal: GraphTokens, slots: int = SLOTS
) -> torch.Tensor:
    missing = slots - signal.tokens.shape[1]
    shown = {
        "boxes": torch.nn.functional.pad(signal.boxes, (0, 0, 0, missing)),
        "positive_embeddings": torch.nn.functional.pad(signal.tokens, (0, 0, 0, missing)),
        "masks": torch.nn.functional.pad(signal.present.float(), (0, missing)),
    }
    return unet(
        given.sample,
        given.timestep,
        encoder_hidden_states=given.context,
        cross_attention_kwargs={"gligen": shown},
    ).sample


@torch.no_grad()
@pytest.mark.parametrize("layout", ["state dict", "unet folder", "model folder"])
def test_boxes_nulls_and_thirty_slots(base, gligen, signal, tmp_path: Path, layout: str) -> None:
    injector = GatedSelfAttentionInjector(absent="null", slots=SLOTS)
    injector.inject(base)
    if layout == "state dict":
        injector.load_gligen(gligen.state_dict())
    else:
        gligen.save_pretrained(tmp_path / "unet")
        injector.load_gligen(tmp_path if layout == "model folder" else tmp_path / "unet")
    ours = base.denoise(injector.apply(inputs(base), signal))
    theirs = their_answer(gligen, inputs(base), signal)
    assert (ours - theirs).abs().max() < 1e-4
    assert (ours - base.denoise(inputs(base))).abs().max() > 1e-2


@torch.no_grad()
def test_a_token_without_a_box_has_the_null_place_alone(base, gligen, signal) -> None:
    injector = GatedSelfAttentionInjector()
    injector.inject(base)
    injector.load_gligen(gligen.state_dict())
    unboxed = replace(signal, boxes=None, boxed=None)
    moved = replace(signal, boxes=signal.boxes + 0.1, boxed=torch.zeros_like(signal.present))
    grounding = [injector.apply(inputs(base), one).grounding for one in (unboxed, moved)]
    first, second = (next(iter(each.values())).tokens for each in grounding)
    assert torch.equal(first, second)
    assert not torch.allclose(first[0, 0], first[0, 1])


def test_weights_of_no_gligen_and_of_another_base(base, gligen, tmp_path: Path) -> None:
    injector = GatedSelfAttentionInjector()
    with pytest.raises(RuntimeError, match="inject first"):
        injector.load_gligen(gligen.state_dict())
    injector.inject(base)
    with pytest.raises(InputError, match="no gated self-attention"):
        injector.load_gligen(base.unet.state_dict())
    with pytest.raises(InputError, match=r"has no diffusion_pytorch_model\.safetensors"):
        injector.load_gligen(tmp_path)
    other = UNet2DConditionModel.from_config({**gligen.config, "cross_attention_dim": 16})
    save_file(other.state_dict(), tmp_path / "diffusion_pytorch_model.safetensors")
    with pytest.raises(InputError, match="weights do not fit"):
        injector.load_gligen(tmp_path)


@torch.no_grad()
@pytest.mark.parametrize("absent", ["null", "masked"])
def test_ours_gives_its_answer_in_diffusers(base, signal, tmp_path: Path, absent: str) -> None:
    injector = GatedSelfAttentionInjector(absent=absent, slots=SLOTS)
    injector.inject(base)
    torch.manual_seed(0)
    for name, parameter in injector.named_parameters():
        if "alpha_" in name or "null_" in name:
            parameter.copy_(torch.randn_like(parameter))
    with nullcontext() if absent == "null" else pytest.warns(Notice, match="as many slots as tokens"):
        injector.write_gligen(base, tmp_path / "unet")
    theirs, slots = UNet2DConditionModel.from_pretrained(tmp_path / "unet"), SLOTS
    if absent == "masked":
        slots, signal = SHOWN, replace(signal, present=signal.boxed | True, boxed=signal.boxed | True)
    ours = base.denoise(injector.apply(inputs(base), signal))
    assert torch.allclose(ours, their_answer(theirs, inputs(base), signal, slots), atol=1e-5)
    assert (ours - base.denoise(inputs(base))).abs().max() > 1e-2
    injector.load_gligen(tmp_path)
    assert torch.equal(base.denoise(injector.apply(inputs(base), signal)), ours)


def test_layers_that_are_not_gligens(base, tmp_path: Path) -> None:
    placed = GatedSelfAttentionInjector(place="coverage")
    with pytest.raises(RuntimeError, match="inject first"):
        placed.write_gligen(base, tmp_path / "unet")
    placed.inject(base)
    with pytest.raises(InputError, match=r"GLIGEN has place 'fourier', .* these layers have 'coverage'"):
        placed.write_gligen(base, tmp_path / "unet")
    assert not [*tmp_path.iterdir()]
