"""Without its extra, the Inception network says how to get it; with it, it pads pictures to squares."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from PIL import Image

from graphcond.errors import InputError
from graphcond.evaluation.metrics.distribution import InceptionExtractor


@pytest.mark.skipif(
    importlib.util.find_spec("torch_fidelity") is not None, reason="torch-fidelity is installed"
)
def test_the_missing_extra_is_named() -> None:
    with pytest.raises(InputError, match=r"graphcond\[fid\]"):
        InceptionExtractor()


class _Network(torch.nn.Module):
    def __init__(self, *_: object) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.seen.append(pixels)
        return pixels.float().mean((1, 2, 3), keepdim=True)[..., 0, 0].expand(-1, 2048)


def test_pictures_become_bytes_of_256_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchmetrics.image.fid.NoTrainInceptionV3", _Network)
    extractor = InceptionExtractor()
    pictures = [Image.new("RGB", (20, 10), "black")] + [Image.new("RGB", (8, 8), "white")] * 40
    features = extractor.embed_pictures(pictures)
    assert features.shape == (41, 2048)
    first = extractor.network.seen[0]
    assert (first.dtype, first.shape) == (torch.uint8, (32, 3, 256, 256))
    assert (first[0, :, 0] == 255).all()
    assert (first[0, :, 128] == 0).all()
    np.testing.assert_allclose(features[1:], 255)
    assert extractor.embed_pictures([]).shape == (0, 2048)


def test_weights_that_cannot_be_loaded_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr("torchmetrics.image.fid.NoTrainInceptionV3", offline)
    with pytest.raises(InputError, match=r"cannot be loaded \(no route\)"):
        InceptionExtractor()
