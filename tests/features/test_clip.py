"""CLIP and DINOv2 against transformers' own full forward pass."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer, Dinov2Model

from graphcond.errors import InputError
from graphcond.features.clip import ClipExtractor, DinoExtractor
from tests.tiny_checkpoints import PICTURE_SIZE, write_clip_folder, write_dino_folder


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    generator = np.random.default_rng(0)
    sizes = [(64, 64), (100, 70), (30, 80), (64, 200)]
    return [
        Image.fromarray(generator.integers(0, 256, (height, width, 3), np.uint8)) for width, height in sizes
    ]


@pytest.fixture(scope="module")
def clip(clip_folder: Path) -> ClipExtractor:
    return ClipExtractor.from_pretrained(clip_folder)


def test_clip_gives_the_unnormalized_projections(
    clip: ClipExtractor, clip_folder: Path, pictures: list[Image.Image]
) -> None:
    texts = ["a star", "a much longer text about a house", "a tree", "x"]
    model = CLIPModel.from_pretrained(clip_folder)
    processor = CLIPImageProcessorPil.from_pretrained(clip_folder)
    tokens = CLIPTokenizer.from_pretrained(clip_folder)(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model(**processor(pictures, return_tensors="pt"), **tokens)
    seen = clip.embed_pictures(pictures), clip.embed_texts(texts)
    for embeddings, normalized in zip(seen, (expected.image_embeds, expected.text_embeds), strict=True):
        assert embeddings.dtype == np.float32
        assert embeddings.shape == (4, clip.width)
        lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
        assert not np.allclose(lengths, 1.0, atol=1e-2)
        np.testing.assert_allclose(embeddings / lengths, normalized.numpy(), atol=1e-5)


def test_dino_gives_the_pooled_output(dino_folder: Path, pictures: list[Image.Image]) -> None:
    dino = DinoExtractor.from_pretrained(dino_folder)
    pixels = dino.processor(pictures, return_tensors="pt").pixel_values
    with torch.no_grad():
        expected = Dinov2Model.from_pretrained(dino_folder)(pixels).pooler_output
    np.testing.assert_allclose(dino.embed_pictures(pictures), expected.numpy(), atol=1e-5)


def test_batches_do_not_matter(clip: ClipExtractor, pictures: list[Image.Image]) -> None:
    small = ClipExtractor(clip.model, clip.processor, clip.tokenizer, name="small", batch_size=3)
    np.testing.assert_allclose(small.embed_pictures(pictures), clip.embed_pictures(pictures), atol=1e-5)
    texts = ["a", "a star over the sea", "b", "c d"]
    np.testing.assert_allclose(small.embed_texts(texts), clip.embed_texts(texts), atol=1e-5)


def test_nothing_gives_no_rows(clip: ClipExtractor) -> None:
    assert clip.embed_pictures([]).shape == (0, clip.width)
    assert clip.embed_texts([]).shape == (0, clip.width)


def test_transparency_is_white(clip: ClipExtractor) -> None:
    clear, white = Image.new("RGBA", (64, 64), (255, 0, 0, 0)), Image.new("L", (64, 64), 255)
    np.testing.assert_allclose(clip.embed_pictures([clear]), clip.embed_pictures([white]), atol=1e-6)


def test_texts_longer_than_the_model_are_cut(clip: ClipExtractor) -> None:
    long, longer = clip.embed_texts(["ab " * 100, "ab " * 200])
    np.testing.assert_array_equal(long, longer)


def test_half_precision_stays_close(
    clip_folder: Path, clip: ClipExtractor, pictures: list[Image.Image]
) -> None:
    half = ClipExtractor.from_pretrained(clip_folder, dtype=torch.bfloat16)
    assert half.embed_pictures(pictures).dtype == np.float32
    np.testing.assert_allclose(half.embed_pictures(pictures), clip.embed_pictures(pictures), atol=0.1)
    assert half.identity != clip.identity


def test_identity_follows_content(tmp_path: Path, clip_folder: Path) -> None:
    clip = ClipExtractor.from_pretrained(clip_folder)
    clip.embed_texts(["using the tokenizer changes its settings"])
    copy = tmp_path / clip_folder.name
    shutil.copytree(clip_folder, copy)
    assert ClipExtractor.from_pretrained(copy).identity == clip.identity
    side = {"height": PICTURE_SIZE, "width": PICTURE_SIZE}
    CLIPImageProcessorPil(size={"shortest_edge": 2 * PICTURE_SIZE}, crop_size=side).save_pretrained(copy)
    assert ClipExtractor.from_pretrained(copy).identity != clip.identity
    other = write_clip_folder(tmp_path / "other" / clip_folder.name, seed=1)
    assert ClipExtractor.from_pretrained(other).identity != clip.identity


def test_without_preprocessor_clip_takes_the_model_size(tmp_path: Path, clip: ClipExtractor) -> None:
    folder = write_clip_folder(tmp_path / "plain", processor=False)
    assert ClipExtractor.from_pretrained(folder).processor.to_json_string() == clip.processor.to_json_string()


def test_without_preprocessor_dino_takes_its_own_sizes(tmp_path: Path) -> None:
    folder = write_dino_folder(tmp_path)
    (folder / "preprocessor_config.json").unlink()
    processor = DinoExtractor.from_pretrained(folder).processor
    assert processor.size["shortest_edge"] == 256
    assert processor.crop_size["height"] == 224


def test_loading_keeps_the_verbosity_of_transformers(clip_folder: Path) -> None:
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    ClipExtractor.from_pretrained(clip_folder)
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_another_model_is_refused(clip_folder: Path, dino_folder: Path) -> None:
    with pytest.raises(InputError, match="is not a complete CLIPModel"):
        ClipExtractor.from_pretrained(dino_folder)
    with pytest.raises(InputError, match="is not a complete Dinov2Model"):
        DinoExtractor.from_pretrained(clip_folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "preprocessor_config.json"])
def test_a_truncated_file_is_named_with_its_folder(tmp_path: Path, name: str) -> None:
    folder = write_clip_folder(tmp_path)
    (folder / name).write_bytes((folder / name).read_bytes()[:20])
    with pytest.raises(InputError, match=r"cannot load a CLIP.*Check the folder"):
        ClipExtractor.from_pretrained(folder)


def test_pickled_weights_are_not_read(tmp_path: Path, clip: ClipExtractor) -> None:
    folder = write_clip_folder(tmp_path)
    (folder / "model.safetensors").unlink()
    torch.save(clip.model.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pytorch_model\.bin is a pickle.*safetensors"):
        ClipExtractor.from_pretrained(folder)


def test_an_absent_folder_gives_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: .*there is no such folder\)\. Check the path"):
        DinoExtractor.from_pretrained(tmp_path / "nowhere")
