"""A graph model in diffusers' own pipelines draws what `GraphPipeline` draws, and leaves no trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    ControlNetModel,
    DDPMPipeline,
    DDPMScheduler,
    StableDiffusionControlNetPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPanoramaPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLControlNetPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
    UNet2DModel,
)
from PIL import Image
from torch import Tensor

from graphcond import attach, detach
from graphcond.errors import InputError
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from tests.builders import recipe_values, small_model, some_features

PICTURE = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
MASK = Image.new("L", (64, 64))
MASK.paste(255, (24, 8, 56, 64))
CONDITION = recipe_values(Path())["conditions"][0]
GRAPH: dict[str, Any] = {"neighbors": some_features(), "graph_guidance_scale": 2.0}
FROM_PICTURE: dict[str, Any] = {"image": PICTURE, "strength": 0.6}
INTO_A_MASK = FROM_PICTURE | {"mask_image": MASK}


def draw(pipe: Any, prompt: Any = "a star", **options: Any) -> Tensor:
    settings = {"num_inference_steps": 4, "guidance_scale": 3.0, "negative_prompt": "a boat", **options}
    if isinstance(pipe, GraphPipeline):
        settings["on_step"] = lambda *_: None
    else:
        pipe.set_progress_bar_config(disable=True)
    drawn: Tensor = pipe(
        prompt, output_type="latent", generator=torch.Generator().manual_seed(7), **settings
    ).images
    return drawn


def plain(kind: Any, folder: Path, **parts: Any) -> Any:
    return kind.from_pretrained(folder, **parts)


@pytest.fixture(scope="module")
def saved(sd_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a LoRA that acts, in float32."""
    model = small_model(sd_folder, lora={"rank": 2})
    torch.manual_seed(0)
    assert model.lora is not None
    with torch.no_grad():
        for parameter in model.lora.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    folder = tmp_path_factory.mktemp("attached") / "model"
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (StableDiffusionPipeline, {}),
        (StableDiffusionPipeline, {"guidance_scale": 1.0}),
        (StableDiffusionImg2ImgPipeline, FROM_PICTURE),
        (StableDiffusionInpaintPipeline, INTO_A_MASK),
    ],
)
def test_both_doors_give_one_picture(saved: Path, sd_folder: Path, kind: Any, options: Any) -> None:
    pipe = plain(kind, sd_folder)
    before, forward = draw(pipe, **options), pipe.unet.forward
    attached = attach(pipe, saved)
    wanted = draw(GraphPipeline.from_pretrained(saved), **options)
    assert (draw(pipe, **options) - wanted).abs().max() < 1e-6 * max(1, wanted.abs().max())
    attached.show(**GRAPH)
    wanted = draw(GraphPipeline.from_pretrained(saved), **options, **GRAPH)
    assert (wanted - before).abs().max() > 1e-2
    assert (draw(pipe, **options) - wanted).abs().max() < 1e-6 * max(1, wanted.abs().max())
    detach(pipe)
    assert torch.equal(draw(pipe, **options), before)
    assert pipe.unet.forward == forward
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in pipe.unet.modules())


def test_a_model_leaves_its_base_with_all_of_its_parts(saved: Path, sd_folder: Path) -> None:
    model, pipe = GraphModel.from_pretrained(saved), plain(StableDiffusionPipeline, sd_folder)
    wanted, own = draw(GraphPipeline(model), **GRAPH), model.base
    attach(pipe, model).show(**GRAPH)
    assert (draw(pipe) - wanted).abs().max() < 1e-6 * max(1, wanted.abs().max())
    assert model.base is not own
    detach(pipe)
    model.move_to(own)
    assert torch.equal(draw(GraphPipeline(model), **GRAPH), wanted)


def test_several_prompts_copies_and_graphs(saved: Path, sd_folder: Path) -> None:
    pipe = plain(StableDiffusionPipeline, sd_folder)
    graphs = [some_features(2, seed=1), some_features(2, seed=2)]
    shown: dict[str, Any] = {"neighbors": graphs, "graph_guidance_scale": [2.0, -1.0]}
    attach(pipe, saved).show(**shown)
    prompts, options = ["a star", "a boat"], {"num_images_per_prompt": 2, "negative_prompt": ["a boat"] * 2}
    wanted = draw(GraphPipeline.from_pretrained(saved), prompts, **options, **shown)
    assert (draw(pipe, prompts, **options) - wanted).abs().max() < 1e-6 * max(1, wanted.abs().max())
    with pytest.raises(InputError, match="expected 3 graphs, one for each picture, got 2"):
        draw(pipe, ["a", "b", "c"], negative_prompt=None)


