from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from graphcond.bases import StableDiffusionBase, StableDiffusionConfig
from graphcond.io.fingerprint import file_digest
from graphcond.io.pictures import to_pixels
from graphcond.training.latents import cached_latents


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """How many pictures each call of the VAE got."""
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path / "cache"))
    calls: list[int] = []
    encode = StableDiffusionBase.encode_pictures

    def counted(self: StableDiffusionBase, pixels: torch.Tensor) -> object:
        calls.append(len(pixels))
        return encode(self, pixels)

    monkeypatch.setattr(StableDiffusionBase, "encode_pictures", counted)
    return calls


def base_of(folder: Path, dtype: str = "fp32") -> StableDiffusionBase:
    return StableDiffusionConfig(model=str(folder), dtype=dtype).build(device=torch.device("cpu"))  # type: ignore[arg-type]


def pictures(folder: Path, count: int = 3) -> list[tuple[Path, str]]:
    paths = [folder / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        noise = np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8)
        Image.fromarray(noise).save(path)
    return [(path, file_digest(path)) for path in paths]


def test_moments_are_the_vaes_upright_and_mirrored(
    sd_folder: Path, tmp_path: Path, encoded: list[int]
) -> None:
    base, chosen = base_of(sd_folder), pictures(tmp_path)
    moments = cached_latents(base, chosen, resolution=64, mirrored=True)
    assert moments.shape == (3, 2, 2, 4, 8, 8)
    pixels = torch.from_numpy(np.stack([to_pixels(Image.open(path)) for path, _ in chosen]))
    for view, shown in enumerate((pixels, pixels.flip(-1))):
        expected = base.encode_pictures(shown)
        torch.testing.assert_close(torch.from_numpy(np.array(moments[:, view, 0])), expected.mean)
        torch.testing.assert_close(torch.from_numpy(np.array(moments[:, view, 1])), expected.std)


def test_pictures_are_encoded_in_small_batches(sd_folder: Path, tmp_path: Path, encoded: list[int]) -> None:
    cached_latents(base_of(sd_folder), pictures(tmp_path, 20), resolution=64, mirrored=False)
    assert encoded == [16, 4]


def test_encoded_once_until_something_changes(sd_folder: Path, tmp_path: Path, encoded: list[int]) -> None:
    base, chosen = base_of(sd_folder), pictures(tmp_path)
    for _ in range(2):
        cached_latents(base, chosen, resolution=64, mirrored=False)
        assert encoded == [3]
    Image.new("RGB", (64, 64)).save(chosen[0][0])
    changed = [(path, file_digest(path)) for path, _ in chosen]
    cached_latents(base, changed, resolution=64, mirrored=False)
    assert encoded == [3, 3]
    cached_latents(base, chosen, resolution=32, mirrored=False)
    assert encoded == [3, 3, 3]
    with torch.no_grad():
        next(base.vae.parameters()).add_(0.1)
    cached_latents(base, chosen, resolution=64, mirrored=False)
    assert encoded == [3, 3, 3, 3]


@pytest.mark.parametrize(("dtype", "stored"), [("fp16", np.float16), ("bf16", np.float32)])
def test_what_a_half_precision_base_gives_is_cached_without_loss(
    sd_folder: Path, tmp_path: Path, encoded: list[int], dtype: str, stored: type[np.floating]
) -> None:
    base, given = base_of(sd_folder, dtype), pictures(tmp_path, 1)
    assert cached_latents(base, given, resolution=64, mirrored=False).dtype == stored
