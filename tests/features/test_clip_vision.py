"""The picture half of a CLIP, alone or in a whole one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

from graphcond.errors import InputError
from graphcond.features.clip import ClipExtractor, FeatureExtractor
from graphcond.features.clip_vision import ClipVisionExtractor, vision_config
from tests.release_folder import write_release_folder
from tests.saving.releases import pictures
from tests.tiny_checkpoints import write_clip_folder


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release_folder(tmp_path_factory.mktemp("release")) / "image_encoder"


@pytest.fixture
def copy(half: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(half, tmp_path / "copy"))


def test_it_gives_the_projections_of_transformers(half: Path) -> None:
    given = pictures(3)
    processor = CLIPImageProcessorPil.from_pretrained(half)
    model = CLIPVisionModelWithProjection.from_pretrained(half)
    wanted = model(processor(given, return_tensors="pt").pixel_values).image_embeds.detach().numpy()
    extractor = ClipVisionExtractor.from_pretrained(half)
    assert isinstance(extractor, FeatureExtractor)
    assert (extractor.width, wanted.shape) == (24, (3, 24))
    assert np.allclose(extractor.embed_pictures(given), wanted, atol=1e-6)


@pytest.mark.parametrize("width", [24, 40])
def test_it_is_the_picture_half_of_a_whole_clip(tmp_path: Path, width: int) -> None:
    """The width in a whole CLIP's ``vision_config`` is often a default that was never in force."""
    folder = write_clip_folder(tmp_path, width=width)
    assert json.loads((folder / "config.json").read_text())["vision_config"]["projection_dim"] == 512
    extractor = ClipVisionExtractor.from_pretrained(folder)
    assert (vision_config(folder).projection_dim, extractor.width) == (width, width)
    wanted = ClipExtractor.from_pretrained(folder).embed_pictures(pictures(2))
    assert np.allclose(extractor.embed_pictures(pictures(2)), wanted, atol=1e-6)


def test_pictures_are_not_turned_and_show_what_lies_under_transparency(half: Path) -> None:
    extractor, (plain,) = ClipVisionExtractor.from_pretrained(half), pictures(1)
    turned, clear = plain.copy(), plain.convert("RGBA")
    turned.getexif()[0x0112] = 6
    clear.putalpha(0)
    one, *others = extractor.embed_pictures([plain, turned, clear])
    for other in others:
        assert np.allclose(one, other, atol=1e-6)


def test_without_settings_pictures_are_prepared_as_clips(copy: Path) -> None:
    wanted = ClipVisionExtractor.from_pretrained(copy).embed_pictures(pictures(1))
    (copy / "preprocessor_config.json").unlink()
    assert np.array_equal(ClipVisionExtractor.from_pretrained(copy).embed_pictures(pictures(1)), wanted)


def test_its_own_settings_are_heeded(copy: Path) -> None:
    before = ClipVisionExtractor.from_pretrained(copy)
    edit(copy / "preprocessor_config.json", image_mean=[0.2, 0.5, 0.8])
    after = ClipVisionExtractor.from_pretrained(copy)
    apart = after.embed_pictures(pictures(1)) - before.embed_pictures(pictures(1))
    assert np.abs(apart).max() > 1e-2
    assert after.identity != before.identity


def test_half_precision_is_read_into_full(tmp_path: Path) -> None:
    folder = write_release_folder(tmp_path, dtype=torch.float16) / "image_encoder"
    extractor = ClipVisionExtractor.from_pretrained(folder)
    assert {one.dtype for one in extractor.model.parameters()} == {torch.float32}


def test_no_pictures(half: Path) -> None:
    assert ClipVisionExtractor.from_pretrained(half).embed_pictures([]).shape == (0, 24)


def edit(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", None, "has no config.json"),
        ("config.json", "", "cannot load a CLIPVisionConfig"),
        ("config.json", "[]", "cannot load a CLIPVisionConfig"),
        ("model.safetensors", None, "cannot load a CLIPVisionModelWithProjection"),
        ("model.safetensors", "", "cannot load a CLIPVisionModelWithProjection"),
        ("preprocessor_config.json", "", "cannot load a CLIPImageProcessorPil"),
        ("preprocessor_config.json", "[]", "cannot load a CLIPImageProcessorPil"),
        ("preprocessor_config.json", "{}", "makes pictures of 224 x 224 pixels, not 64 x 64"),
        ("preprocessor_config.json", '{"image_mean": [1]}', "cannot load a CLIPImageProcessorPil"),
        ("preprocessor_config.json", '{"size": "x"}', "cannot load a CLIPImageProcessorPil"),
        ("preprocessor_config.json", '{"rescale_factor": "x"}', "cannot load a CLIPImageProcessorPil"),
    ],
)
def test_damaged_folders(copy: Path, file: str, content: str | None, message: str) -> None:
    (copy / file).unlink()
    if content is not None:
        (copy / file).write_text(content)
    with pytest.raises(InputError) as caught:
        ClipVisionExtractor.from_pretrained(copy)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(copy))


@pytest.mark.parametrize("changes", [{"projection_dim": "x"}, {"hidden_size": 7}, {"num_hidden_layers": 3}])
def test_sizes_that_its_weights_do_not_have(copy: Path, changes: dict[str, Any]) -> None:
    edit(copy / "config.json", **changes)
    with pytest.raises(InputError, match="CLIPVision"):
        ClipVisionExtractor.from_pretrained(copy)


def test_what_is_no_clip(dino_folder: Path, sd_folder: Path, tmp_path: Path) -> None:
    for name in (
        dino_folder,
        sd_folder / "text_encoder",
        sd_folder / "unet",
        tmp_path / "nowhere",
        "some/clip",
    ):
        with pytest.raises(InputError):
            ClipVisionExtractor.from_pretrained(name)


def test_a_picture_of_one_pixel(half: Path) -> None:
    embedded = ClipVisionExtractor.from_pretrained(half).embed_pictures([Image.new("1", (1, 1))])
    assert np.isfinite(embedded).all()


def test_it_is_not_taken_for_a_whole_clip(half: Path) -> None:
    with pytest.raises(InputError, match=r"picture half of a CLIP alone. Use features of kind clip_vision"):
        ClipExtractor.from_pretrained(half)
