"""A released IP-Adapter gives here what it gives in diffusers, and ours gives there what it gives here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.image_processor import IPAdapterMaskProcessor
from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0
from safetensors.torch import load_file, save_file

from graphcond.adapters import IPAdapterConfig, IPAdapterInjector
from graphcond.bases import Base
from graphcond.condition import Condition
from graphcond.context import NeighborFeatures
from graphcond.coverage import coverage
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.encoders import ImagePrompts, ImagePromptsConfig
from graphcond.errors import InputError
from graphcond.model import GraphModel
from graphcond.saving.ip_adapter import write_ip_adapter
from graphcond.signals import TextTokens
from tests.builders import FEATURE_WIDTH, small_base, small_model
from tests.conformance.parts import HEIGHT, WIDTH, build, fresh, inputs, wake

PICTURES = 3


@pytest.fixture(params=["stable_diffusion", "sdxl"])
def base(request: pytest.FixtureRequest) -> Base:
    return fresh(request, request.param)


def neighbors(states: int = 1) -> NeighborFeatures:
    embeddings = torch.randn(2, PICTURES * states, FEATURE_WIDTH, generator=torch.Generator().manual_seed(1))
    return NeighborFeatures(embeddings, torch.ones(2, PICTURES * states, dtype=torch.bool))


def condition(base: Base, projection: str, states: int) -> Condition:
    """A condition with random weights, injected into ``base``."""
    torch.manual_seed(0)
    settings = {"projection": projection, "states": states, "hidden": 64 if projection == "plus" else None}
    encoder = ImagePromptsConfig(**settings).build(feature_width=FEATURE_WIDTH, base=base)
    injector = IPAdapterConfig().build()
    injector.inject(base)
    wake(injector)
    return Condition("pictures", encoder, injector)


def theirs(unet: UNet2DConditionModel, file: Path) -> UNet2DConditionModel:
    """The UNet with the IP-Adapter of a file, as diffusers loads it."""
    parts: dict[str, dict[str, torch.Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for name, tensor in load_file(file).items():
        part, _, inner = name.partition(".")
        parts[part][inner] = tensor
    unet._load_ip_adapter_weights([parts], low_cpu_mem_usage=False)
    return unet


def answer(base: Base, given: DenoiserInputs, pictures: torch.Tensor, **options) -> torch.Tensor:
    """Of diffusers' UNet, which reads the pictures beside the further conditions of its family."""
    further = base.conditions(given).get("added_cond_kwargs", {})
    return base.unet(
        given.sample,
        given.timestep,
        encoder_hidden_states=given.context,
        added_cond_kwargs={**further, "image_embeds": [pictures]},
        **options,
    ).sample


def no_text(base: Base) -> TextTokens:
    return base.encode_prompt(["", ""])


@torch.no_grad()
@pytest.mark.parametrize(("projection", "states"), [("plain", 1), ("plus", 5)])
def test_ours_is_read_by_diffusers_and_theirs_by_us(
    base, tmp_path: Path, projection: str, states: int
) -> None:
    ours, context, given = condition(base, projection, states), neighbors(states), inputs(base)
    file = tmp_path / "ip-adapter.safetensors"
    write_ip_adapter(ours, file)
    drawn = base.denoise(ours.apply(given, ours.signal(context, no_text(base)), 0.7))
    ours.injector.eject()

    again = condition(base, projection, states)
    wake_otherwise(again)
    again.encoder.load_ip_adapter(file)
    again.injector.load_ip_adapter(file)
    assert torch.equal(base.denoise(again.apply(given, again.signal(context, no_text(base)), 0.7)), drawn)
    again.injector.eject()

    unet = theirs(base.unet, file)
    for processor in unet.attn_processors.values():
        if isinstance(processor, IPAdapterAttnProcessor2_0):
            processor.scale = [0.7]
    pictures = context.embeddings.unflatten(1, (PICTURES, states))
    wanted = answer(base, given, pictures.squeeze(2) if states == 1 else pictures)
    assert torch.allclose(drawn, wanted, atol=1e-5)


