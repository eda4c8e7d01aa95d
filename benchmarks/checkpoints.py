"""Random checkpoints of Stable Diffusion, FLUX.2, CLIP and BERT, at full size or tiny; no download.

Each shape is that of the published model; `tiny` keeps its structure (levels, heads, linear projections,
prediction) and makes every width small.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    UNet2DConditionModel,
)
from tokenizers.pre_tokenizers import ByteLevel
from torch import nn
from transformers import (
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Qwen2TokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from graphcond.bases.config import TINY_FOLDER

TEXT_LENGTH = 77
TOKEN_IDS = {"vocab_size": 49408, "bos_token_id": 740, "eos_token_id": 741, "pad_token_id": 741}
"""CLIP's vocabulary, with the marks of the tokenizer inside the package, which is the one that is written."""


@dataclass(frozen=True)
class BaseShape:
    """A Stable Diffusion model.

    Levels run from fine to coarse: their widths, the transformer blocks behind each layer (0 for none), and
    the heads, which diffusers calls ``attention_head_dim``. ``second`` is the text encoder that SDXL adds.
    """

    name: str
    prediction: Literal["epsilon", "v_prediction"]
    pixels: int
    text: Mapping[str, Any]
    heads: tuple[int, ...]
    second: Mapping[str, Any] | None = None
    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    depths: tuple[int, ...] = (1, 1, 1, 0)
    vae_widths: tuple[int, ...] = (128, 256, 512, 512)
    linear_projection: bool = True
    norm_groups: int = 32
    latent_scale: float = 0.18215

    @property
    def token_width(self) -> int:
        """Width of the context: the text encoders' states side by side."""
        return sum(text["hidden_size"] for text in (self.text, self.second) if text is not None)

    def tiny(self) -> BaseShape:
        """The same structure, 64 px, 32 wide."""
        return replace(
            self,
            pixels=64,
            text={**self.text, **_TINY_TEXT},
            heads=(2,) * len(self.heads),
            second=None if self.second is None else {**self.second, **_TINY_TEXT, "projection_dim": 32},
            widths=(32,) * len(self.widths),
            depths=tuple(min(depth, 2) for depth in self.depths),
            vae_widths=(8,) * 4,
            norm_groups=8,
        )


@dataclass(frozen=True)
class ClipShape:
    """A CLIP; `width` is that of the space which its texts and pictures share."""

    name: str
    width: int
    text: Mapping[str, Any]
    vision: Mapping[str, Any] = field(default_factory=dict)

    def tiny(self) -> ClipShape:
        """The same structure, 24 wide, pictures of 32 px."""
        vision = {**self.vision, **_layers(32, 64, 2, 2), "image_size": 32, "patch_size": 16}
        return replace(self, width=24, text={**self.text, **_TINY_TEXT}, vision=vision)


def _layers(width: int, inner: int, layers: int, heads: int) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }


_TINY_TEXT = _layers(32, 64, 2, 2)

_VIT_L = _layers(768, 3072, 12, 12)
_BIG_G = {**_layers(1280, 5120, 32, 20), "hidden_act": "gelu"}

SD15 = BaseShape("sd15", "epsilon", 512, _VIT_L, (8, 8, 8, 8), linear_projection=False)
SD21 = BaseShape(
    "sd21", "v_prediction", 768, {**_layers(1024, 4096, 23, 16), "hidden_act": "gelu"}, (5, 10, 20, 20)
)
SDXL = BaseShape(
    "sdxl",
    "epsilon",
    1024,
    _VIT_L,
    (5, 10, 20),
    second={**_BIG_G, "projection_dim": 1280},
    widths=(320, 640, 1280),
    depths=(0, 2, 10),
    latent_scale=0.13025,
)
CLIP_L = ClipShape(
    "clip-vit-large-patch14",
    768,
    _VIT_L,
    {**_layers(1024, 4096, 24, 16), "image_size": 224, "patch_size": 14},
)
CLIP_H = ClipShape(
    "clip-vit-h-14",
    1024,
    {**_layers(1024, 4096, 24, 16), "hidden_act": "gelu"},
    {**_layers(1280, 5120, 32, 16), "hidden_act": "gelu", "image_size": 224, "patch_size": 14},
)


CLIP_G = ClipShape(
    "clip-vit-bigg-14",
    1280,
    _BIG_G,
    {**_layers(1664, 8192, 48, 16), "hidden_act": "gelu", "image_size": 224, "patch_size": 14},
)


def unet_of(shape: BaseShape) -> UNet2DConditionModel:
    """The denoiser."""
    sides = ["CrossAttn" if depth else "" for depth in shape.depths]
    added: dict[str, Any] = {}
    if shape.second is not None:
        added = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": shape.second["projection_dim"] + 6 * 256,
        }
    return UNet2DConditionModel(
        sample_size=shape.pixels // 8,
        block_out_channels=shape.widths,
        down_block_types=tuple(f"{side}DownBlock2D" for side in sides),
        up_block_types=tuple(f"{side}UpBlock2D" for side in reversed(sides)),
        transformer_layers_per_block=tuple(max(1, depth) for depth in shape.depths),
        cross_attention_dim=shape.token_width,
        attention_head_dim=shape.heads,
        use_linear_projection=shape.linear_projection,
        norm_num_groups=shape.norm_groups,
        **added,
    )


