"""What tests of released checkpoints share: edits of their files, pictures, and one short drawing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from graphcond.pipeline import GraphPipeline

Weights = dict[str, Tensor]

QFORMER, PROJECTOR = "gnn/ckpt.pt", "image_proj_model/ckpt.pt"
LAYERS = "text_model.encoder.layers"


def edit_ckpt(file: Path, change: Callable[[Weights], Any]) -> None:
    """Save again what ``change`` returns."""
    torch.save(change(torch.load(file, weights_only=True)), file)


def edit_safetensors(file: Path, change: Callable[[Weights], Weights]) -> None:
    """Save again what ``change`` returns."""
    save_file(change(load_file(file)), file, {"format": "pt"})


def edit_json(file: Path, **changes: Any) -> None:
    """Save a config again with other values."""
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def upcast(weights: Weights) -> Weights:
    """The same weights in float32."""
    return {name: one.float() for name, one in weights.items()}


def equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether names, number formats and values are the same."""
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and torch.equal(one[name], other[name]) for name in one
    )


def pictures(count: int) -> list[Image.Image]:
    """Random pictures."""
    draw = np.random.default_rng(0)
    return [Image.fromarray(draw.integers(0, 256, (30, 20, 3), np.uint8)) for _ in range(count)]


def draw(pipe: GraphPipeline, **options: Any) -> np.ndarray:
    """One picture of three neighbors, in two steps."""
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    settings = {"neighbors": pictures(3), "num_inference_steps": 2, "output_type": "np"} | options
    return pipe("a red house", latents=latents, **settings).images[0]
