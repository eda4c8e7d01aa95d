"""What a user of diffusers' pipelines tries: a check for each row of the table in docs/diffusers.md."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    EulerDiscreteScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.callbacks import SDCFGCutoffCallback
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModelWithProjection

from graphcond.bases.config import StableDiffusionXLConfig
from graphcond.context import NeighborFeatures
from graphcond.errors import InputError
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from tests.builders import small_model, some_features
from tests.docs.blocks import blocks
from tests.docs.conftest import demo as demo
from tests.docs.conftest import reader as reader
from tests.typecheck import unchecked

PAGE = Path(__file__).parents[2] / "docs/diffusers.md"
GRAPH: dict[str, Any] = {"neighbors": some_features(), "graph_guidance_scale": 2.0, "guidance_scale": 3.0}
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))


class Given(NamedTuple):
    """What a check has: a pipeline of its own, a folder, and the folder of the base."""

    pipe: GraphPipeline
    folder: Path
    sd: Path
    sdxl: Path
    before: Tensor
    """The latents that `draw` gives with a new pipeline."""


Check = Callable[[Given], None]
CHECKS: dict[str, Check] = {}


def convention(name: str) -> Callable[[Check], Check]:
    def add(check: Check) -> Check:
        CHECKS[name] = check
        return check

    return add


def draw(pipe: Any, prompt: Any = "a star", **options: Any) -> Any:
    settings = {"num_inference_steps": 2, "output_type": "latent", **GRAPH, **options}
    settings.setdefault("generator", torch.Generator().manual_seed(7))
    return pipe(prompt, **settings).images


def same(given: Given, *, atol: float = 1e-5, **options: Any) -> None:
    """The picture with a graph is what it was."""
    assert torch.allclose(draw(given.pipe, **options), given.before, atol=atol)


def differs(given: Given, **options: Any) -> None:
    assert (draw(given.pipe, **options) - given.before).abs().max() > 1e-3


@convention("`isinstance(pipe, DiffusionPipeline)`")
def _(given: Given) -> None:
    assert isinstance(given.pipe, DiffusionPipeline)
    assert isinstance(given.pipe, GraphPipeline)


@convention("`DiffusionPipeline.from_pretrained(folder, trust_remote_code=True)`")
def _(given: Given) -> None:
    given.pipe.save_pretrained(given.folder / "model")
    opened = DiffusionPipeline.from_pretrained(given.folder / "model", trust_remote_code=True)
    assert torch.equal(draw(opened), given.before)


@convention("`from_pretrained(..., torch_dtype=)`")
def _(given: Given) -> None:
    given.pipe.save_pretrained(given.folder / "model")
    ours = GraphPipeline.from_pretrained(given.folder / "model", torch_dtype=torch.bfloat16)
    theirs = DiffusionPipeline.from_pretrained(
        given.folder / "model", torch_dtype=torch.bfloat16, trust_remote_code=True
    )
    assert ours.unet.dtype == theirs.unet.dtype == torch.bfloat16
    assert torch.equal(draw(ours), draw(theirs))
    with pytest.raises(
        InputError, match=r"dtype: expected fp32, fp16, bf16 or torch's name of it, got 'half'"
    ):
        GraphPipeline.from_pretrained(given.folder / "model", torch_dtype="half")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the base is loaded already"):
        GraphPipeline.from_pretrained(
            given.folder / "model", base=given.pipe.model.base, torch_dtype=torch.float16
        )


@convention("`from_pretrained(..., variant=)`")
def _(given: Given) -> None:
    base = Path(shutil.copytree(given.sd, given.folder / "base"))
    for file in base.glob("*/*.safetensors"):
        file.rename(file.with_suffix(".fp16.safetensors"))
    given.pipe.save_pretrained(given.folder / "model")
    options: dict[str, Any] = {"base": base, "variant": "fp16"}
    same(given._replace(pipe=GraphPipeline.from_pretrained(given.folder / "model", **options)))
    with pytest.raises(InputError):
        GraphPipeline.from_pretrained(given.folder / "model", base=base)


@convention("`pipe.save_pretrained(folder)`, `model_index.json`")
def _(given: Given) -> None:
    given.pipe.save_pretrained(given.folder / "model")
    index = json.loads((given.folder / "model/model_index.json").read_text())
    assert index["_class_name"][1] == "GraphPipeline"
    same(given._replace(pipe=GraphPipeline.from_pretrained(given.folder / "model")))


@convention("`pipe.to(device)`")
def _(given: Given) -> None:
    assert given.pipe.to("cpu") is given.pipe
    same(given)


@convention("`pipe.to(dtype)`")
def _(given: Given) -> None:
    assert given.pipe.to(torch.bfloat16).dtype == torch.bfloat16
    encoder = given.pipe.model.conditions["neighbors"].encoder
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    assert draw(given.pipe).dtype == torch.bfloat16


@convention("`pipe.to(device, dtype)`")
def _(given: Given) -> None:
    assert given.pipe.to("cpu", torch.float64).unet.dtype == torch.float64
    assert torch.allclose(
        draw(given.pipe, latents=noise()).float(), draw(fresh(given), latents=noise()), atol=1e-4
    )


@convention("`pipe.device`, `pipe.dtype`")
def _(given: Given) -> None:
    assert (given.pipe.device, given.pipe.dtype) == (torch.device("cpu"), torch.float32)


@convention("`pipe.unet` (`pipe.transformer`)")
def _(given: Given) -> None:
    assert isinstance(given.pipe.unet, UNet2DConditionModel)
    other = UNet2DConditionModel.from_config(given.pipe.unet.config)
    with pytest.raises(InputError, match="unet: the conditions are attached to this denoiser"):
        given.pipe.unet = other


@convention("`pipe.vae`")
def _(given: Given) -> None:
    assert isinstance(given.pipe.vae, AutoencoderKL)


@convention("`pipe.vae = another`")
def _(given: Given) -> None:
    before = draw(given.pipe, output_type="np")
    given.pipe.vae = AutoencoderKL.from_config(given.pipe.vae.config)
    assert np.abs(draw(given.pipe, output_type="np") - before).max() > 1e-3
    assert given.pipe.components["vae"] is given.pipe.vae


@convention("`pipe.text_encoder`, `pipe.tokenizer`")
def _(given: Given) -> None:
    ids = given.pipe.tokenizer("a star", return_tensors="pt").input_ids
    assert given.pipe.text_encoder(ids).last_hidden_state.shape == (1, ids.shape[1], 32)


@convention("`pipe.scheduler = Scheduler.from_config(pipe.scheduler.config)`")
def _(given: Given) -> None:
    given.pipe.scheduler = EulerDiscreteScheduler.from_config(given.pipe.scheduler.config)
    assert given.pipe.components["scheduler"] is given.pipe.scheduler
    differs(given)


@convention("`pipe.components`")
def _(given: Given) -> None:
    parts = {"unet", "vae", "text_encoder", "tokenizer", "scheduler"}
    assert parts <= {name for name, part in given.pipe.components.items() if part is not None}


@convention("`StableDiffusionPipeline(**pipe.components)`, `from_pipe(pipe)`")
def _(given: Given) -> None:
    plain = StableDiffusionPipeline(**given.pipe.components, requires_safety_checker=False)
    other = StableDiffusionImg2ImgPipeline.from_pipe(given.pipe)
    assert plain.unet is other.unet is given.pipe.unet
    options: dict[str, Any] = {"num_inference_steps": 2, "output_type": "latent", "latents": noise()}
    theirs = plain("a star", guidance_scale=3.0, **options).images
    assert torch.allclose(given.pipe("a star", guidance_scale=3.0, **options).images, theirs, atol=1e-5)


@convention("`pipe.config`, `print(pipe)`")
def _(given: Given) -> None:
    assert given.pipe.config["unet"] == ("diffusers", "UNet2DConditionModel")
    assert repr(given.pipe).startswith("GraphPipeline {")


@convention("`pipe.vae_scale_factor`, `pipe.image_processor`")
def _(given: Given) -> None:
    assert given.pipe.vae_scale_factor == 8
    assert given.pipe.image_processor.preprocess(PICTURE).shape == (1, 3, 64, 64)


@convention("`prompt=[...]`")
def _(given: Given) -> None:
    generators = [torch.Generator().manual_seed(7) for _ in range(2)]
    drawn = draw(given.pipe, ["a star", "a boat"], generator=generators)
    assert torch.allclose(drawn[:1], given.before, atol=1e-4)


@convention("`negative_prompt=`")
def _(given: Given) -> None:
    differs(given, negative_prompt="a boat")


@convention("`num_images_per_prompt=`")
def _(given: Given) -> None:
    assert draw(given.pipe, num_images_per_prompt=3).shape == (3, 4, 8, 8)


@convention("`height=`, `width=`")
def _(given: Given) -> None:
    assert draw(given.pipe, height=64, width=96).shape == (1, 4, 8, 12)


@convention("`guidance_scale=`")
def _(given: Given) -> None:
    differs(given, guidance_scale=9.0)
    assert given.pipe.guidance_scale == 9.0


@convention("`guidance_rescale=`")
def _(given: Given) -> None:
    differs(given, guidance_rescale=0.7)


@convention("`generator=`, one or a list")
def _(given: Given) -> None:
    assert torch.equal(draw(given.pipe, generator=[torch.Generator().manual_seed(7)]), given.before)
    differs(given, generator=torch.Generator().manual_seed(8))


@convention("`latents=`")
def _(given: Given) -> None:
    assert torch.equal(draw(given.pipe, latents=noise()), given.before)


@convention("`prompt_embeds=`, `negative_prompt_embeds=`, `pipe.encode_prompt`")
def _(given: Given) -> None:
    embeds, negative = given.pipe.encode_prompt("a star", negative_prompt="a boat")
    encoded: dict[str, Any] = {"prompt_embeds": embeds, "negative_prompt_embeds": negative}
    wanted = draw(given.pipe, negative_prompt="a boat")
    assert torch.equal(draw(given.pipe, **encoded), wanted)
    plain: dict[str, Any] = {"neighbors": None}
    wanted = draw(given.pipe, negative_prompt="a boat", **plain)
    with patch.object(given.pipe.model.base, "encode_prompt") as encode:
        assert torch.equal(draw(given.pipe, None, **encoded, **plain), wanted)
    encode.assert_not_called()
    with pytest.raises(InputError, match="prompt: the encoder of a graph reads the words"):
        draw(given.pipe, None, **encoded)


@convention("`pooled_prompt_embeds=` (SDXL)")
def _(given: Given) -> None:
    base = StableDiffusionXLConfig(model=str(given.sdxl)).build(device=torch.device("cpu"))
    pipe = GraphPipeline(GraphModel(base, [], feature_width=8))
    names = (
        "prompt_embeds",
        "negative_prompt_embeds",
        "pooled_prompt_embeds",
        "negative_pooled_prompt_embeds",
    )
    texts = {"negative_prompt": "a boat", "prompt_2": "a tree"}
    encoded = dict(zip(names, pipe.encode_prompt("a star", **texts), strict=True))
    options: dict[str, Any] = {"neighbors": None, "graph_guidance_scale": None}
    wanted = draw(pipe, **texts, **options)
    assert torch.equal(draw(pipe, None, **encoded, **options), wanted)
    with pytest.raises(InputError, match="pooled_prompt_embeds: the base reads a pooled vector too"):
        draw(pipe, None, prompt_embeds=encoded["prompt_embeds"], **options)


def as_in_sdxl(given: Given, **options: Any) -> None:
    """The arguments act, and give what they give in diffusers' pipeline."""
    base = StableDiffusionXLConfig(model=str(given.sdxl)).build(device=torch.device("cpu"))
    pipe = GraphPipeline(GraphModel(base, [], feature_width=8))
    settings = {"num_inference_steps": 4, "guidance_scale": 3.0, "negative_prompt": "a boat"}

    def drawn(one: Any, **options: Any) -> Tensor:
        generator = torch.Generator().manual_seed(7)
        latents: Tensor = one(
            "a star", output_type="latent", generator=generator, **{**settings, **options}
        ).images
        return latents

    ours, theirs = drawn(pipe, **options), drawn(StableDiffusionXLPipeline(**pipe.components), **options)
    assert (ours - theirs).abs().max() < 1e-5 * max(1, theirs.abs().max())
    assert (ours - drawn(pipe)).abs().max() > 1e-3


