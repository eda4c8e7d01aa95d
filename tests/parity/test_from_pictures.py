"""Drawing from a picture, with and without a mask, against diffusers' pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
)
from PIL import Image

from graphcond.bases import Base
from graphcond.bases.config import StableDiffusionXLConfig
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from tests.builders import small_base, small_model, some_features

SIDE = 64
COLOURS = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
PICTURE = Image.fromarray(COLOURS)
MASK = Image.new("L", (SIDE, SIDE))
MASK.paste(255, (24, 8, 56, 64))
TEXT = {"guidance_scale": 3.0, "num_inference_steps": 5, "negative_prompt": "a boat", "output_type": "latent"}


def draw(pipe: Any, prompt: Any = "a star", **options: Any) -> torch.Tensor:
    settings = {"generator": torch.Generator().manual_seed(7), **TEXT, **options}
    drawn: torch.Tensor = pipe(prompt, **settings).images
    return drawn


def theirs(kind: Any, folder: Path, scheduler: Any, **options: Any) -> torch.Tensor:
    pipe = kind.from_pretrained(folder)
    pipe.scheduler = scheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    return draw(pipe, image=PICTURE, **options)


def ours(base: Base, scheduler: Any, **options: Any) -> torch.Tensor:
    pipe = GraphPipeline(GraphModel(base, [], feature_width=8))
    pipe.scheduler = scheduler.from_config(pipe.scheduler.config)
    return draw(pipe, image=PICTURE, **options)


@pytest.mark.parametrize(
    ("scheduler", "strength"),
    [
        (DDIMScheduler, 0.8),
        (DDIMScheduler, 1.0),
        (PNDMScheduler, 0.8),
        (EulerDiscreteScheduler, 0.4),
        (HeunDiscreteScheduler, 0.8),
        (DPMSolverMultistepScheduler, 0.6),
    ],
)
def test_a_picture_without_graph_is_that_of_diffusers(
    sd_folder: Path, scheduler: Any, strength: float
) -> None:
    base, options = small_base(sd_folder), {"strength": strength}
    wanted = theirs(StableDiffusionImg2ImgPipeline, sd_folder, scheduler, **options)
    assert (ours(base, scheduler, **options) - wanted).abs().max() < 1e-5
    options["mask_image"] = MASK
    wanted = theirs(StableDiffusionInpaintPipeline, sd_folder, scheduler, **options)
    assert (ours(base, scheduler, **options) - wanted).abs().max() < 1e-5


def test_so_it_is_with_sdxl(sdxl_folder: Path) -> None:
    base = StableDiffusionXLConfig(model=str(sdxl_folder)).build(device=torch.device("cpu"))
    options: dict[str, Any] = {"strength": 0.6}
    wanted = theirs(StableDiffusionXLImg2ImgPipeline, sdxl_folder, EulerDiscreteScheduler, **options)
    assert (ours(base, EulerDiscreteScheduler, **options) - wanted).abs().max() < 1e-5
    options["mask_image"] = MASK
    wanted = theirs(StableDiffusionXLInpaintPipeline, sdxl_folder, EulerDiscreteScheduler, **options)
    assert (ours(base, EulerDiscreteScheduler, **options) - wanted).abs().max() < 1e-5


def test_a_picture_in_every_form(sd_folder: Path, tmp_path: Path) -> None:
    pipe, file, mask = GraphPipeline(small_model(sd_folder)), tmp_path / "one.png", tmp_path / "mask.png"
    PICTURE.save(file)
    MASK.save(mask)
    wanted = draw(pipe, image=PICTURE, mask_image=MASK)
    shares, holes = COLOURS / np.float32(255), np.asarray(MASK) / np.float32(255)
    for picture, cut in [
        (file, mask),
        (str(file), str(mask)),
        ([PICTURE], [MASK]),
        (shares[None], holes),
        (torch.from_numpy(shares).permute(2, 0, 1)[None], torch.from_numpy(holes)[None, None]),
    ]:
        assert torch.allclose(draw(pipe, image=picture, mask_image=cut), wanted, atol=1e-5)


def test_a_graph_draws_into_the_mask_and_leaves_the_rest(sd_folder: Path) -> None:
    pipe = GraphPipeline(small_model(sd_folder))
    graph = {"neighbors": some_features(), "graph_guidance_scale": 3.0}
    with_graph, without = (draw(pipe, image=PICTURE, mask_image=MASK, **one) for one in (graph, {}))
    changed = (with_graph - without).abs()
    assert changed[..., 1:, 3:7].max() > 1e-2
    assert not changed[..., :3].any()


def test_each_prompt_has_its_own_picture_whatever_the_copies(sd_folder: Path) -> None:
    pipe, other = GraphPipeline(small_model(sd_folder)), Image.fromarray(COLOURS[::-1])
    noise = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    prompts, pictures = ["a star", "a boat"], [PICTURE, other]
    options: dict[str, Any] = {"num_images_per_prompt": 2, "strength": 0.6, "latents": noise}
    generators = [torch.Generator().manual_seed(n) for n in range(4)]
    both = draw(pipe, prompts, image=pictures, generator=generators, **options)
    for row, (prompt, picture) in enumerate(zip(prompts, pictures, strict=True)):
        part = slice(2 * row, 2 * row + 2)
        generators = [torch.Generator().manual_seed(n) for n in range(4)][part]
        options["latents"] = noise[part]
        alone = draw(pipe, [prompt], image=picture, generator=generators, **options)
        assert torch.allclose(both[part], alone, atol=1e-4)


def test_the_side_is_that_of_the_picture(sd_folder: Path) -> None:
    pipe = GraphPipeline(small_model(sd_folder))
    assert draw(pipe, image=PICTURE.resize((96, 70))).shape == (1, 4, 8, 12)
    assert draw(pipe, image=PICTURE.resize((96, 70)), height=64, width=64).shape == (1, 4, 8, 8)