def embedded(pipe: Any, prompts: list[str]) -> dict[str, Any]:
    """Arguments that are prompts, encoded already."""
    text, empty = pipe.encode_prompt(prompts, "cpu", 1, True, negative_prompt=["a boat"] * len(prompts))
    return {"prompt": None, "prompt_embeds": text, "negative_prompt": None, "negative_prompt_embeds": empty}


def test_words_that_an_encoder_reads_have_to_be_given(saved: Path, sd_folder: Path) -> None:
    pipe = plain(StableDiffusionPipeline, sd_folder)
    options, before = (
        embedded(pipe, ["a star", "a boat"]),
        draw(pipe, ["a star", "a boat"], negative_prompt=None),
    )
    attached = attach(pipe, small_model(sd_folder))
    assert draw(pipe, **options).shape == before.shape  # without a graph
    attached.show(**GRAPH)
    with pytest.raises(InputError, match="prompt: the encoder of a graph reads the words of the prompt"):
        draw(pipe, **options)


@pytest.mark.parametrize("rows", [1, 2])
def test_embeddings_of_prompts_are_counted(sd_folder: Path, rows: int) -> None:
    condition = {**CONDITION, "encoder": {"kind": "neighbor_mean", "tokens": 3}}
    pipe, prompts = plain(StableDiffusionPipeline, sd_folder), ["a star", "a boat"]
    options = embedded(pipe, prompts)
    attached = attach(pipe, small_model(sd_folder, conditions=[condition]))
    attached.show(some_features(rows), graph_guidance_scale=2.0)
    wanted = draw(pipe, prompts, negative_prompt=["a boat"] * 2, num_images_per_prompt=2)
    assert torch.equal(draw(pipe, **options, num_images_per_prompt=2), wanted)
    attached.show(some_features(3))
    with pytest.raises(InputError, match="expected 2 graphs, one for each picture, got 3"):
        draw(pipe, **options)


@pytest.mark.parametrize("scale", [1.0, 1.001, 3.0])
def test_the_doors_rescale_alike(sd_folder: Path, scale: float) -> None:
    pipe, model = plain(StableDiffusionPipeline, sd_folder), small_model(sd_folder)
    options = {"guidance_scale": scale, "guidance_rescale": 0.7}
    wanted = draw(GraphPipeline(model), **options, **GRAPH)
    attach(pipe, small_model(sd_folder)).show(**GRAPH)
    assert (wanted - draw(pipe, guidance_scale=scale)).abs().max() > 1e-3
    assert (draw(pipe, **options) - wanted).abs().max() < 1e-6 * max(1, wanted.abs().max())


def test_an_encoder_reads_the_layers_that_clip_skip_leaves(sdxl_folder: Path) -> None:
    """On SDXL; in diffusers' pipeline of Stable Diffusion it fails with the transformers of today."""
    pipe, base = plain(StableDiffusionXLPipeline, sdxl_folder), {"kind": "sdxl", "model": str(sdxl_folder)}
    model, options = small_model(sdxl_folder, base=base), {"clip_skip": 1}
    wanted = draw(GraphPipeline(model), **options, **GRAPH)
    attach(pipe, model).show(**GRAPH)
    assert (wanted - draw(pipe)).abs().max() > 1e-3
    assert (draw(pipe, **options) - wanted).abs().max() < 1e-6 * max(1, wanted.abs().max())


def test_the_interval_of_a_graph_is_one_of_the_steps_that_a_pipeline_makes(sdxl_folder: Path) -> None:
    """Also where it ends before its scheduler, as a base does that leaves the rest to SDXL's refiner."""
    pipe, options = plain(StableDiffusionXLPipeline, sdxl_folder), {"denoising_end": 0.5}
    before, steps = draw(pipe, **options), []

    def seen(pipe: Any, step: int, *_: Any) -> dict[str, Any]:
        steps.append(step)
        return {}

    def late(start: float) -> Tensor:
        model = sdxl_model(sdxl_folder, guidance={"start": start})
        attach(pipe, model).show(**GRAPH)
        drawn = draw(pipe, **options, callback_on_step_end=seen)
        detach(pipe)
        return drawn

    graph_in_second, graph_in_none = late(0.5), late(0.9)
    assert steps == [0, 1] * 2  # of four
    assert torch.allclose(graph_in_none, before, atol=1e-5)
    assert (graph_in_second - before).abs().max() > 1e-3
    assert (graph_in_second - late(0.0)).abs().max() > 1e-3