@convention("`prompt_2=`, `negative_prompt_2=` (SDXL)")
def _(given: Given) -> None:
    as_in_sdxl(given, prompt_2="a tree")
    as_in_sdxl(given, negative_prompt_2="a house", num_images_per_prompt=2)
    for wrong in (["a tree", "a house"], 5, [5]):
        with pytest.raises(InputError, match="prompt_2: expected one text or 1, got "):
            as_in_sdxl(given, prompt_2=wrong)
    with pytest.raises(InputError, match="prompt_2: drawing with StableDiffusionBase has no argument"):
        draw(given.pipe, prompt_2="a tree")
    encoded = torch.zeros(1, 77, 56)
    with pytest.raises(InputError, match="prompt_2: 'prompt_embeds' holds it already"):
        as_in_sdxl(given, prompt_2="a tree", prompt_embeds=encoded)


@convention("`original_size=`, `target_size=`, `crops_coords_top_left=`, and with `negative_` before (SDXL)")
def _(given: Given) -> None:
    as_in_sdxl(given, original_size=(512, 256))
    as_in_sdxl(given, target_size=(128, 64), crops_coords_top_left=(8, 0), num_images_per_prompt=2)
    negative = {"negative_original_size": (32, 64), "negative_target_size": (64, 96)}
    as_in_sdxl(given, **negative)
    as_in_sdxl(given, **negative, negative_crops_coords_top_left=(0, 8), original_size=(512, 256))
    for wrong in (512, (1, 2, 3), ("a", "b")):
        with unchecked(), pytest.raises(InputError, match="original_size: expected two numbers of pixels"):
            as_in_sdxl(given, original_size=wrong)
    with pytest.raises(InputError, match=r"original_sise: .* no argument .* Did you mean 'original_size'"):
        as_in_sdxl(given, original_sise=(512, 256))


