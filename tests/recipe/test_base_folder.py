"""What a recipe check says of the folder that is to be the base, before any weight is loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from graphcond.bases import BASES, StableDiffusionBase
from graphcond.errors import InputError
from graphcond.pipeline import GraphPipeline
from graphcond.recipe import parse_recipe
from tests.builders import recipe_values, small_model
from tests.tiny_checkpoints import write_sdxl_folder


@pytest.fixture
def sd(sd_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sd_folder, tmp_path / "sd"))


@pytest.fixture(scope="module")
def sdxl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sdxl_folder(tmp_path_factory.mktemp("sdxl"))


@pytest.fixture
def sdxl(sdxl_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sdxl_folder, tmp_path / "sdxl"))


def edit(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def complaint(folder: Path, *, kind: str = "stable_diffusion", training: Any = None, **settings: Any) -> str:
    base = {"kind": kind, "model": str(folder), **settings}
    with pytest.raises(InputError) as caught:
        parse_recipe(recipe_values(folder, base=base, training=training or {}))
    return str(caught.value)


def test_a_folder_of_each_kind_is_taken(sd: Path, sdxl: Path) -> None:
    for kind, folder in {"stable_diffusion": sd, "sdxl": sdxl}.items():
        base = {"kind": kind, "model": str(folder)}
        parse_recipe(recipe_values(folder, base=base))


def test_sdxl_and_stable_diffusion_are_told_apart(sd: Path, sdxl: Path) -> None:
    said = complaint(sdxl)
    assert f"{sdxl}: is an SDXL model. Set base.kind to sdxl" in said
    said = complaint(sd, kind="sdxl")
    assert f"{sd}: is a Stable Diffusion 1.x or 2.x model. Set base.kind to stable_diffusion" in said


@pytest.mark.parametrize("kind", ["stable_diffusion", "sdxl"])
def test_the_refiner_is_refused_by_name(sdxl: Path, kind: str) -> None:
    width = json.loads((sdxl / "text_encoder_2" / "config.json").read_text())["projection_dim"]
    edit(
        sdxl / "unet" / "config.json",
        cross_attention_dim=width,
        projection_class_embeddings_input_dim=width + 5 * 8,
    )
    assert f"{sdxl}: is an SDXL refiner. Use a model for one of stable_diffusion, sdxl" in complaint(
        sdxl, kind=kind
    )
    edit(sdxl / "model_index.json", _class_name="StableDiffusionXLImg2ImgPipeline")
    shutil.rmtree(sdxl / "text_encoder")  # as in the released one
    assert "is an SDXL refiner" in complaint(sdxl, kind=kind)


@pytest.mark.parametrize(("channels", "purpose"), [(9, "inpainting"), (8, "InstructPix2Pix"), (6, "another")])
def test_models_that_read_more_than_latents_are_refused(
    sd: Path, sdxl: Path, channels: int, purpose: str
) -> None:
    for kind, folder in {"stable_diffusion": sd, "sdxl": sdxl}.items():
        edit(folder / "unet" / "config.json", in_channels=channels)
        said = complaint(folder, kind=kind)
        assert purpose in said
        assert f"reads {channels}. Use the text-to-picture model" in said


def test_models_of_other_pipelines_are_named(sd: Path) -> None:
    edit(sd / "model_index.json", _class_name="FluxPipeline")
    (sd / "unet").rename(sd / "transformer")
    assert f"{sd}: is a FLUX.1 model. Use a model for one of" in complaint(sd)


def test_a_flow_scheduler_in_the_folder_is_refused(sd: Path) -> None:
    edit(sd / "scheduler" / "scheduler_config.json", _class_name="FlowMatchEulerDiscreteScheduler")
    said = complaint(sd)
    assert "a base of the kind 'stable_diffusion' predicts epsilon or v_prediction" in said
    assert "the scheduler in its files is one for flow" in said


def test_a_training_that_the_base_does_not_allow_is_refused(sd: Path) -> None:
    said = complaint(sd, training={"timesteps": "logit_normal"})
    assert "training.timesteps: 'logit_normal' does not fit a base that predicts 'epsilon'" in said


def test_a_folder_with_another_variant_only_names_the_setting(sd: Path) -> None:
    for part, stem in (("unet", "diffusion_pytorch_model"), ("text_encoder", "model")):
        (sd / part / f"{stem}.safetensors").rename(sd / part / f"{stem}.fp16.safetensors")
    said = complaint(sd)
    assert (
        "expected diffusion_pytorch_model.safetensors, found diffusion_pytorch_model.fp16.safetensors" in said
    )
    assert "Set base.variant to fp16" in said
    (sd / "vae" / "diffusion_pytorch_model.safetensors").rename(
        sd / "vae" / "diffusion_pytorch_model.fp16.safetensors"
    )
    values = {"kind": "stable_diffusion", "model": str(sd), "variant": "fp16"}
    recipe = parse_recipe(recipe_values(sd, base=values))
    assert recipe.base.build(device=torch.device("cpu")).facts.token_width == 32


def test_a_variant_that_is_not_there_is_refused(sd: Path) -> None:
    said = complaint(sd, variant="fp16")
    assert "expected diffusion_pytorch_model.fp16.safetensors" in said
    assert "Leave base.variant out" in said


def test_shards_are_weights(sd: Path) -> None:
    (sd / "unet" / "diffusion_pytorch_model.safetensors").rename(
        sd / "unet" / "diffusion_pytorch_model-00001-of-00001.safetensors"
    )
    parse_recipe(recipe_values(sd))


def test_pickled_weights_are_named(sd: Path) -> None:
    (sd / "unet" / "diffusion_pytorch_model.safetensors").rename(sd / "unet" / "diffusion_pytorch_model.bin")
    said = complaint(sd)
    assert "expected diffusion_pytorch_model.safetensors, found diffusion_pytorch_model.bin" in said
    assert "Save the model again with its weights as safetensors" in said


def test_a_single_file_is_to_be_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "v1-5-pruned.safetensors"
    file.touch()
    for place in (file, tmp_path):
        said = complaint(place)
        assert "single file" in said
        assert "StableDiffusionPipeline.from_single_file" in said
    assert "v1-5-pruned.safetensors" in said


def test_the_root_of_a_hub_cache_names_the_snapshot(sd: Path, tmp_path: Path) -> None:
    model = tmp_path / "hub" / "models--some--model"
    snapshot = model / "snapshots" / "0123abc"
    snapshot.parent.mkdir(parents=True)
    sd.rename(snapshot)
    (model / "snapshots" / "fedc").mkdir()
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("0123abc")
    for place in (model, model.parent):
        said = complaint(place)
        assert f"{place}: is the root of a hub cache. Give a snapshot in it: {snapshot}" in said
    parse_recipe(recipe_values(snapshot))


def test_a_loaded_model_of_another_kind_is_refused_too(sdxl: Path) -> None:
    with pytest.raises(InputError, match="is an SDXL model"):
        StableDiffusionBase.from_pretrained(str(sdxl))


def test_a_base_without_the_sites_of_an_injector_is_refused(
    sd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BASES["stable_diffusion"], "sites", frozenset({"block"}))
    said = complaint(sd)
    assert "conditions.0.injector: 'prompt_tokens' needs sites of the kind cross_attention" in said
    assert "the base 'stable_diffusion' has block" in said


def test_a_base_without_the_text_encoder_of_an_encoder_is_refused(
    sd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BASES["stable_diffusion"], "text_tower", False)
    values = recipe_values(sd)
    values["conditions"][0]["encoder"]["init"] = "clip"
    with pytest.raises(InputError, match="'graph_qformer' with these settings starts from a CLIP"):
        parse_recipe(values)


def test_a_scheduler_of_another_process_is_refused_when_drawing(sd_folder: Path) -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler

    pipe = GraphPipeline(small_model(sd_folder))
    pipe.scheduler = FlowMatchEulerDiscreteScheduler()
    with pytest.raises(InputError, match=r"FlowMatchEulerDiscreteScheduler .*'flow'.*'epsilon'"):
        pipe("a star", num_inference_steps=2)