def autoencoder_of(shape: BaseShape) -> AutoencoderKL:
    """The autoencoder."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=shape.vae_widths,
        norm_num_groups=shape.norm_groups,
        layers_per_block=2,
        sample_size=shape.pixels,
        scaling_factor=shape.latent_scale,
    )


def write_base(folder: Path, shape: BaseShape, *, device: str = "cpu") -> Path:
    """A Stable Diffusion folder in diffusers' layout, in fp16; weights are drawn on ``device``."""
    torch.manual_seed(0)
    parts: dict[str, nn.Module] = {}
    with torch.device(device):
        parts["unet"], parts["vae"] = unet_of(shape), autoencoder_of(shape)
        parts["text_encoder"] = CLIPTextModel(CLIPTextConfig(**TOKEN_IDS, **shape.text))
        if shape.second is not None:
            second = CLIPTextConfig(**TOKEN_IDS, **shape.second)
            parts["text_encoder_2"] = CLIPTextModelWithProjection(second)
            _copy_tokenizer("tokenizer", folder / "tokenizer_2")
    for name, part in parts.items():
        part.half().save_pretrained(folder / name)
    DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=shape.prediction,
    ).save_pretrained(folder / "scheduler")
    _copy_tokenizer("tokenizer", folder / "tokenizer")
    index = {
        "_class_name": "StableDiffusionPipeline" if shape.second is None else "StableDiffusionXLPipeline"
    }
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder


FLUX2 = "flux2-klein-base-4b"
CHAT = (
    "{% for message in messages %}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
"""What Qwen3's template makes of messages that say nothing else."""


def write_flux2(
    folder: Path, *, tiny: bool = False, dtype: torch.dtype = torch.bfloat16, device: str = "cpu"
) -> Path:
    """A FLUX.2 Klein folder (that of the 4B base unless ``tiny``), with a tokenizer of bytes."""
    torch.manual_seed(0)
    letters = {letter: row for row, letter in enumerate(sorted(ByteLevel.alphabet()))}
    marks = ["<|im_start|>", "<|im_end|>"]
    tokenizer = Qwen2TokenizerFast(
        {**letters, "<|endoftext|>": len(letters)}, [], chat_template=CHAT, additional_special_tokens=marks
    )
    tokenizer.add_tokens(["<think>", "</think>"])
    width, heads, side = (16, 2, 8) if tiny else (2560, 32, 128)
    text = {"vocab_size": 151_936, **_layers(width, 9728, 36, heads), "num_key_value_heads": 8}
    vae: dict[str, Any] = {"latent_channels": 32}
    sizes = {"num_layers": 5, "num_single_layers": 20, "num_attention_heads": 24}
    if tiny:
        text = {"vocab_size": len(tokenizer), **_layers(width, 32, 36, heads), "num_key_value_heads": 1}
        text |= {"initializer_range": 0.2}
        vae = {"latent_channels": 4, "block_out_channels": (8, 8, 16, 16), "layers_per_block": 1}
        vae |= {"norm_num_groups": 4, "sample_size": 64}
        sizes = {"num_layers": 2, "num_single_layers": 2, "num_attention_heads": 4}
        sizes |= {"timestep_guidance_channels": 32}
    with torch.device(device):
        autoencoder = AutoencoderKLFlux2(**vae)
        autoencoder.bn.running_mean.normal_()
        autoencoder.bn.running_var.uniform_(0.5, 2)
        encoder = Qwen3ForCausalLM(Qwen3Config(head_dim=side, tie_word_embeddings=True, **text)).to(dtype)
        transformer = Flux2Transformer2DModel(
            in_channels=4 * vae["latent_channels"],
            attention_head_dim=side,
            joint_attention_dim=3 * width,
            axes_dims_rope=(side // 4,) * 4,
            guidance_embeds=False,
            **sizes,
        )
    Flux2KleinPipeline(
        vae=autoencoder.to(dtype),
        text_encoder=encoder,
        tokenizer=tokenizer,
        transformer=transformer.to(dtype),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
    ).save_pretrained(folder)
    return folder


def write_clip(folder: Path, shape: ClipShape, *, device: str = "cpu") -> Path:
    """A whole CLIP with its tokenizer, in fp16; weights are drawn on ``device``."""
    torch.manual_seed(1)
    config = CLIPConfig(
        text_config={**TOKEN_IDS, **shape.text},
        vision_config=dict(shape.vision),
        projection_dim=shape.width,
    )
    with torch.device(device):
        model = CLIPModel(config)
    model.half().save_pretrained(folder)
    _copy_tokenizer("tokenizer", folder)
    return folder


def write_bert(folder: Path, *, tiny: bool = False, device: str = "cpu") -> Path:
    """A BERT (that of bert-base unless ``tiny``) with its tokenizer, in fp16."""
    torch.manual_seed(2)
    with torch.device(device):
        model = BertModel(BertConfig(**(_TINY_TEXT if tiny else {})))
    model.half().save_pretrained(folder)
    _copy_tokenizer("bert", folder)
    return folder


def _copy_tokenizer(part: str, folder: Path) -> None:
    """The tokenizer of the base inside the package, with the length of the published models."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in (TINY_FOLDER / part).iterdir():
        if file.stem in ("tokenizer", "tokenizer_config", "vocab", "merges"):
            shutil.copyfile(file, folder / file.name)
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings |= {"model_max_length": TEXT_LENGTH, "max_length": TEXT_LENGTH}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
