"""Random tiny checkpoints in the layouts of diffusers and transformers, for tests without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import torch
from diffusers import (
    AutoencoderDC,
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    SanaTransformer2DModel,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    Dinov2Config,
    Dinov2Model,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil

from benchmarks.checkpoints import write_flux2

Prediction = Literal["epsilon", "v_prediction"]

TEXT_LENGTH = 77
PICTURE_SIZE = 64
LATENT_SCALE = 8
START, END = "<|startoftext|>", "<|endoftext|>"


def write_sd_folder(
    folder: Path, *, prediction: Prediction = "epsilon", cross_width: int = 32, layers: int = 2, seed: int = 0
) -> Path:
    """A Stable Diffusion folder: 1.x with epsilon, 2.x (linear projections) with v_prediction; 64 px."""
    tokenizer = write_tokenizer(folder / "tokenizer")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pipeline = StableDiffusionPipeline(
            vae=_vae(),
            text_encoder=CLIPTextModel(_text_config(tokenizer, cross_width, layers)),
            tokenizer=tokenizer,
            unet=_unet(cross_width, linear=prediction == "v_prediction"),
            scheduler=_scheduler(prediction),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(folder)
    write_tokenizer(folder / "tokenizer")
    return folder


def write_sdxl_folder(folder: Path, *, cross_widths: tuple[int, int] = (24, 32), seed: int = 0) -> Path:
    """An SDXL base folder: a first level without attention, deep blocks, two text encoders; 64 px."""
    tokenizer = write_tokenizer(folder / "tokenizer")
    first, second = cross_widths
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pipeline = StableDiffusionXLPipeline(
            vae=_vae(),
            text_encoder=CLIPTextModel(_text_config(tokenizer, first, 2)),
            text_encoder_2=CLIPTextModelWithProjection(_text_config(tokenizer, second, 3)),
            tokenizer=tokenizer,
            tokenizer_2=tokenizer,
            unet=UNet2DConditionModel(
                sample_size=PICTURE_SIZE // LATENT_SCALE,
                block_out_channels=(16, 32),
                norm_num_groups=8,
                layers_per_block=1,
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
                cross_attention_dim=first + second,
                attention_head_dim=2,
                transformer_layers_per_block=(1, 2),
                use_linear_projection=True,
                addition_embed_type="text_time",
                addition_time_embed_dim=8,
                projection_class_embeddings_input_dim=second + 6 * 8,
            ),
            scheduler=EulerDiscreteScheduler.from_config({**_scheduler("epsilon").config}),
        )
    pipeline.save_pretrained(folder)
    write_tokenizer(folder / "tokenizer")
    write_tokenizer(folder / "tokenizer_2", pad="!")
    return folder


def write_sana_folder(folder: Path, *, seed: int = 0) -> Path:
    """A folder of Sana's transformer with a T5 text encoder: flow matching, 6 latent channels, 64 px."""
    tokenizer = T5Tokenizer(
        [(piece, 0.0) for piece in ("<pad>", "</s>", "<unk>")]
        + [(piece, -2.0) for piece in ("▁", *"abcdefghijklmnopqrstuvwxyz")],
        extra_ids=0,
    )
    pixels, patch = 8, 2
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts = {
            "transformer": SanaTransformer2DModel(
                sample_size=PICTURE_SIZE // pixels,
                patch_size=patch,
                in_channels=6,
                out_channels=6,
                num_layers=2,
                num_attention_heads=4,
                attention_head_dim=8,
                num_cross_attention_heads=2,
                cross_attention_head_dim=16,
                cross_attention_dim=32,
                caption_channels=24,
            ),
            "vae": AutoencoderDC(
                latent_channels=6,
                attention_head_dim=4,
                encoder_block_types=("ResBlock",) * 3 + ("EfficientViTBlock",),
                decoder_block_types=("ResBlock",) * 3 + ("EfficientViTBlock",),
                encoder_block_out_channels=(12,) * 4,
                decoder_block_out_channels=(12,) * 4,
                encoder_qkv_multiscales=((), (), (), (5,)),
                decoder_qkv_multiscales=((), (), (), (5,)),
                encoder_layers_per_block=(1,) * 4,
                decoder_layers_per_block=(1,) * 4,
                scaling_factor=0.5,
            ),
            "text_encoder": T5EncoderModel(
                T5Config(vocab_size=len(tokenizer), d_model=24, d_ff=48, d_kv=8, num_heads=3, num_layers=2)
            ),
        }
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    tokenizer.save_pretrained(folder / "tokenizer")
    FlowMatchEulerDiscreteScheduler(shift=3.0).save_pretrained(folder / "scheduler")
    return folder


def write_flux2_folder(folder: Path) -> Path:
    """A FLUX.2 Klein folder of the structure of the real one; 64 px."""
    with torch.random.fork_rng():
        return write_flux2(folder, tiny=True, dtype=torch.float32)


def write_clip_folder(folder: Path, *, width: int = 24, seed: int = 0, processor: bool = True) -> Path:
    """A CLIP folder (`CLIPModel`, tokenizer, picture preprocessing) whose shared space is ``width`` wide."""
    tokenizer = write_tokenizer(folder)
    config = CLIPConfig(
        text_config=_text_config(tokenizer, 32, 2).to_dict(),
        vision_config=CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=PICTURE_SIZE,
            patch_size=16,
        ).to_dict(),
        projection_dim=width,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        CLIPModel(config).save_pretrained(folder)
    if processor:
        side = {"height": PICTURE_SIZE, "width": PICTURE_SIZE}
        CLIPImageProcessorPil(size={"shortest_edge": PICTURE_SIZE}, crop_size=side).save_pretrained(folder)
    return folder


def write_dino_folder(folder: Path, *, width: int = 32, seed: int = 0) -> Path:
    """A DINOv2 folder (`Dinov2Model`, picture preprocessing) with pooled outputs ``width`` wide."""
    config = Dinov2Config(
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=2,
        mlp_ratio=2,
        image_size=PICTURE_SIZE,
        patch_size=16,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        Dinov2Model(config).save_pretrained(folder)
    side = {"height": PICTURE_SIZE, "width": PICTURE_SIZE}
    BitImageProcessorPil(size={"shortest_edge": PICTURE_SIZE}, crop_size=side).save_pretrained(folder)
    return folder


def write_tokenizer(folder: Path, *, pad: str = END) -> CLIPTokenizer:
    """CLIP's tokenizer with the 512 byte symbols and no merges, as vocab.json and merges.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = _byte_letters()
    symbols = [*letters, *(f"{letter}</w>" for letter in letters), START, END]
    vocabulary = {symbol: row for row, symbol in enumerate(symbols)}
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": pad}
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": TEXT_LENGTH, **special}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(special), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "tokenizer.json").unlink(missing_ok=True)
    return CLIPTokenizer.from_pretrained(folder)


def _byte_letters() -> list[str]:
    """The letters by which byte-level BPE writes the 256 bytes, in the order of CLIP's vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(rest))]


def _text_config(tokenizer: CLIPTokenizer, width: int, layers: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        max_position_embeddings=TEXT_LENGTH,
        projection_dim=width,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _unet(cross_width: int, linear: bool) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=PICTURE_SIZE // LATENT_SCALE,
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=cross_width,
        attention_head_dim=2,
        use_linear_projection=linear,
    )


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=4,
        sample_size=PICTURE_SIZE,
        scaling_factor=0.5,
    )


def _scheduler(prediction: Prediction) -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction,
    )
