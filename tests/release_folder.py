"""Small random checkpoints in the layout in which InstructG2I was released."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    CLIPImageProcessorPil,
    CLIPTextModel,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from tests.tiny_checkpoints import PICTURE_SIZE, write_sd_folder

Shapes: TypeAlias = Mapping[str, Sequence[int]]
Model = TypeVar("Model", bound=nn.Module)

WIDTH = 32
"""Of the text encoder's states, the neighbor tokens and the graph tokens."""
PROJECTION_WIDTH = 24
"""Of the picture embeddings."""
PREFIX = "text_model."
HEED = 3.0
"""How much larger than new ones the cross-attention's weights are: queries, keys, values and outputs."""


def write_release_folder(
    folder: Path,
    *,
    tokens_per_neighbor: int = 2,
    every: int = 2,
    layers: int = 4,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    processor: bool = True,
) -> Path:
    """A release with pictures of 64 px, which graph, text and mask all change.

    Args:
        folder: where to.
        tokens_per_neighbor: tokens that a neighbor's embedding is projected to.
        every: layers 0, n, 2n ... of the Graph-QFormer attend to the neighbors.
        layers: of the text encoder and of the Graph-QFormer.
        seed: of all weights.
        dtype: of all weights.
        processor: whether the image encoder has its ``preprocessor_config.json``.
    """
    write_sd_folder(folder, cross_width=WIDTH, layers=layers, seed=seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        _write_unet(folder / "unet", dtype)
        AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=dtype).save_pretrained(folder / "vae")
        shapes = _write_text_encoder(folder / "text_encoder", dtype)
        _write_image_encoder(folder / "image_encoder", dtype, processor)
        _write_checkpoint(folder / "gnn", _qformer_shapes(shapes, every), dtype)
        _write_checkpoint(folder / "image_proj_model", _projector_shapes(tokens_per_neighbor), dtype)
    return folder


def _write_unet(folder: Path, dtype: torch.dtype) -> None:
    """Rewrite a random denoiser so that it heeds its context, which new ones hardly do."""
    unet = UNet2DConditionModel.from_pretrained(folder, torch_dtype=dtype)
    for name, parameter in unet.named_parameters():
        if ".attn2.to_" in name:
            parameter.data *= HEED
    unet.save_pretrained(folder)


def _write_text_encoder(folder: Path, dtype: torch.dtype) -> Shapes:
    """Rewrite a text encoder with the prefix that transformers 5 leaves out of its keys."""
    _redrawn(CLIPTextModel.from_pretrained(folder), dtype).save_pretrained(folder)
    file = folder / "model.safetensors"
    weights = {PREFIX + key.removeprefix(PREFIX): value for key, value in load_file(file).items()}
    save_file(weights, file, {"format": "pt"})
    return {key: value.shape for key, value in weights.items()}


def _write_image_encoder(folder: Path, dtype: torch.dtype, processor: bool) -> None:
    config = CLIPVisionConfig(
        hidden_size=40,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=PICTURE_SIZE,
        patch_size=16,
        projection_dim=PROJECTION_WIDTH,
    )
    _redrawn(CLIPVisionModelWithProjection(config), dtype).save_pretrained(folder)
    if processor:
        side = {"height": PICTURE_SIZE, "width": PICTURE_SIZE}
        CLIPImageProcessorPil(size={"shortest_edge": PICTURE_SIZE}, crop_size=side).save_pretrained(folder)


def _qformer_shapes(text_model: Shapes, every: int) -> Shapes:
    """Those of the text model, and of a cross-attention with its norm in every n-th layer."""
    shapes = dict(text_model)
    for key, shape in text_model.items():
        crossing = key.replace("self_attn", "crossattention").replace("layer_norm1", "layer_norm3")
        if crossing != key and int(key.split(".")[3]) % every == 0:
            shapes[crossing] = shape
    return shapes


def _projector_shapes(tokens: int) -> Shapes:
    proj, norm = (tokens * WIDTH,), (WIDTH,)
    return {
        "proj.weight": (*proj, PROJECTION_WIDTH),
        "proj.bias": proj,
        "norm.weight": norm,
        "norm.bias": norm,
    }


def _write_checkpoint(folder: Path, shapes: Shapes, dtype: torch.dtype) -> None:
    folder.mkdir()
    torch.save({key: _drawn(key, shape).to(dtype) for key, shape in shapes.items()}, folder / "ckpt.pt")


def _redrawn(model: Model, dtype: torch.dtype) -> Model:
    for name, parameter in model.named_parameters():
        parameter.data = _drawn(name, parameter.shape)
    return model.to(dtype)


def _drawn(name: str, shape: Sequence[int]) -> Tensor:
    """A random weight: with such ones each layer of a transformer counts as much as what it is added to."""
    noise = torch.randn(*shape)
    if "norm" in name and name.endswith("weight"):
        return 1 + 0.2 * noise
    if len(shape) == 1:
        return 0.2 * noise
    return noise if name.endswith("embedding.weight") else noise / noise[0].numel() ** 0.5
