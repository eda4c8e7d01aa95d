"""The pipeline against diffusers' own, and against the guidance formula written out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.errors import InputError, Notice
from graphcond.pipeline import GraphPipeline
from tests.builders import recipe_values, small_model, some_features

PROMPT, STEPS = "a star by the sea", 4


def ours(pipe: GraphPipeline, **options) -> np.ndarray:
    generator = torch.Generator().manual_seed(7)
    return pipe(PROMPT, num_inference_steps=STEPS, generator=generator, output_type="np", **options).images


def theirs(sd_folder: Path, scale: float, scheduler=None, **options) -> np.ndarray:
    pipe = StableDiffusionPipeline.from_pretrained(sd_folder, safety_checker=None, feature_extractor=None)
    pipe.set_progress_bar_config(disable=True)
    if scheduler is not None:
        pipe.scheduler = scheduler.from_config(pipe.scheduler.config)
    generator = torch.Generator().manual_seed(7)
    settings = {"num_inference_steps": STEPS, "guidance_scale": scale, "generator": generator, **options}
    return pipe(PROMPT, output_type="np", **settings).images


@pytest.mark.parametrize("options", [{}, {"neighbors": some_features(), "graph_guidance_scale": 0.0}])
@pytest.mark.parametrize("scale", [7.5, 2.0])
def test_no_graph_and_scale_zero_are_plain_diffusers(sd_folder: Path, options: dict, scale: float) -> None:
    pipe = GraphPipeline(small_model(sd_folder))
    difference = np.abs(ours(pipe, guidance_scale=scale, **options) - theirs(sd_folder, scale)).max()
    assert difference < 1e-4


def test_given_latents_decide_the_size_as_in_diffusers(sd_folder: Path) -> None:
    latents = torch.randn(1, 4, 4, 16, generator=torch.Generator().manual_seed(3))
    drawn = ours(GraphPipeline(small_model(sd_folder)), guidance_scale=3.0, latents=latents)
    assert drawn.shape == (1, 32, 128, 3)
    assert np.abs(drawn - theirs(sd_folder, 3.0, latents=latents)).max() < 1e-4


def test_other_schedulers_are_plain_diffusers_too(sd_folder: Path) -> None:
    pipe = GraphPipeline(small_model(sd_folder))
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    difference = np.abs(
        ours(pipe, guidance_scale=3.0) - theirs(sd_folder, 3.0, DPMSolverMultistepScheduler)
    ).max()
    assert difference < 1e-4


def test_the_graph_changes_the_picture(sd_folder: Path) -> None:
    pipe = GraphPipeline(small_model(sd_folder))
    with_graph = ours(pipe, neighbors=some_features(), graph_guidance_scale=2.0)
    assert np.abs(with_graph - ours(pipe)).max() > 1e-3


@pytest.mark.parametrize("null", ["absent", "zeros"])
@pytest.mark.parametrize("batched", [True, False])
def test_guidance_is_the_formula(sd_folder: Path, null: str, batched: bool) -> None:
    """Two graphs with a scale each, written out call by call over plain contexts."""
    model = small_model(sd_folder)
    model.conditions["neighbors"].null = null
    graphs = [some_features(seed=1), some_features(neighbors=2, seed=2)]
    text_scale, graph_scales = 3.0, [1.5, 0.7]
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    got = GraphPipeline(model)(
        PROMPT,
        neighbors=graphs,
        guidance_scale=text_scale,
        graph_guidance_scale=graph_scales,
        num_inference_steps=STEPS,
        latents=latents,
        output_type="latent",
        batched=batched,
    ).images
    base = model.base
    text, empty = base.encode_prompt([PROMPT]), base.encode_prompt([""])
    encoder = model.conditions["neighbors"].encoder
    nothing = torch.zeros_like(text.hidden) if null == "zeros" else text.hidden[:, :0]

    @torch.no_grad()
    def call(sample, timestep, hidden, tokens):
        context = torch.cat([hidden, tokens], 1)
        return base.denoise(DenoiserInputs(sample, timestep.expand(1), context))

    scheduler = base.new_scheduler()
    scheduler.set_timesteps(STEPS)
    wanted = latents
    with torch.no_grad():
        signals = [encoder(graph, text).tokens for graph in graphs]
    for t in scheduler.timesteps:
        unconditional = call(wanted, t, empty.hidden, nothing)
        textual = call(wanted, t, text.hidden, nothing)
        guided = unconditional + text_scale * (textual - unconditional)
        for scale, tokens in zip(graph_scales, signals, strict=True):
            guided = guided + scale * (call(wanted, t, text.hidden, tokens) - textual)
        wanted = scheduler.step(guided, t, wanted).prev_sample
    assert (got - wanted).abs().max() < 1e-4


@pytest.mark.parametrize("scales", [[2.0, 2.0], [2.0, 0.5], [0.0, 2.0]])
def test_graphs_of_two_conditions_are_shown_together_as_in_training(
    sd_folder: Path, scales: list[float]
) -> None:
    first = recipe_values(sd_folder)["conditions"][0]
    second = first | {"name": "others", "encoder": {"kind": "neighbor_mean", "tokens": 3}}
    model = small_model(sd_folder, conditions=[first, second])
    graphs = {"neighbors": some_features(seed=1), "others": some_features(neighbors=2, seed=2)}
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    got = GraphPipeline(model)(
        PROMPT,
        neighbors=graphs,
        guidance_scale=3.0,
        graph_guidance_scale=scales,
        num_inference_steps=1,
        latents=latents,
        output_type="latent",
    ).images
    base, scheduler = model.base, model.base.new_scheduler()
    text, empty = base.encode_prompt([PROMPT]), base.encode_prompt([""])
    scheduler.set_timesteps(1)
    t = scheduler.timesteps[0]
    with torch.no_grad():
        one, two = (model.conditions[name].encoder(graph, text).tokens for name, graph in graphs.items())

        def call(*context: torch.Tensor) -> torch.Tensor:
            return base.denoise(DenoiserInputs(latents, t.expand(1), torch.cat(context, 1)))

        unconditional, textual = call(empty.hidden), call(text.hidden)
        guided = unconditional + 3.0 * (textual - unconditional)
        guided = guided + min(scales) * (call(text.hidden, one, two) - textual)
        larger = one if scales[0] > scales[1] else two
        guided = guided + (max(scales) - min(scales)) * (call(text.hidden, larger) - textual)
    wanted = scheduler.step(guided, t, latents).prev_sample
    assert (got - wanted).abs().max() < 1e-4


def test_joint_guidance_runs_the_encoder_on_zero_embeddings(sd_folder: Path) -> None:
    model = small_model(sd_folder)
    graph = some_features(seed=3)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    got = GraphPipeline(model)(
        PROMPT,
        neighbors=graph,
        guidance_scale=4.0,
        guidance_mode="joint",
        num_inference_steps=1,
        latents=latents,
        output_type="latent",
    ).images
    base, encoder = model.base, model.conditions["neighbors"].encoder
    text, empty = base.encode_prompt([PROMPT]), base.encode_prompt([""])
    scheduler = base.new_scheduler()
    scheduler.set_timesteps(1)
    t = scheduler.timesteps[0]
    zeros = type(graph)(torch.zeros_like(graph.embeddings), graph.present)
    with torch.no_grad():
        contexts = [
            torch.cat([empty.hidden, encoder(zeros, empty).tokens], 1),
            torch.cat([text.hidden, encoder(graph, text).tokens], 1),
        ]
        low, high = (base.denoise(DenoiserInputs(latents, t.expand(1), context)) for context in contexts)
    wanted = scheduler.step(low + 4.0 * (high - low), t, latents).prev_sample
    assert (got - wanted).abs().max() < 1e-4


def test_an_autoencoder_that_overflows_in_fp16_decodes_in_float32(sd_folder: Path) -> None:
    """As SDXL's does; before, the picture came out black and the command said nothing."""
    model = small_model(sd_folder)
    base = type(model.base).from_pretrained(str(sd_folder), dtype="fp16")
    with torch.no_grad():
        base.vae.decoder.conv_in.weight.mul_(3e4)
        base.vae.decoder.conv_in.bias.mul_(3e4)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with pytest.warns(Notice, match="overflows in fp16"):
        pixels = base.decode_latents(latents.half())
    assert pixels.isfinite().all()
    assert pixels.std() > 0
    assert base.vae.dtype == torch.float16


def test_pixels_that_are_not_finite_are_no_picture(sd_folder: Path) -> None:
    pipe = GraphPipeline(small_model(sd_folder))
    with torch.no_grad():
        pipe.model.base.vae.decoder.conv_out.bias.fill_(float("inf"))
    with pytest.raises(InputError, match="values that are not finite"):
        ours(pipe)