def wake_otherwise(condition: Condition) -> None:
    with torch.no_grad():
        for parameter in condition.parameters():
            parameter.add_(0.1)


@torch.no_grad()
def test_boxes_are_the_masks_of_diffusers(base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Diffusers resizes a mask by bicubic interpolation; the arithmetic is compared at equal shares."""
    ours, given = condition(base, "plain", 1), inputs(base)
    context = neighbors().select(torch.tensor([0, 1]))
    context = NeighborFeatures(context.embeddings[:, :1], context.present[:, :1])
    ours.injector.visible = "in_boxes"
    box = torch.tensor([0.1, 0.3, 0.65, 0.9])
    signal = ours.signal(context, no_text(base))
    placed = replace(
        signal, boxes=box.expand(*signal.present.shape, 4), boxed=torch.ones_like(signal.present)
    )
    drawn = base.denoise(ours.apply(given, placed))
    write_ip_adapter(ours, tmp_path / "ip-adapter.safetensors")
    ours.injector.eject()
    theirs(base.unet, tmp_path / "ip-adapter.safetensors")

    def shares(mask: torch.Tensor, rows: int, cells: int, width: int) -> torch.Tensor:
        stride = round((HEIGHT * WIDTH / cells) ** 0.5)
        found = coverage(
            box.expand(rows, 1, 4), torch.ones(rows, 1).bool(), HEIGHT // stride, WIDTH // stride
        )
        return found.expand(-1, -1, width)

    monkeypatch.setattr(IPAdapterMaskProcessor, "downsample", staticmethod(shares))
    masks = {"ip_adapter_masks": [torch.ones(1, 1, HEIGHT, WIDTH)]}
    wanted = answer(base, given, context.embeddings, cross_attention_kwargs=masks)
    assert torch.allclose(drawn, wanted, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("times", [1, 4])
def test_a_mask_of_any_size_acts_as_in_diffusers(base, tmp_path: Path, times: int) -> None:
    """Also soft ones, whose interpolation leaves 0..1; a picture keeps its own mask among others."""
    ours, given = condition(base, "plain", 1), inputs(base)
    context = NeighborFeatures(neighbors().embeddings[:, :1], neighbors().present[:, :1])
    masks = torch.rand(2, HEIGHT * times, WIDTH * times, generator=torch.Generator().manual_seed(2))
    masks = (masks * 2 - 0.5).clamp(0, 1)
    drawn = base.denoise(ours.apply(given, replace(ours.signal(context, no_text(base)), mask=masks), 0.7))
    write_ip_adapter(ours, tmp_path / "ip-adapter.safetensors")
    ours.injector.eject()
    unet = theirs(base.unet, tmp_path / "ip-adapter.safetensors")
    for processor in unet.attn_processors.values():
        if isinstance(processor, IPAdapterAttnProcessor2_0):
            processor.scale = [0.7]
    for row, mask in enumerate(masks):
        theirs_at = {"ip_adapter_masks": [mask[None, None]]}
        wanted = answer(base, given, context.embeddings, cross_attention_kwargs=theirs_at)
        assert torch.allclose(drawn[row], wanted[row], atol=1e-5)


@torch.no_grad()
def test_a_recipe_starts_from_a_file_and_a_saved_model_does_without(sd_folder: Path, tmp_path: Path) -> None:
    base, file = small_base(sd_folder), tmp_path / "ip-adapter.safetensors"
    write_ip_adapter(condition(base, "plain", 1), file)
    parts = {
        "name": "pictures",
        "sampler": {"kind": "ppr"},
        "encoder": {"kind": "image_prompts", "init": str(file)},
        "injector": {"kind": "ip_adapter", "init": str(file)},
    }
    model = small_model(sd_folder, conditions=[parts])
    model.save_pretrained(tmp_path / "model")
    model.eject()
    file.unlink()
    again = GraphModel.from_pretrained(tmp_path / "model")
    context, text = neighbors(), no_text(base)
    loaded, first = again.conditions["pictures"], condition(base, "plain", 1)
    drawn = again.base.denoise(loaded.apply(inputs(base), loaded.signal(context, text)))
    wanted = base.denoise(first.apply(inputs(base), first.signal(context, text)))
    assert torch.allclose(drawn, wanted, atol=1e-6)


def test_files_that_are_no_ip_adapter_of_this_base(base, tmp_path: Path) -> None:
    ours = condition(base, "plain", 1)
    encoder, injector, file = ours.encoder, ours.injector, tmp_path / "file.safetensors"
    with pytest.raises(RuntimeError, match="inject first"):
        IPAdapterInjector().load_ip_adapter({})

    save_file({"unet.down.to_q.lora_A.weight": torch.zeros(2, 2)}, file)
    for part in (encoder, injector):
        with pytest.raises(InputError, match=r"weights of an IP-Adapter .* got those of a LoRA"):
            part.load_ip_adapter(file)

    write_ip_adapter(ours, file)
    good = load_file(file)
    first = "ip_adapter.1.to_k_ip.weight"
    for bad, problem in {
        "missing": ({n: t for n, t in good.items() if n != first}, "'1.to_k_ip.weight' is missing"),
        "surplus": (good | {"ip_adapter.2.to_k_ip.weight": good[first]}, "'2.to_k_ip.weight' is surplus"),
        "width": (good | {first: torch.zeros(7, 7)}, r"has shape \(7, 7\) instead of"),
    }.values():
        with pytest.raises(InputError, match=problem):
            injector.load_ip_adapter(bad)
    with pytest.raises(InputError, match=r"weights do not fit.*Set projection, tokens, hidden"):
        condition_of("plus", base).load_ip_adapter(good)
    with pytest.raises(InputError, match="not one of an IP-Adapter that diffusers knows"):
        encoder.load_ip_adapter({"image_proj.other": torch.zeros(1)})

    torch.save({"image_proj": {}, "ip_adapter": {"code": Path}}, tmp_path / "file.bin")
    with pytest.raises(InputError, match="could run code"):
        injector.load_ip_adapter(tmp_path / "file.bin")
    halves = {part: {n.removeprefix(f"{part}."): t for n, t in good.items() if n.startswith(part)}
              for part in ("image_proj", "ip_adapter")}  # fmt: skip
    torch.save(halves, tmp_path / "file.bin")
    encoder.load_ip_adapter(tmp_path / "file.bin")
    injector.load_ip_adapter(tmp_path / "file.bin")


def condition_of(projection: str, base: Base) -> ImagePrompts:
    return ImagePromptsConfig(projection=projection).build(feature_width=FEATURE_WIDTH, base=base)


def test_a_condition_of_other_parts_is_no_ip_adapter(base, tmp_path: Path) -> None:
    encoder = ImagePromptsConfig().build(feature_width=FEATURE_WIDTH, base=base)
    with pytest.raises(InputError, match="PromptTokenInjector has no place in an IP-Adapter"):
        write_ip_adapter(
            Condition("pictures", encoder, build("prompt_tokens")), tmp_path / "file.safetensors"
        )


@torch.no_grad()
def test_a_pipeline_of_diffusers_opens_our_file(sd_folder: Path, tmp_path: Path) -> None:
    write_ip_adapter(condition(small_base(sd_folder), "plain", 1), tmp_path / "ours.safetensors")
    pipe = StableDiffusionPipeline.from_pretrained(sd_folder, safety_checker=None)
    pipe.load_ip_adapter(
        str(tmp_path), subfolder="", weight_name="ours.safetensors", image_encoder_folder=None
    )
    assert pipe.unet.config.encoder_hid_dim_type == "ip_image_proj"