@convention("`denoising_end=`")
def _(given: Given) -> None:
    as_in_sdxl(given, denoising_end=0.6)
    differs(given, denoising_end=0.5)
    assert given.pipe.num_timesteps == 1
    for wrong in (0.0, -1.0, 1.5, 1e-4):
        with pytest.raises(
            InputError, match=r"denoising_end: expected a number in 0\.\.1 that leaves a step"
        ):
            draw(given.pipe, denoising_end=wrong)


@convention("`num_inference_steps=`, `pipe.num_timesteps`")
def _(given: Given) -> None:
    differs(given, num_inference_steps=3)
    assert given.pipe.num_timesteps == 3


@convention("`timesteps=`")
def _(given: Given) -> None:
    given.pipe.scheduler = EulerDiscreteScheduler.from_config(given.pipe.scheduler.config)
    ours = draw(given.pipe, neighbors=None, timesteps=[900, 500, 100])
    assert torch.allclose(ours, plain(given, timesteps=[900, 500, 100]), atol=1e-4)
    assert given.pipe.num_timesteps == 3


@convention("`sigmas=`")
def _(given: Given) -> None:
    given.pipe.scheduler = EulerDiscreteScheduler.from_config(given.pipe.scheduler.config)
    ours = draw(given.pipe, neighbors=None, sigmas=[9.0, 3.0, 0.5])
    assert torch.allclose(ours, plain(given, sigmas=[9.0, 3.0, 0.5]), atol=1e-4)


