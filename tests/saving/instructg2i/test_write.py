"""Models of ours in the release's layout: what others read of it, what we read of it, what does not fit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPVisionModelWithProjection

from graphcond.errors import InputError
from graphcond.features.clip import ClipExtractor
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from tests.builders import recipe_values, small_model
from tests.release_folder import write_release_folder
from tests.saving.releases import PROJECTOR, QFORMER, draw, edit_json, equal, pictures

WEIGHTS = [
    "unet/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
    "text_encoder/model.safetensors",
    "image_encoder/model.safetensors",
]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release_folder(tmp_path_factory.mktemp("releases") / "release")


@pytest.fixture(scope="module")
def written(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release, converted, saved, loaded and written back."""
    folder = tmp_path_factory.mktemp("round")
    GraphModel.from_pretrained(release).save_pretrained(folder / "model")
    GraphModel.from_pretrained(folder / "model").to_release(folder / "release")
    shutil.rmtree(folder / "model")
    return folder / "release"


def with_condition(sd_folder: Path, **changes: Any) -> GraphModel:
    """A small model whose condition is another."""
    (condition,) = recipe_values(sd_folder)["conditions"]
    return small_model(sd_folder, conditions=[condition | changes])


def plain_diffusers(folder: Path) -> np.ndarray:
    """What diffusers draws with the base of a release."""
    pipe = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    return pipe("a red house", latents=latents, num_inference_steps=2, output_type="np").images[0]


def test_a_round_trip_keeps_every_tensor(release: Path, written: Path) -> None:
    for file in WEIGHTS:
        assert equal(load_file(written / file), load_file(release / file)), file
    for file in (QFORMER, PROJECTOR):
        assert equal(torch.load(written / file), torch.load(release / file)), file


def test_a_round_trip_keeps_the_picture(release: Path, written: Path) -> None:
    one, other = (GraphPipeline.from_pretrained(folder) for folder in (release, written))
    for options in ({}, {"guidance_mode": "joint"}, {"neighbors": [pictures(2), pictures(5)]}):
        assert np.array_equal(draw(one, **options), draw(other, **options))


def test_half_precision_comes_back_as_it_was_but_for_the_encoders_that_we_hold(tmp_path: Path) -> None:
    half = write_release_folder(tmp_path / "half", dtype=torch.float16)
    GraphModel.from_pretrained(half).to_release(tmp_path / "written")
    for file in WEIGHTS[:3]:
        assert equal(load_file(tmp_path / "written" / file), load_file(half / file)), file
    for file in (QFORMER, PROJECTOR):
        upcast = {name: one.float() for name, one in torch.load(half / file).items()}
        assert equal(torch.load(tmp_path / "written" / file), upcast), file
    assert np.array_equal(
        *(draw(GraphPipeline.from_pretrained(tmp_path / name)) for name in ("half", "written"))
    )


def test_diffusers_and_transformers_read_it(release: Path, written: Path) -> None:
    one, other = (plain_diffusers(folder) for folder in (release, written))
    assert np.array_equal(one, other)
    vision = CLIPVisionModelWithProjection.from_pretrained(written / "image_encoder")
    processor = CLIPImageProcessorPil.from_pretrained(written / "image_encoder")
    ours = GraphPipeline.from_pretrained(release).extractor
    embeddings = vision(processor(pictures(2), return_tensors="pt").pixel_values).image_embeds.detach()
    assert np.allclose(embeddings.numpy(), ours.embed_pictures(pictures(2)), atol=1e-6)


def test_names_are_those_of_transformers_4(sd_folder: Path, tmp_path: Path) -> None:
    before = load_file(sd_folder / "text_encoder" / "model.safetensors")
    small_model(sd_folder).to_release(tmp_path / "written")
    after = load_file(tmp_path / "written" / "text_encoder" / "model.safetensors")
    assert not any(name.startswith("text_model.") for name in before)
    assert equal({name.removeprefix("text_model."): one for name, one in after.items()}, before)
    assert all(
        name.startswith("text_model.") for name in [*after, *torch.load(tmp_path / "written" / QFORMER)]
    )


def test_a_model_of_ours_is_written_with_the_half_of_clip_that_it_reads(
    sd_folder: Path, clip_folder: Path, tmp_path: Path
) -> None:
    model = small_model(sd_folder, features={"kind": "clip", "model": str(clip_folder)})
    model.to_release(tmp_path / "written")
    back = GraphModel.from_pretrained(tmp_path / "written")
    assert equal(*(next(iter(one.conditions.values())).encoder.state_dict() for one in (model, back)))
    whole, half = ClipExtractor.from_pretrained(clip_folder), back.extractors.pictures
    assert np.allclose(half.embed_pictures(pictures(2)), whole.embed_pictures(pictures(2)), atol=1e-6)
    kept = CLIPModel.from_pretrained(clip_folder).visual_projection.weight
    assert torch.equal(half.model.visual_projection.weight, kept)


