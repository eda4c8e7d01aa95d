"""One training step of `instructg2i-flux2` at the size of FLUX.2 Klein 4B, with random weights, on a CPU.

The prompt's states are random, as they would come from the cache, so no text encoder is in memory:

    python benchmarks/flux2_step.py [--resolution 256] [--steps 2] [--tiny]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch
from checkpoints import write_flux2
from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel
from torch import nn
from transformers import Qwen2TokenizerFast, Qwen3Config, Qwen3ForCausalLM

from graphcond import GraphModel, NeighborFeatures, load_recipe
from graphcond.bases import Flux2Base
from graphcond.bases.base import LatentMoments
from graphcond.bases.loading import load_scheduler, load_tokenizer
from graphcond.signals import TextTokens
from graphcond.training.device import PeakMemory
from graphcond.training.objective import denoising_loss

CPU = torch.device("cpu")
KLEIN_4B = {"num_layers": 5, "num_single_layers": 20, "num_attention_heads": 24, "joint_attention_dim": 7680}
TINY = {"num_layers": 1, "num_single_layers": 1, "num_attention_heads": 1, "joint_attention_dim": 7680}
CLIP_WIDTH, NEIGHBORS = 768, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--tiny", action="store_true", help="one block of each sort, to try the script")
    options = parser.parse_args()
    torch.manual_seed(0)
    print(json.dumps(measure(options), indent=2))


def measure(options: argparse.Namespace) -> dict[str, object]:
    start, memory = time.perf_counter(), PeakMemory(CPU)
    base = build_base(TINY if options.tiny else KLEIN_4B)
    recipe = load_recipe("instructg2i-flux2")
    model = GraphModel.build(recipe, feature_width=CLIP_WIDTH, base=base)
    model.train(True)
    for parameter in model.parameters():
        parameter.data = parameter.data.float()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    shape = (1, *base.latent_shape(options.resolution, options.resolution))
    states = torch.randn(1, base.facts.token_count, base.facts.token_width, dtype=torch.bfloat16)
    text = TextTokens(torch.zeros(states.shape[:2], dtype=torch.int64), states)
    neighbors = NeighborFeatures(
        torch.randn(1, NEIGHBORS, CLIP_WIDTH), torch.ones(1, NEIGHBORS, dtype=torch.bool)
    )
    built, seconds, losses = time.perf_counter() - start, [], []
    for _ in range(options.steps):
        start = time.perf_counter()
        moments = LatentMoments(torch.randn(shape), torch.ones(shape))
        with torch.autocast("cpu", torch.bfloat16):
            loss = denoising_loss(model, moments, text, {"neighbors": neighbors})
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(round(time.perf_counter() - start, 1))
        losses.append(round(loss.item(), 4))
    return {
        "threads": torch.get_num_threads(),
        "resolution": options.resolution,
        "frozen_parameters": sum(p.numel() for p in base.denoiser.parameters()),
        "trained_parameters": sum(p.numel() for p in model.parameters()),
        "losses": losses,
        "seconds_to_build": round(built, 1),
        "seconds_per_step": seconds,
        "peak_gib": round(memory.now().bytes / 2**30, 2),
    }


def build_base(sizes: dict[str, int]) -> Flux2Base:
    """The base in bf16; its text encoder has a config and no weights."""
    with torch.device("meta"):
        transformer = Flux2Transformer2DModel(guidance_embeds=False, **sizes)
        text = {"hidden_size": sizes["joint_attention_dim"] // 3, "num_hidden_layers": 36}
        text_encoder = Qwen3ForCausalLM(Qwen3Config(**text))
    fill(transformer.to(torch.bfloat16).to_empty(device="cpu"))
    with tempfile.TemporaryDirectory() as name:
        folder = str(write_flux2(Path(name), tiny=True))
        base = Flux2Base(
            transformer=transformer,
            vae=AutoencoderKLFlux2().to(torch.bfloat16),
            text_encoder=text_encoder,
            tokenizer=load_tokenizer(folder, kind=Qwen2TokenizerFast),
            scheduler=load_scheduler(folder),
        )
    base.enable_gradient_checkpointing()
    return base


@torch.no_grad()
def fill(network: nn.Module) -> None:
    """Matrices that keep the size of what they are given, and norms of one."""
    for parameter in network.parameters():
        if parameter.ndim > 1:
            parameter.normal_(std=parameter.shape[-1] ** -0.5)
        else:
            parameter.fill_(1)


if __name__ == "__main__":
    main()