@convention("`eta=`")
def _(given: Given) -> None:
    assert torch.allclose(draw(given.pipe, neighbors=None, eta=1.0), plain(given, eta=1.0), atol=1e-4)
    differs(given, eta=1.0)


@convention("`clip_skip=`")
def _(given: Given) -> None:
    encoder, hidden = given.pipe.text_encoder, []
    for prompt, layer in (("a star", -2), ("", -1)):  # diffusers leaves no layer out of the negative prompt
        ids = given.pipe.model.base.encode_prompt([prompt]).ids
        states = encoder(ids, output_hidden_states=True).hidden_states[layer]
        hidden.append(getattr(encoder, "text_model", encoder).final_layer_norm(states))
    embeds = dict(zip(("prompt_embeds", "negative_prompt_embeds"), hidden, strict=True))
    wanted = draw(given.pipe, None, neighbors=None, **embeds)
    assert torch.allclose(draw(given.pipe, neighbors=None, clip_skip=1), wanted, atol=1e-5)
    assert given.pipe.clip_skip == 1
    differs(given, clip_skip=1)


@convention('`output_type="pil"`, `"np"`, `"pt"`, `"latent"`')
def _(given: Given) -> None:
    (picture,), array, tensor, latents = (
        draw(given.pipe, output_type=kind) for kind in ("pil", "np", "pt", "latent")
    )
    assert picture.size == (64, 64)
    assert array.shape == (1, 64, 64, 3)
    assert np.array_equal(tensor.permute(0, 2, 3, 1).numpy(), array)
    assert torch.equal(latents, given.before)