def test_a_pipeline_that_shares_the_denoiser_is_refused(saved: Path, sd_folder: Path) -> None:
    pipe = plain(StableDiffusionPipeline, sd_folder)
    before, kind = draw(pipe), type(pipe)
    attach(pipe, saved).show(**GRAPH)
    other = StableDiffusionImg2ImgPipeline.from_pipe(pipe)
    for called in (False, True):
        if called:
            draw(pipe)
        for refused in (lambda: draw(other, **FROM_PICTURE), lambda: attach(other, saved)):
            with pytest.raises(InputError, match="pipe: another pipeline, which shares the denoiser, has a"):
                refused()
    same = type(pipe)(**pipe.components, requires_safety_checker=False)
    with pytest.raises(InputError, match="Detach the model from that one first"):
        draw(same)
    detach(pipe)
    assert type(pipe) is kind
    assert torch.equal(draw(same), before)
    assert torch.equal(draw(pipe), before)
    assert draw(other, **FROM_PICTURE).isfinite().all()


def sdxl_model(folder: Path, **sections: Any) -> GraphModel:
    """A model over SDXL whose encoder gives tokens that act."""
    condition = {**CONDITION, "encoder": {"kind": "neighbor_mean", "tokens": 3}}
    base = {"kind": "sdxl", "model": str(folder)}
    model = small_model(folder, base=base, conditions=[condition], **sections)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.conditions["neighbors"].encoder.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return model


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (StableDiffusionXLPipeline, {}),
        (StableDiffusionXLImg2ImgPipeline, FROM_PICTURE),
        (StableDiffusionXLInpaintPipeline, {**INTO_A_MASK, "strength": 1.0}),
    ],
)
def test_so_it_is_with_sdxl(sdxl_folder: Path, kind: Any, options: Any) -> None:
    model, pipe = sdxl_model(sdxl_folder), plain(kind, sdxl_folder)
    wanted, before = draw(GraphPipeline(model), **options, **GRAPH), draw(pipe, **options)
    attach(pipe, model).show(**GRAPH)  # the model leaves its own base
    assert (draw(pipe, **options) - wanted).abs().max() < 1e-6 * max(1, wanted.abs().max())
    assert (wanted - before).abs().max() > 1e-2
    detach(pipe)
    assert torch.equal(draw(pipe, **options), before)


@pytest.mark.parametrize(
    ("text_to_image", "with_controlnet", "folder", "model_of"),
    [
        (StableDiffusionPipeline, StableDiffusionControlNetPipeline, "sd_folder", small_model),
        (StableDiffusionXLPipeline, StableDiffusionXLControlNetPipeline, "sdxl_folder", sdxl_model),
    ],
)
def test_a_controlnet_acts_beside_it(
    request: pytest.FixtureRequest, text_to_image: Any, with_controlnet: Any, folder: str, model_of: Any
) -> None:
    model = model_of(request.getfixturevalue(folder))
    pipe, alone = plain(text_to_image, request.getfixturevalue(folder)), draw(GraphPipeline(model), **GRAPH)
    net = ControlNetModel.from_unet(pipe.unet, conditioning_channels=3)
    torch.manual_seed(0)
    with torch.no_grad():
        for layer in net.controlnet_down_blocks:
            layer.weight.copy_(torch.randn_like(layer.weight) * 0.1)
    unchecked = {} if model_of is sdxl_model else {"requires_safety_checker": False}
    both, options = with_controlnet(**pipe.components, controlnet=net, **unchecked), {"image": PICTURE}
    before = draw(both, **options)
    assert (before - draw(pipe)).abs().max() > 1e-2
    attached = attach(both, model)
    assert torch.allclose(draw(both, **options), before, atol=1e-5)
    attached.show(**GRAPH)
    with_graph = draw(both, **options)
    assert (with_graph - before).abs().max() > 1e-2
    assert (with_graph - alone).abs().max() > 1e-2
    silent = draw(both, **options, controlnet_conditioning_scale=0.0)
    assert (silent - alone).abs().max() < 1e-6 * max(1, alone.abs().max())
    detach(both)
    assert torch.equal(draw(both, **options), before)


