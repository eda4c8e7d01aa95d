"""SDXL: its prompts and sizes as diffusers' pipeline gives them, and its recipe."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from graphcond.bases import StableDiffusionXLBase
from graphcond.cli import main
from graphcond.context import NeighborFeatures
from graphcond.encoders.config import GraphQFormerConfig
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline

PROMPT, STEPS = "a star by the sea", 3


@pytest.fixture(scope="module")
def base(sdxl_folder: Path) -> StableDiffusionXLBase:
    return StableDiffusionXLBase.from_pretrained(str(sdxl_folder))


def theirs(folder: Path, **options: object) -> torch.Tensor:
    pipe = StableDiffusionXLPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(7)
    return pipe(
        PROMPT,
        num_inference_steps=STEPS,
        generator=generator,
        guidance_scale=5.0,
        output_type="latent",
        **options,
    ).images


@pytest.mark.parametrize("size", [(64, 64), (32, 128)])
@pytest.mark.parametrize("negative", [None, "a tree"])
def test_a_picture_without_graph_is_diffusers_own(
    sdxl_folder: Path, base: StableDiffusionXLBase, size: tuple[int, int], negative: str | None
) -> None:
    height, width = size
    pipe = GraphPipeline(GraphModel(base, [], feature_width=8))
    ours = pipe(
        PROMPT,
        negative_prompt=negative,
        num_inference_steps=STEPS,
        generator=torch.Generator().manual_seed(7),
        guidance_scale=5.0,
        output_type="latent",
        height=height,
        width=width,
    ).images
    expected = theirs(sdxl_folder, height=height, width=width, negative_prompt=negative)
    assert (ours - expected).abs().max() < 1e-5 * expected.abs().max()


@torch.no_grad()
def test_the_size_and_the_pooled_text_matter(base: StableDiffusionXLBase) -> None:
    text = base.encode_prompt(["a star", "a tree"])
    sample = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)).expand(2, -1, -1, -1)
    inputs = base.inputs(sample, torch.tensor([500, 500]), text)
    other = base.inputs(sample, torch.tensor([500, 500]), text.select(torch.tensor([1, 0])))
    swapped = type(text)(text.ids, text.hidden, text.present, other.extras)
    assert not torch.equal(base.denoise(inputs), base.denoise(base.inputs(sample, inputs.timestep, swapped)))
    sizes = base.conditions(inputs)["added_cond_kwargs"]["time_ids"]
    assert sizes.tolist() == [[64, 64, 0, 0, 64, 64]] * 2


def test_an_empty_prompt_is_zeros(base: StableDiffusionXLBase) -> None:
    text = base.encode_prompt(["", "a star"])
    assert not text.hidden[0].any()
    assert not text.extras["pooled"][0].any()
    assert text.hidden[1].any()


@torch.no_grad()
def test_the_qformer_starts_from_the_second_text_encoder(base: StableDiffusionXLBase) -> None:
    qformer = GraphQFormerConfig().build(feature_width=6, base=base).eval()
    text = base.encode_prompt(["a star"])
    context = NeighborFeatures(torch.randn(1, 3, 6), torch.ones(1, 3, dtype=torch.bool))
    tokens = qformer(context, text).tokens
    last = base.text_encoders[1](text.ids).last_hidden_state
    assert tokens.shape == (1, 77, base.facts.token_width)
    assert not tokens[..., : base.tower_columns.start].any()
    torch.testing.assert_close(tokens[..., base.tower_columns], last, atol=1e-5, rtol=1e-4)


def test_its_recipe_trains_saves_and_draws(
    sdxl_folder: Path, clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*arguments: str) -> None:
        monkeypatch.setattr("sys.argv", ["graphcond", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code in (0, None)

    settings = {
        "base.model": sdxl_folder,
        "base.attention": "sdpa",
        "base.dtype": "fp32",
        "features.model": clip_folder,
        "data.kind": "world",
        "data.world": "art",
        "data.paintings_per_artist": 4,
        "data.resolution": 64,
        "training.mixed_precision": "no",
        "training.steps": 1,
        "training.batch_size": 2,
        "training.accumulate": 1,
        "training.validation_samples": 2,
        "training.previews": 1,
        "training.preview_steps": 1,
        "evaluation.protocol": "art",
    }
    pairs = [f"--set={name}={value}" for name, value in settings.items()]
    run("train", "instructg2i-sdxl", "--out", str(tmp_path / "run"), "--device", "cpu", *pairs)
    model = GraphModel.from_pretrained(tmp_path / "run" / "final")
    assert isinstance(model.base, StableDiffusionXLBase)
    final, picture = str(tmp_path / "run" / "final"), str(tmp_path / "a.png")
    run("generate", final, "--prompt", "a star", "--steps", "2", "--out", picture)
    assert Path(picture).is_file()