@convention("`return_dict=False`, `output[0]`")
def _(given: Given) -> None:
    options: dict[str, Any] = {"num_inference_steps": 2, "output_type": "latent", **GRAPH, "latents": noise()}
    (images,) = given.pipe("a star", return_dict=False, **options)
    assert torch.equal(images, given.before)
    assert torch.equal(given.pipe("a star", **options)[0], given.before)


@convention("`callback_on_step_end=`")
def _(given: Given) -> None:
    seen: list[Any] = []

    def look(pipe: Any, step: int, timestep: Tensor, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        seen.append((pipe, step, int(timestep), [*tensors]))
        return tensors

    same(given, callback_on_step_end=look)
    assert [one[1] for one in seen] == [0, 1]
    assert seen[0][0] is given.pipe
    assert seen[0][2] > seen[1][2]
    assert seen[0][3] == ["latents"]


@convention("`pipe._guidance_scale = 0.0` in a callback, `SDCFGCutoffCallback`")
def _(given: Given) -> None:
    def off(pipe: Any, step: int, timestep: Tensor, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        pipe._guidance_scale = 0.0
        return tensors

    cut = SDCFGCutoffCallback(cutoff_step_ratio=None, cutoff_step_index=0)
    one, other = (
        draw(given.pipe, guidance_scale=5.0, callback_on_step_end=callback) for callback in (off, cut)
    )
    assert torch.equal(one, other)
    assert not given.pipe.do_classifier_free_guidance
    interval = draw(given.pipe, guidance_scale=5.0, guidance_text_end=0.5)  # the first of two steps
    assert torch.equal(one, interval)
    assert not torch.equal(one, draw(given.pipe, guidance_scale=5.0, guidance_rescale=0.5))
    assert given.pipe.do_classifier_free_guidance
    assert given.pipe.guidance_rescale == 0.5
    with pytest.raises(InputError, match=r"expected the shape .* of 'prompt_embeds', got"):
        given.pipe(["a star", "a boat"], callback_on_step_end=cut, num_inference_steps=2)


@convention("`callback_on_step_end_tensor_inputs=`, and what the callback returns")
def _(given: Given) -> None:
    names = ["latents", "prompt_embeds", "negative_prompt_embeds"]

    def empty(pipe: Any, step: int, timestep: Tensor, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        assert [*tensors] == names
        return {"latents": torch.zeros_like(tensors["latents"])}

    drawn = draw(given.pipe, callback_on_step_end=empty, callback_on_step_end_tensor_inputs=names)
    assert not drawn.any()


@convention("`pipe._interrupt = True` in a callback")
def _(given: Given) -> None:
    steps: list[int] = []

    def stop(pipe: Any, step: int, timestep: Tensor, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        steps.append(step)
        pipe._interrupt = True
        return tensors

    differs(given, callback_on_step_end=stop)
    assert steps == [0]
    assert given.pipe.interrupt
    same(given)  # the next call makes all of its steps


@convention("`pipe.set_progress_bar_config(...)`")
def _(given: Given) -> None:
    given.pipe.set_progress_bar_config(disable=False, desc="drawing")
    same(given)
    given.pipe.set_progress_bar_config(disable=True)
    same(given)


@convention("`image=`, `strength=` (img2img)")
def _(given: Given) -> None:
    close, far = (draw(given.pipe, image=PICTURE, strength=one) for one in (0.5, 1.0))
    start = given.pipe.model.base.encode_pictures(given.pipe.image_processor.preprocess(PICTURE)).mean
    assert (close - start).norm() < (far - start).norm()


@convention("`image=`, `mask_image=` (inpainting)")
def _(given: Given) -> None:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (32, 0, 64, 64))
    start = given.pipe.model.base.encode_pictures(given.pipe.image_processor.preprocess(PICTURE)).mean
    drawn = draw(given.pipe, image=PICTURE, mask_image=mask)
    assert (drawn - start)[..., :4].abs().max() < 0.2 * (drawn - start)[..., 4:].abs().max()


@convention("`pipe.load_lora_weights`, `set_adapters`, `unload_lora_weights`")
def _(given: Given) -> None:
    write_lora(given)
    given.pipe.load_lora_weights(given.folder / "lora", adapter_name="style")
    strong = draw(given.pipe)
    assert (strong - given.before).abs().max() > 1e-3
    given.pipe.set_adapters("style", 0.0)
    same(given)
    given.pipe.unload_lora_weights()
    same(given)


@convention("`pipe.fuse_lora`, `unfuse_lora`")
def _(given: Given) -> None:
    write_lora(given)
    given.pipe.load_lora_weights(given.folder / "lora")
    loaded = draw(given.pipe)
    given.pipe.fuse_lora()
    assert torch.allclose(draw(given.pipe), loaded, atol=1e-4)
    given.pipe.unfuse_lora()
    given.pipe.unload_lora_weights()
    same(given, atol=1e-4)


@convention("`pipe.load_textual_inversion`")
def _(given: Given) -> None:
    file = given.folder / "inversion.safetensors"
    save_file({"<mine>": torch.randn(2, 32)}, file)
    given.pipe.load_textual_inversion(file)
    ids = given.pipe.model.base.encode_prompt(["a <mine>"]).ids
    assert int(ids.max()) < 49408
    drawn = draw(given.pipe, "a <mine>")
    assert (drawn - draw(given.pipe, "a")).abs().max() > 1e-4
    same(given)


@convention("`pipe.load_ip_adapter`, `ip_adapter_image=`, `unload_ip_adapter`")
def _(given: Given) -> None:
    write_ip_adapter(given)
    given.pipe.load_ip_adapter(given.folder, subfolder="", weight_name="ip.safetensors")
    given.pipe.set_ip_adapter_scale(1.0)
    shown: dict[str, Any] = {"neighbors": None, "ip_adapter_image": PICTURE}
    theirs = StableDiffusionPipeline(**given.pipe.components, requires_safety_checker=False)
    wanted = theirs(
        "a star",
        ip_adapter_image=PICTURE,
        guidance_scale=3.0,
        num_inference_steps=2,
        output_type="latent",
        latents=noise(),
    ).images
    assert torch.allclose(draw(given.pipe, **shown), wanted, atol=1e-4)
    differs(given, ip_adapter_image=PICTURE)
    given.pipe.unload_ip_adapter()
    same(given)


@convention("`pipe.enable_attention_slicing()`")
def _(given: Given) -> None:
    given.pipe.enable_attention_slicing()
    same(given, atol=1e-4)
    given.pipe.disable_attention_slicing()


@convention("`pipe.vae.enable_slicing()`, `pipe.vae.enable_tiling()`")
def _(given: Given) -> None:
    before = draw(given.pipe, output_type="np")
    given.pipe.vae.enable_slicing()
    given.pipe.vae.enable_tiling()
    assert np.allclose(draw(given.pipe, output_type="np"), before, atol=1e-4)


@convention("`pipe.unet.set_attention_backend(...)`")
def _(given: Given) -> None:
    given.pipe.unet.set_attention_backend("native")
    same(given)


@convention("`pipe.enable_xformers_memory_efficient_attention()` (CUDA)")
def _(given: Given) -> None:
    try:
        given.pipe.enable_xformers_memory_efficient_attention()
    except (ModuleNotFoundError, NotImplementedError, ValueError) as error:
        pytest.skip(f"xformers does not run here: {error}")
    given.pipe.to("cuda", torch.float16)
    assert torch.allclose(draw(given.pipe, latents=noise()).cpu().float(), given.before, atol=0.1)


@convention("`pipe.enable_model_cpu_offload()`")
def _(given: Given) -> None:
    given.pipe.enable_model_cpu_offload(device=accelerator())
    drawn = [draw(given.pipe, output_type=kind) for kind in ("latent", "np", "latent")]
    assert torch.allclose(drawn[2].cpu(), given.before, atol=1e-2)
    assert next(given.pipe.unet.parameters()).device.type == "cpu"


@convention("`pipe.enable_sequential_cpu_offload()`")
def _(given: Given) -> None:
    if not torch.cuda.is_available():
        pytest.skip("accelerate does this for a GPU only")
    given.pipe.enable_sequential_cpu_offload()
    drawn = [draw(given.pipe, output_type=kind) for kind in ("latent", "np")]
    assert torch.allclose(drawn[0].cpu(), given.before, atol=1e-2)


@convention("`pipe.enable_group_offload(...)`")
def _(given: Given) -> None:
    given.pipe.enable_group_offload(torch.device(accelerator()), offload_type="leaf_level")
    drawn = [draw(given.pipe, output_type=kind) for kind in ("latent", "np")]
    assert torch.allclose(drawn[0].cpu(), given.before, atol=1e-2)


@convention("`pipe.enable_freeu(...)`")
def _(given: Given) -> None:
    given.pipe.enable_freeu(s1=0.9, s2=0.2, b1=1.5, b2=1.6)
    same_size = draw(given.pipe)
    assert same_size.shape == given.before.shape
    given.pipe.disable_freeu()
    same(given)


@convention("`pipe.unet = torch.compile(pipe.unet)`")
def _(given: Given) -> None:
    given.pipe.unet = torch.compile(given.pipe.unet)
    with torch.compiler.set_stance("force_eager"):  # compiling takes a minute
        same(given)


def noise() -> Tensor:
    return torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(7))


def fresh(given: Given) -> GraphPipeline:
    return GraphPipeline(small_model(given.sd))


def accelerator() -> str:
    """Where offloaded parts compute: on the CPU too, where nothing else is there."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def plain(given: Given, **options: Any) -> Tensor:
    """The latents of diffusers' own pipeline with the same scheduler."""
    pipe = StableDiffusionPipeline.from_pretrained(given.sd, safety_checker=None, feature_extractor=None)
    pipe.scheduler = type(given.pipe.scheduler).from_config(given.pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    settings = {"num_inference_steps": 2, "guidance_scale": 3.0, "output_type": "latent", **options}
    drawn: Tensor = pipe("a star", generator=torch.Generator().manual_seed(7), **settings).images
    return drawn


def write_lora(given: Given) -> None:
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    unet = UNet2DConditionModel.from_pretrained(given.sd, subfolder="unet")
    unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    weights = get_peft_model_state_dict(unet)
    StableDiffusionPipeline.save_lora_weights(given.folder / "lora", unet_lora_layers=weights)


def write_ip_adapter(given: Given) -> None:
    """A random IP-Adapter with its image encoder, in the released layout."""
    torch.manual_seed(0)
    width, tokens, vision = 32, 4, 24
    config = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
        projection_dim=vision,
    )
    encoder = CLIPVisionModelWithProjection(config)
    given.pipe.register_modules(
        image_encoder=encoder.eval(),
        feature_extractor=CLIPImageProcessorPil(size=32, crop_size=32),
    )
    weights = {
        "image_proj.proj.weight": torch.randn(tokens * width, vision),
        "image_proj.proj.bias": torch.zeros(tokens * width),
        "image_proj.norm.weight": torch.ones(width),
        "image_proj.norm.bias": torch.zeros(width),
    }
    number = 1
    for site in given.pipe.model.base.sites("cross_attention").values():
        for kind in ("k", "v"):
            weights[f"ip_adapter.{number}.to_{kind}_ip.weight"] = torch.randn(site.width, width) * 0.3
        number += 2
    save_file(weights, given.folder / "ip.safetensors")
    assert load_file(given.folder / "ip.safetensors")


@pytest.fixture(scope="module")
def before(sd_folder: Path) -> Tensor:
    drawn: Tensor = draw(GraphPipeline(small_model(sd_folder)))
    return drawn


@pytest.mark.parametrize("name", CHECKS)
def test_a_convention_of_diffusers(
    name: str, sd_folder: Path, sdxl_folder: Path, tmp_path: Path, before: Tensor
) -> None:
    pipe = GraphPipeline(small_model(sd_folder))
    CHECKS[name](Given(pipe, tmp_path, sd_folder, sdxl_folder, before))


def test_the_page_lists_them_all() -> None:
    table = PAGE.read_text(encoding="utf-8").split("| convention | remark |")[1]
    rows = re.findall(r"^\| (.+?) \| .+ \|$", table, re.MULTILINE)
    assert [row for row in rows if "`" in row] == [*CHECKS]
    assert len(CHECKS) == 58


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_compiled_denoiser_draws_the_same(sd_folder: Path) -> None:
    pipe = GraphPipeline(small_model(sd_folder)).to("cuda")
    before = draw(pipe, latents=noise())
    pipe.unet = torch.compile(pipe.unet)
    with unchecked():  # dynamo does not trace the checks of shapes
        assert torch.allclose(draw(pipe, latents=noise()), before, atol=1e-2)


def test_a_lora_that_a_user_loads_leaves_that_of_the_model(sd_folder: Path, tmp_path: Path) -> None:
    pipe = GraphPipeline(small_model(sd_folder, lora={"rank": 2}))
    torch.manual_seed(0)
    assert pipe.model.lora is not None
    with torch.no_grad():
        for parameter in pipe.model.lora.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    before = draw(pipe)
    given = Given(pipe, tmp_path, sd_folder, sd_folder, before)
    assert (before - draw(fresh(given))).abs().max() > 1e-3
    write_lora(given)
    pipe.load_lora_weights(tmp_path / "lora")
    differs(given)
    pipe.unload_lora_weights()
    same(given)


def test_the_python_of_the_page_runs(reader: Path) -> None:
    namespace: dict[str, Any] = {}
    for block in blocks(PAGE, "python"):
        exec(block.compiled(), namespace)
    assert namespace["with_graph"].size == (64, 64)
    restyled, filled = (np.asarray(namespace[name], np.int64) for name in ("restyled", "filled"))
    kept = np.asarray(namespace["picture"], np.int64)
    assert np.abs(restyled - kept).mean() > 1
    left, right = (np.abs(filled - kept)[:, part].mean() for part in (slice(0, 24), slice(40, 64)))
    assert left < right


def test_a_graph_changes_the_picture_that_the_checks_compare(sd_folder: Path, before: Tensor) -> None:
    other = NeighborFeatures(-some_features().embeddings, some_features().present)
    assert (draw(GraphPipeline(small_model(sd_folder)), neighbors=other) - before).abs().max() > 1e-3
