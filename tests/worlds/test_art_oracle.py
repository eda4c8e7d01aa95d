"""The art oracle names artist and subject of pictures that it never saw, also of soft ones."""

import numpy as np
import pytest
import torch

from graphcond.worlds.art import ARTISTS, SUBJECTS, draw_painting
from graphcond.worlds.oracle import WEIGHTS, ArtOracle


@pytest.fixture(scope="module")
def oracle() -> ArtOracle:
    return ArtOracle.load()


@pytest.fixture(scope="module")
def sample() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    pairs = [(a, s) for a in range(len(ARTISTS)) for s in range(len(SUBJECTS))] * 3
    pictures = [draw_painting(ARTISTS[a], SUBJECTS[s], [987, i]) for i, (a, s) in enumerate(pairs)]
    pixels = torch.tensor(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return pixels, torch.tensor([a for a, _ in pairs]), torch.tensor([s for _, s in pairs])


def test_names_artist_and_subject(oracle, sample):
    pixels, artists, subjects = sample
    found = oracle.classify(pixels)
    assert (found.artist == artists).float().mean() >= 0.995
    assert (found.subject == subjects).float().mean() >= 0.995


def test_reads_blurred_and_larger_pictures(oracle, sample):
    pixels, artists, subjects = sample
    soft = torch.nn.functional.avg_pool2d(pixels, 3, 1, 1, count_include_pad=False)
    large = torch.nn.functional.interpolate(soft, size=(128, 128), mode="bilinear")
    for changed in (soft, large):
        found = oracle.classify(changed)
        assert (found.artist == artists).float().mean() >= 0.99
        assert (found.subject == subjects).float().mean() >= 0.97


def test_features_are_unit_length_and_nearer_within_an_artist(oracle, sample):
    pixels, artists, subjects = sample
    features = oracle.features(pixels)
    assert torch.allclose(features.norm(dim=-1), torch.ones(len(features)), atol=1e-5)
    similarity = features @ features.T
    same_subject = subjects[:, None] == subjects[None]
    same_artist = artists[:, None] == artists[None]
    assert (
        similarity[same_subject & same_artist].mean() > similarity[same_subject & ~same_artist].mean() + 0.3
    )


def test_does_not_name_noise_with_one_voice(oracle):
    pixels = torch.randn(64, 3, 64, 64, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    assert oracle.features(pixels).isfinite().all()


def test_is_small_and_frozen(oracle):
    assert WEIGHTS.stat().st_size < 1_000_000
    assert not any(parameter.requires_grad for parameter in oracle.parameters())
    assert oracle.artists == ARTISTS
    assert oracle.subjects == SUBJECTS