def test_two_models_add_up_under_two_names(sd_folder: Path) -> None:
    pipe, model = plain(StableDiffusionPipeline, sd_folder), small_model(sd_folder)
    options: dict[str, Any] = {"num_inference_steps": 1}
    pipe.scheduler = DDPMScheduler.from_config(pipe.scheduler.config, clip_sample=False)
    start = draw(pipe, **options)
    shifts = []
    for seed in (1, 2):
        attach(pipe, small_model(sd_folder)).show(some_features(seed=seed), graph_guidance_scale=2.0)
        shifts.append(draw(pipe, **options) - start)
        detach(pipe)
    attach(pipe, model).show(some_features(seed=1), graph_guidance_scale=2.0)
    attach(pipe, small_model(sd_folder), "other").show(some_features(seed=2), graph_guidance_scale=2.0)
    assert torch.allclose(draw(pipe, **options) - start, sum(shifts, start=torch.zeros(())), atol=1e-4)
    detach(pipe)
    assert torch.allclose(draw(pipe, **options) - start, shifts[1], atol=1e-5)
    detach(pipe, "other")
    assert torch.equal(draw(pipe, **options), start)


def test_a_denoiser_that_two_bases_share_weighs_tokens_once(saved: Path) -> None:
    pipe = GraphPipeline.from_pretrained(saved)
    wanted = draw(pipe, **GRAPH)
    plain = StableDiffusionPipeline(**pipe.components, requires_safety_checker=False)
    attach(plain, saved).show(**GRAPH)
    assert torch.allclose(draw(plain), wanted, atol=1e-5)
    detach(plain)
    assert torch.equal(draw(pipe, **GRAPH), wanted)


REFUSED: dict[str, Callable[[Any, Path], Any]] = {
    "pipe: expected a pipeline of Stable Diffusion or SDXL, got a DDPMPipeline": lambda pipe, model: attach(
        DDPMPipeline(
            UNet2DModel(
                8, block_out_channels=(32,), down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",)
            ),
            DDPMScheduler(),
        ),
        model,
    ),
    "pipe: expected a pipeline of Stable Diffusion or SDXL, got a StableDiffusionPanoramaPipeline": (
        lambda pipe, model: attach(
            StableDiffusionPanoramaPipeline(**pipe.components, requires_safety_checker=False), model
        )
    ),
    "pipe: expected a pipeline of Stable Diffusion or SDXL, got a str": lambda pipe, model: attach(
        "sd",
        model,  # type: ignore[arg-type]
    ),
    "name: the pipeline has a model with the name 'graph'": lambda pipe, model: [
        attach(pipe, model) for _ in range(2)
    ],
    "name: the pipeline has no model with the name 'graph'. Attach one first": lambda pipe, model: detach(
        pipe
    ),
    "no such model": lambda pipe, model: attach(pipe, model / "missing"),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_refused(saved: Path, sd_folder: Path, message: str) -> None:
    pipe = plain(StableDiffusionPipeline, sd_folder)
    with pytest.raises(InputError) as caught:
        REFUSED[message](pipe, saved)
    assert message in str(caught.value)
    if "_graphcond" in vars(pipe):
        detach(pipe)
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in pipe.unet.modules())


def test_a_model_of_another_width_stays_where_it_is(sd_folder: Path, sdxl_folder: Path) -> None:
    pipe, model = plain(StableDiffusionXLPipeline, sdxl_folder), small_model(sd_folder)
    before = draw(GraphPipeline(model), **GRAPH)
    with pytest.raises(InputError, match="it was trained for tokens 32 wide, the base's are 56 wide"):
        attach(pipe, model)
    assert isinstance(model, GraphModel)
    assert torch.equal(draw(GraphPipeline(model), **GRAPH), before)


def test_only_rounding_parts_the_doors(sd_folder: Path) -> None:
    model, pipe = small_model(sd_folder), plain(StableDiffusionPipeline, sd_folder)
    parts = [*model.conditions.values(), *model.base.components.values(), *pipe.components.values()]
    for part in parts:
        if isinstance(part, torch.nn.Module):
            part.double()
    features = replace(GRAPH["neighbors"], embeddings=GRAPH["neighbors"].embeddings.double())
    shown = {**GRAPH, "neighbors": features}
    noise = torch.randn(1, 4, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    wanted = draw(GraphPipeline(model), latents=noise, **shown)
    attach(pipe, model).show(**shown)
    found = draw(pipe, latents=noise)
    assert found.dtype == torch.float64
    assert (found - wanted).abs().max() < 1e-12 * wanted.abs().max()