def test_with_the_null_of_the_release_ours_draws_the_same_from_both(
    sd_folder: Path, clip_folder: Path, tmp_path: Path
) -> None:
    (condition,) = recipe_values(sd_folder)["conditions"]
    features = {"kind": "clip", "model": str(clip_folder)}
    for null in ("zeros", "absent"):
        model = small_model(sd_folder, features=features, conditions=[condition | {"without_graph": null}])
        model.to_release(tmp_path / null)
        back = GraphPipeline.from_pretrained(tmp_path / null)
        apart = np.abs(draw(GraphPipeline(model)) - draw(back)).max()
        assert (apart < 1e-5) == (null == "zeros")


def test_a_tokenizer_of_one_file_gets_the_files_of_old(release: Path, tmp_path: Path) -> None:
    model = GraphModel.from_pretrained(Path(shutil.copytree(release, tmp_path / "new")))
    model.base.tokenizer.save_pretrained(tmp_path / "new" / "tokenizer")
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / "new" / "tokenizer" / name).unlink(missing_ok=True)
    GraphModel.from_pretrained(tmp_path / "new").to_release(tmp_path / "written")
    written = tmp_path / "written" / "tokenizer"
    assert {"vocab.json", "merges.txt"} <= {file.name for file in written.iterdir()}
    assert np.array_equal(
        *(draw(GraphPipeline.from_pretrained(one)) for one in (release, tmp_path / "written"))
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": {"kind": "neighbor_mean"}}, "an encoder of kind neighbor_mean"),
        (
            {"encoder": {"kind": "graph_qformer", "neighbor_self_attention": True}},
            "encoder.neighbor_self_attention",
        ),
        (
            {"encoder": {"kind": "graph_qformer", "normalize_embeddings": True}},
            "encoder.normalize_embeddings",
        ),
        ({"encoder": {"kind": "graph_qformer", "relations": ["by"]}}, "encoder.relations"),
        ({"injector": {"kind": "prompt_tokens", "place": "replace"}}, "place replace"),
    ],
)
def test_what_the_release_has_no_place_for(
    sd_folder: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match="the release has no place for") as caught:
        with_condition(sd_folder, **changes).to_release(tmp_path / "written")
    assert message in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_another_kind_of_base_does_not_fit(sdxl_folder: Path, tmp_path: Path) -> None:
    model = small_model(sdxl_folder, base={"kind": "sdxl", "model": str(sdxl_folder)})
    with pytest.raises(InputError, match=r"no place for .*a base of kind sdxl"):
        model.to_release(tmp_path / "written")
    assert not list(tmp_path.iterdir())


def test_neither_lora_nor_several_conditions_fit(sd_folder: Path, tmp_path: Path) -> None:
    (condition,) = recipe_values(sd_folder)["conditions"]
    two = [condition, condition | {"name": "others"}]
    with pytest.raises(InputError, match="no place for lora, several conditions"):
        small_model(sd_folder, conditions=two, lora={"rank": 2}).to_release(tmp_path / "written")
    assert not list(tmp_path.iterdir())


def test_layers_that_its_code_would_not_find_do_not_fit(tmp_path: Path) -> None:
    folder = write_release_folder(tmp_path / "odd", every=2, layers=5)
    with pytest.raises(InputError, match="cross_attention_every: 2"):
        GraphModel.from_pretrained(folder).to_release(tmp_path / "written")
    assert [path.name for path in tmp_path.iterdir()] == ["odd"]


def test_what_does_not_fit_is_said_before_a_clip_is_loaded(sd_folder: Path, tmp_path: Path) -> None:
    features = {"kind": "clip", "model": str(tmp_path / "nowhere")}
    with pytest.raises(InputError, match="no place for lora"):
        small_model(sd_folder, features=features, lora={"rank": 2}).to_release(tmp_path / "written")


def test_a_model_without_a_clip_cannot_be_written(sd_folder: Path, tmp_path: Path) -> None:
    features = {"kind": "file", "path": str(tmp_path / "embeddings.npy")}
    with pytest.raises(InputError, match="embeddings come from a file"):
        small_model(sd_folder, features=features).to_release(tmp_path / "written")
    assert not list(tmp_path.iterdir())


def test_a_base_that_is_gone_leaves_nothing_behind(release: Path, tmp_path: Path) -> None:
    model = GraphModel.from_pretrained(Path(shutil.copytree(release, tmp_path / "release")))
    shutil.rmtree(tmp_path / "release" / "unet")
    with pytest.raises(InputError, match="unet"):
        model.to_release(tmp_path / "written")
    assert [path.name for path in tmp_path.iterdir()] == ["release"]


def test_the_written_index_names_the_scheduler(release: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(release, tmp_path / "release"))
    edit_json(folder / "scheduler" / "scheduler_config.json", _class_name="EulerDiscreteScheduler")
    GraphModel.from_pretrained(folder).to_release(tmp_path / "written")
    plain = StableDiffusionPipeline.from_pretrained(tmp_path / "written", safety_checker=None)
    assert type(plain.scheduler).__name__ == "EulerDiscreteScheduler"


def test_nothing_but_a_release_is_replaced(release: Path, tmp_path: Path) -> None:
    model = GraphModel.from_pretrained(release)
    work = tmp_path / "work"
    work.mkdir()
    (work / "thesis.txt").write_text("years")
    with pytest.raises(InputError, match="holds something else, which would be lost"):
        model.to_release(work)
    assert (work / "thesis.txt").read_text() == "years"
    model.to_release(tmp_path / "copy")
    model.to_release(tmp_path / "copy")
