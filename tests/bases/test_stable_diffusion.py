"""The frozen base: any Stable Diffusion folder, loaded strictly."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL

from graphcond.bases import StableDiffusionConfig
from graphcond.bases.config import read_facts
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
    assert (base.prediction_type, base.token_width) == (prediction, width)
    facts = read_facts(str(folder))
    assert facts is not None
    assert (facts.prediction_type, facts.token_width, facts.token_count) == (
        prediction,
        width,
        base.token_count,
    )
    assert facts.resolution == base.default_size == 64
    assert base.noise_scheduler().config.prediction_type == prediction


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16"])
def test_dtypes(sd_folder: Path, dtype: str) -> None:
    base = StableDiffusionConfig(model=str(sd_folder), dtype=dtype).build(device=CPU)
    assert base.dtype == {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    text = base.encode_prompt(["a star"])
    assert text.hidden.dtype == base.dtype
    inputs = DenoiserInputs(torch.randn(1, 4, 8, 8), torch.tensor([5]), text.hidden)
    assert base.denoise(inputs).dtype == base.dtype


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
    sites = base.cross_attentions()
    assert sites
    assert all(site.cross_attention_dim == base.token_width for site in sites.values())
    assert all(base.unet.get_submodule(name) is site for name, site in sites.items())


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_missing_part_is_named(copy: Path, part: str) -> None:
    shutil.rmtree(copy / part)
    with pytest.raises(InputError, match=rf"its {part} cannot be loaded"):
        StableDiffusionConfig(model=str(copy)).build(device=CPU)


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
        StableDiffusionConfig(model=str(copy)).build(device=CPU)


def test_an_unknown_scheduler_is_named(copy: Path) -> None:
    file = copy / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"_class_name": "NoSuchScheduler"}))
    with pytest.raises(InputError, match="its scheduler cannot be loaded"):
        StableDiffusionConfig(model=str(copy)).build(device=CPU)


def test_a_hub_model_that_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="or a hub id while online"):
        StableDiffusionConfig(model="nobody/no-such-model").build(device=CPU)
    assert read_facts("nobody/no-such-model") is None
    with pytest.raises(InputError, match=r"has no unet/config\.json"):
        read_facts(str(tmp_path))
