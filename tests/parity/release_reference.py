"""The InstructG2I release in plain torch, written from its formulas: nothing in here is graphcond's.

Names are those of the formulas: ``T`` is the prompt's text, ``G`` a graph, ``neg`` the negative text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import diffusers
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from transformers import (
    CLIPImageProcessorPil,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
)

Weights: TypeAlias = dict[str, Tensor]
Eps: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""The denoiser's answer to a text (b, 77, c) and a graph (b, 77, c)."""

NEIGHBORS = 5
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "gelu": F.gelu,
}


@dataclass(frozen=True)
class Graph:
    """Embeddings (5, d) of the neighbors' pictures, then of black ones; the mask (5) is 0 for those."""

    embeddings: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Call:
    """What is drawn: a picture for each prompt, from these latents, in this many steps."""

    prompts: list[str]
    latents: Tensor
    steps: int
    negative: str = ""

    @property
    def negatives(self) -> list[str]:
        return [self.negative] * len(self.prompts)


class ReleaseReference:
    """The three modes of the release. Each draws pictures (b, height, width, 3) with values in 0..1."""

    def __init__(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        pictures = folder / "image_encoder"
        self.dtype = dtype
        self.tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        self.text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=dtype)
        self.image_encoder = CLIPVisionModelWithProjection.from_pretrained(pictures, dtype=dtype)
        self.processor = _processor(pictures, self.image_encoder.config.image_size)
        self.projector = _checkpoint(folder / "image_proj_model", dtype)
        self.gnn = _checkpoint(folder / "gnn", dtype)
        self.unet = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=dtype)
        self.vae = diffusers.AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=dtype)
        self.scheduler = _scheduler(folder / "scheduler")

    @torch.no_grad()
    def graph(self, pictures: Sequence[Image.Image]) -> Graph:
        absent = NEIGHBORS - len(pictures)
        row = [picture.convert("RGB") for picture in pictures] + [Image.new("RGB", (256, 256))] * absent
        pixels = self.processor(row, return_tensors="pt").pixel_values.to(self.dtype)
        mask = torch.tensor([1.0] * len(pictures) + [0.0] * absent, dtype=self.dtype)
        return Graph(self.image_encoder(pixels).image_embeds, mask)

    @torch.no_grad()
    def joint(self, call: Call, graph: Graph, *, scale: float) -> np.ndarray:
        T, neg = self.text(call.prompts), self.text(call.negatives)
        G = self.graph_tokens(call.prompts, graph)
        zeros = Graph(torch.zeros_like(graph.embeddings), graph.mask)
        null = self.graph_tokens(call.negatives, zeros)

        def guided(eps: Eps) -> Tensor:
            unconditional = eps(neg, null)
            return unconditional + scale * (eps(T, G) - unconditional)

        return self._draw(call, guided)

    def guide(self, call: Call, graph: Graph, *, text_scale: float, graph_scale: float) -> np.ndarray:
        return self.multi(call, [graph], text_scale=text_scale, graph_scales=[graph_scale])

    @torch.no_grad()
    def multi(
        self, call: Call, graphs: Sequence[Graph], *, text_scale: float, graph_scales: Sequence[float]
    ) -> np.ndarray:
        T, neg = self.text(call.prompts), self.text(call.negatives)
        tokens = [self.graph_tokens(call.prompts, graph) for graph in graphs]
        null = torch.zeros_like(tokens[0])

        def guided(eps: Eps) -> Tensor:
            unconditional, text = eps(neg, null), eps(T, null)
            by_graphs = [scale * (eps(T, G) - text) for scale, G in zip(graph_scales, tokens, strict=True)]
            return unconditional + text_scale * (text - unconditional) + sum(by_graphs)

        return self._draw(call, guided)

    def ids(self, prompts: list[str]) -> Tensor:
        length = self.text_encoder.config.max_position_embeddings
        return self.tokenizer(
            prompts, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        ).input_ids

    def text(self, prompts: list[str]) -> Tensor:
        return self.text_encoder(self.ids(prompts)).last_hidden_state

    def graph_tokens(self, prompts: list[str], graph: Graph) -> Tensor:
        neighbors = projected(self.projector, graph.embeddings)
        mask = graph.mask.repeat_interleave(len(neighbors) // NEIGHBORS)
        hiding = (1 - mask) * torch.finfo(self.dtype).min
        return qformer(self.gnn, self.text_encoder.config, self.ids(prompts), neighbors, hiding)

    def _draw(self, call: Call, guided: Callable[[Eps], Tensor]) -> np.ndarray:
        self.scheduler.set_timesteps(call.steps)
        z = call.latents.to(self.dtype) * self.scheduler.init_noise_sigma
        for t in self.scheduler.timesteps:
            eps = guided(partial(self._eps, self.scheduler.scale_model_input(z, t), t))
            z = self.scheduler.step(eps, t, z).prev_sample
        pixels = self.vae.decode(z / self.vae.config.scaling_factor).sample
        return (pixels / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()

    def _eps(self, z: Tensor, t: Tensor, text: Tensor, graph: Tensor) -> Tensor:
        return self.unet(z, t, torch.cat([text, graph], dim=1)).sample


def projected(weights: Weights, embeddings: Tensor) -> Tensor:
    """Neighbor tokens (m, c) of embeddings (k, d)."""
    tokens = _linear(weights, "proj", embeddings).reshape(-1, weights["norm.weight"].shape[0])
    return _norm(weights, "norm", tokens, 1e-5)


def qformer(weights: Weights, config: Any, ids: Tensor, neighbors: Tensor, hiding: Tensor) -> Tensor:
    """Graph tokens (b, 77, c) of prompts (b, 77) and neighbors (m, c); ``hiding`` (m) is the mask to add."""
    length, heads, eps = ids.shape[1], config.num_attention_heads, config.layer_norm_eps
    future = torch.full((length, length), torch.finfo(neighbors.dtype).min, dtype=neighbors.dtype).triu(1)
    x = weights["text_model.embeddings.token_embedding.weight"][ids]
    x = x + weights["text_model.embeddings.position_embedding.weight"][:length]
    for number in range(config.num_hidden_layers):
        layer = f"text_model.encoder.layers.{number}"
        own = _norm(weights, f"{layer}.layer_norm1", x, eps)
        x = x + _attention(weights, f"{layer}.self_attn", own, own, future, heads)
        if f"{layer}.layer_norm3.weight" in weights:
            asking = _norm(weights, f"{layer}.layer_norm3", x, eps)
            x = x + _attention(weights, f"{layer}.crossattention", asking, neighbors, hiding, heads)
        inner = _linear(weights, f"{layer}.mlp.fc1", _norm(weights, f"{layer}.layer_norm2", x, eps))
        x = x + _linear(weights, f"{layer}.mlp.fc2", ACTIVATIONS[config.hidden_act](inner))
    return _norm(weights, "text_model.final_layer_norm", x, eps)


def _attention(
    weights: Weights, name: str, asking: Tensor, asked: Tensor, added: Tensor, heads: int
) -> Tensor:
    q, k, v = (
        _linear(weights, f"{name}.{part}_proj", states).unflatten(-1, (heads, -1)).transpose(-3, -2)
        for part, states in (("q", asking), ("k", asked), ("v", asked))
    )
    shares = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5 + added).softmax(-1)
    return _linear(weights, f"{name}.out_proj", (shares @ v).transpose(-3, -2).flatten(-2))


def _linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _norm(weights: Weights, name: str, x: Tensor, eps: float) -> Tensor:
    centered = x - x.mean(-1, keepdim=True)
    scaled = centered / (centered.square().mean(-1, keepdim=True) + eps).sqrt()
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _checkpoint(folder: Path, dtype: torch.dtype) -> Weights:
    weights = torch.load(folder / "ckpt.pt", map_location="cpu", weights_only=True)
    return {key: value.to(dtype) for key, value in weights.items()}


def _processor(folder: Path, size: int) -> CLIPImageProcessorPil:
    """The folder's own, or CLIP's defaults at the image encoder's size."""
    if (folder / "preprocessor_config.json").exists():
        return CLIPImageProcessorPil.from_pretrained(folder)
    return CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size})


def _scheduler(folder: Path) -> Any:
    name = json.loads((folder / "scheduler_config.json").read_text(encoding="utf-8"))["_class_name"]
    return getattr(diffusers, name).from_pretrained(folder)
