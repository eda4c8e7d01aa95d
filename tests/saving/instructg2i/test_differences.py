"""Where a released checkpoint is meant to behave otherwise than in the release: rows of docs/interop.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from graphcond.bases import StableDiffusionBase
from graphcond.errors import InputError
from graphcond.pipeline import GraphPipeline
from tests.release_folder import write_release_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release_folder(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def pipe(folder: Path) -> GraphPipeline:
    return GraphPipeline.from_pretrained(folder)


def picture(seed: int, mode: str = "RGB") -> Image.Image:
    levels = np.random.default_rng(seed).integers(0, 256, (40, 60, 4), np.uint8)
    return Image.fromarray(levels, "RGBA").convert(mode)


def draw(pipe: GraphPipeline, **options: Any) -> np.ndarray:
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    return pipe("a red house", num_inference_steps=2, latents=latents, output_type="np", **options).images


@pytest.mark.parametrize("neighbors", [[], [[]]])
@pytest.mark.parametrize("mode", ["separate", "joint"])
def test_no_neighbors_is_the_text_alone(pipe: GraphPipeline, neighbors: list[Any], mode: str) -> None:
    wanted = draw(pipe, neighbors=[picture(0)], graph_guidance_scale=0.0)
    assert np.abs(draw(pipe, neighbors=neighbors, guidance_mode=mode) - wanted).max() < 1e-5
    assert np.abs(draw(pipe) - wanted).max() < 1e-5


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
def test_the_formula_holds_for_small_scales(pipe: GraphPipeline, scale: float) -> None:
    alone = draw(pipe, guidance_scale=scale)
    steered = draw(pipe, neighbors=[picture(0)], guidance_scale=scale, graph_guidance_scale=3.0)
    assert np.abs(steered - alone).max() > 1e-2


def test_the_scheduler_is_as_its_config_says(tmp_path: Path) -> None:
    file = write_release_folder(tmp_path) / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"clip_sample": True, "steps_offset": 0}))
    config = GraphPipeline.from_pretrained(tmp_path).scheduler.config
    assert (config.clip_sample, config.steps_offset) == (True, 0)


def test_half_precision_is_read_into_full(tmp_path: Path) -> None:
    pipe = GraphPipeline.from_pretrained(write_release_folder(tmp_path, dtype=torch.float16))
    (condition,) = pipe.model.conditions.values()
    parts = (condition, pipe.model.base.unet, pipe.model.base.text_encoder, pipe.extractor.model)
    assert {parameter.dtype for part in parts for parameter in part.parameters()} == {torch.float32}
    assert np.isfinite(draw(pipe, neighbors=[picture(0)])).all()


def test_a_base_in_half_precision_may_be_handed_over(folder: Path, pipe: GraphPipeline) -> None:
    base = StableDiffusionBase.from_pretrained(str(folder), dtype="bf16")
    half = GraphPipeline.from_pretrained(folder, base=base)
    rough, fine = (draw(one, neighbors=[picture(0)]) for one in (half, pipe))
    assert 1e-6 < np.abs(rough - fine).mean() < 0.1


def test_more_neighbors_than_in_training(pipe: GraphPipeline) -> None:
    with pytest.raises(InputError, match="expected at most 5 neighbors of one target, as in training, got 6"):
        draw(pipe, neighbors=[picture(number) for number in range(6)])


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_pictures_reach_clip_as_they_are(pipe: GraphPipeline, mode: str) -> None:
    given = picture(1, mode)
    plain = draw(pipe, neighbors=[given.convert("RGB")])
    assert np.array_equal(draw(pipe, neighbors=[given]), plain)


def test_sixteen_bits_are_scaled(pipe: GraphPipeline) -> None:
    levels = np.random.default_rng(3).integers(0, 65536, (40, 60)).astype(np.uint16)
    levels[0, 0] = 65535
    eight = Image.fromarray((levels / 65535 * 255).astype(np.uint8))
    drawn, wanted = (draw(pipe, neighbors=[one]) for one in (Image.fromarray(levels), eight))
    assert np.abs(drawn - wanted).max() < 1e-5
