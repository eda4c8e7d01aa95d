"""The frozen base: any Stable Diffusion folder, loaded strictly."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL

from graphcond.bases import StableDiffusionBase, StableDiffusionConfig
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.errors import InputError
from tests.tiny_checkpoints import write_sd_folder

CPU = torch.device("cpu")


@pytest.fixture
def copy(sd_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sd_folder, tmp_path / "sd"))


@pytest.mark.parametrize(("prediction", "width"), [("epsilon", 32), ("v_prediction", 64)])
def test_both_predictions_and_any_width(tmp_path: Path, prediction: str, width: int) -> None:
    folder = write_sd_folder(tmp_path / "sd", prediction=prediction, cross_width=width)
    base = StableDiffusionConfig(model=str(folder)).build(device=CPU)
    assert (base.facts.predicts, base.process.predicts, base.facts.token_width) == (*[prediction] * 2, width)
    assert (base.facts.default_size, base.facts.multiple, base.facts.latent_channels) == (64, 16, 4)
    assert StableDiffusionConfig(model=str(folder)).facts() == base.facts


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16"])
def test_dtypes(sd_folder: Path, dtype: str) -> None:
    base = StableDiffusionConfig(model=str(sd_folder), dtype=dtype).build(device=CPU)
    assert base.dtype == {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    text = base.encode_prompt(["a star"])
    assert text.hidden.dtype == base.dtype
    inputs = DenoiserInputs(torch.randn(1, 4, 8, 8), torch.tensor([5]), text.hidden)
    assert base.denoise(inputs).dtype == base.dtype


@torch.no_grad()
def test_channels_last_is_another_layout_of_the_same_weights(sd_folder: Path) -> None:
    plain, base = (
        StableDiffusionConfig(model=str(sd_folder), channels_last=last).build(device=CPU)
        for last in (False, True)
    )
    assert not plain.unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    assert base.unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    assert base.weights_version() == plain.weights_version()
    inputs = DenoiserInputs(
        torch.randn(2, 4, 8, 8), torch.tensor([5, 9]), base.encode_prompt(["a", "b"]).hidden
    )
    torch.testing.assert_close(base.denoise(inputs), plain.denoise(inputs), atol=1e-5, rtol=1e-5)


def test_everything_is_frozen(sd_folder: Path) -> None:
    base = StableDiffusionConfig(model=str(sd_folder)).build(device=CPU)
    for part in (base.unet, base.vae, base.text_encoder):
        assert not part.training
        assert not [name for name, parameter in part.named_parameters() if parameter.requires_grad]


@torch.no_grad()
def test_moments_are_the_vaes_posterior(sd_folder: Path) -> None:
    base = StableDiffusionConfig(model=str(sd_folder)).build(device=CPU)
    pixels = torch.rand(2, 3, 64, 64) * 2 - 1
    moments, vae = base.encode_pictures(pixels), AutoencoderKL.from_pretrained(sd_folder / "vae")
    posterior, scale = vae.encode(pixels).latent_dist, vae.config.scaling_factor
    assert torch.allclose(moments.mean, posterior.mean * scale, atol=1e-6)
    assert torch.allclose(moments.std, posterior.std * scale, atol=1e-6)
    assert base.decode_latents(moments.mean).shape == pixels.shape


def test_sites_are_the_cross_attentions(sd_folder: Path) -> None:
    base = StableDiffusionConfig(model=str(sd_folder)).build(device=CPU)
    sites = base.sites("cross_attention")
    assert sites
    for name, site in sites.items():
        assert site.name == name
        assert base.unet.get_submodule(name) is site.module
        assert site.module.cross_attention_dim == base.facts.token_width


@torch.no_grad()
def test_every_site_says_how_wide_and_how_fine_it_is(sd_folder: Path) -> None:
    base = StableDiffusionConfig(model=str(sd_folder)).build(device=CPU)
    shapes: dict[str, torch.Size] = {}

    def note(name: str, *_: object) -> None:
        output = _[-1]
        shapes[name] = (output[0] if isinstance(output, tuple) else output).shape

    sites = [*base.sites("encoder_level").values(), *base.sites("block").values()]
    for site in sites:
        site.module.register_forward_hook(partial(note, site.name))
    base.denoise(base.inputs(torch.randn(1, 4, 12, 8), torch.tensor([5]), base.encode_prompt(["a star"])))
    for site in sites:
        rows, columns = site.grid(12, 8)
        wanted = (rows * columns, site.width) if site.kind == "block" else (site.width, rows, columns)
        assert tuple(shapes[site.name][1:]) == wanted, site.name
    assert base.sites("joint_attention") == {}


@torch.no_grad()
def test_residuals_reach_the_level_they_are_named_after(sd_folder: Path) -> None:
    base = StableDiffusionConfig(model=str(sd_folder)).build(device=CPU)
    inputs = base.inputs(torch.randn(1, 4, 8, 8), torch.tensor([5]), base.encode_prompt(["a star"]))
    levels = base.sites("encoder_level")
    zeros = {name: torch.zeros(1, site.width, *site.grid(8, 8)) for name, site in levels.items()}
    plain = base.denoise(inputs)
    assert torch.equal(base.denoise(replace(inputs, residuals=zeros)), plain)
    for name in levels:
        moved = base.denoise(replace(inputs, residuals={**zeros, name: zeros[name] + 1}))
        assert not torch.allclose(moved, plain, atol=1e-5), name


def test_the_padding_of_a_prompt_is_known_and_shown(sd_folder: Path) -> None:
    base = StableDiffusionConfig(model=str(sd_folder)).build(device=CPU)
    text = base.encode_prompt(["ab", "abcd"])
    assert text.present.sum(1).tolist() == [4, 6]
    assert base.inputs(torch.randn(2, 4, 8, 8), torch.tensor([5, 5]), text).context_weight is None


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_missing_part_is_named(copy: Path, part: str) -> None:
    shutil.rmtree(copy / part)
    with pytest.raises(InputError, match=rf"has no folder '{part}'"):
        StableDiffusionConfig(model=str(copy)).build(device=CPU)
    with pytest.raises(InputError, match=rf"its {part} cannot be loaded"):
        StableDiffusionBase.from_pretrained(str(copy))


def test_truncated_weights_are_named(copy: Path) -> None:
    (weights,) = (copy / "unet").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(InputError, match="its unet cannot be loaded"):
        StableDiffusionConfig(model=str(copy)).build(device=CPU)


def test_pickled_weights_are_not_loaded(copy: Path) -> None:
    (weights,) = (copy / "unet").glob("*.safetensors")
    weights.unlink()
    torch.save({}, copy / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(InputError, match="its unet cannot be loaded"):
        StableDiffusionBase.from_pretrained(str(copy))
    torch.save({}, weights)
    with pytest.raises(
        InputError, match=rf"its unet cannot be loaded .{weights.name} is a pickle, which could"
    ):
        StableDiffusionBase.from_pretrained(str(copy))


def test_an_unknown_scheduler_is_named(copy: Path) -> None:
    file = copy / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"_class_name": "NoSuchScheduler"}))
    with pytest.raises(InputError, match="its scheduler cannot be loaded"):
        StableDiffusionConfig(model=str(copy)).build(device=CPU)


def test_a_hub_model_that_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="or a hub id while online"):
        StableDiffusionConfig(model="nobody/no-such-model").build(device=CPU)
    assert StableDiffusionConfig(model="nobody/no-such-model").facts() is None
    with pytest.raises(InputError, match=r"has no unet/config\.json"):
        StableDiffusionConfig(model=str(tmp_path)).facts()
