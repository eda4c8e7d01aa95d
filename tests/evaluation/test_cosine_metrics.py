"""CLIP-I, DINO-I and CLIP-T against cosines written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from graphcond.evaluation.metrics.cosine import ClipI, ClipT, DinoI, clipped_cosine
from tests.evaluation.doubles import MeanColor, noise, samples


@given(arrays.arrays(np.float32, (2, 4, 3), elements=st.floats(-100, 100, width=32)))
def test_cosine_is_what_it_says(pair: np.ndarray) -> None:
    for a, b, value in zip(*pair, clipped_cosine(*pair), strict=True):
        if a.any() and b.any():
            a, b = a.astype(float), b.astype(float)
            expected = max(0.0, sum(a * b) / (sum(a * a) ** 0.5 * sum(b * b) ** 0.5)) * 100
            assert value == pytest.approx(expected, abs=1e-4)
        else:
            assert value == 0


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return 100 * float(a @ b / (np.sqrt(a @ a) * np.sqrt(b @ b)))


@pytest.mark.parametrize("metric", [ClipI, DinoI])
def test_pictures_against_truths(metric: type) -> None:
    generator = np.random.default_rng(0)
    made, true = noise(generator, 5), noise(generator, 5)
    expected = [
        _cosine(np.asarray(a, float).mean((0, 1)), np.asarray(b, float).mean((0, 1)))
        for a, b in zip(made, true, strict=True)
    ]
    clip = metric(MeanColor())
    np.testing.assert_allclose(clip.score(samples(made, true)), expected, rtol=1e-5)
    assert clip.identity == "mean-color"


def test_pictures_against_texts() -> None:
    made = [Image.new("RGB", (2, 2), color) for color in ("red", "red", "yellow")]
    metric = ClipT(MeanColor())
    scores = metric.score(samples(made, made, ["red", "blue", "red"]))
    np.testing.assert_allclose(scores, [100, 0, 100 / 2**0.5], atol=1e-4)


def test_the_figure_is_the_mean() -> None:
    generator = np.random.default_rng(0)
    metric, batch = ClipI(MeanColor()), samples(noise(generator, 6), noise(generator, 6))
    figure = metric.measure(metric.evidence(batch, seed=0), 6, seed=0)
    assert figure.mean == pytest.approx(metric.score(batch).mean())
    assert figure.low < figure.mean < figure.high
    assert (figure.name, figure.n) == ("clip_i", 6)
