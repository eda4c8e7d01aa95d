"""The memory of the weights in a training, by base and number of GPUs, counted without allocating any.

Activations come on top. They depend on the pictures, the batch and ``base.gradient_checkpointing``.

    python benchmarks/weights_by_size.py
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from checkpoints import SD15, SDXL, autoencoder_of, unet_of
from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel
from flux2_step import KLEIN_4B
from torch import nn

from graphcond.encoders.graph_qformer import GraphQFormer
from graphcond.encoders.text_transformer import TransformerShape

CLIP_WIDTH, PROCESSES = 768, (1, 2, 8)
FROZEN, TRAINED = 2, 16
"""Bytes of a weight in bf16, and of one in float32 with its gradient and AdamW's two means."""
CLIP_L = TransformerShape(49_408, 77, 768, 12, 12, 3072, "quick_gelu")


def qformer(tokens: int, shape: TransformerShape = CLIP_L) -> nn.Module:
    return GraphQFormer(shape=shape, feature_width=CLIP_WIDTH, token_width=tokens)


def over_states(width: int) -> nn.Module:
    return qformer(width, TransformerShape.over_states(width, 512, 12))


SIZES: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module], Callable[[], nn.Module]]] = {
    "SD 1.5": (lambda: unet_of(SD15), lambda: autoencoder_of(SD15), lambda: qformer(768)),
    "SDXL": (lambda: unet_of(SDXL), lambda: autoencoder_of(SDXL), lambda: qformer(2048)),
    "FLUX.2 Klein 4B": (
        lambda: Flux2Transformer2DModel(guidance_embeds=False, **KLEIN_4B),
        AutoencoderKLFlux2,
        lambda: over_states(7680),
    ),
    "FLUX.2 dev (diffusers' default sizes)": (
        Flux2Transformer2DModel,
        AutoencoderKLFlux2,
        lambda: over_states(15_360),
    ),
}
"""The denoiser, the autoencoder and the Graph-QFormer of each size."""


def main() -> None:
    heads = " | ".join(f"FSDP2 on {count}" for count in PROCESSES[1:])
    print(f"| base | denoiser | trained | one GPU, or DDP | {heads} | 4 bits, one GPU |")
    print("|---|" + "---:|" * (3 + len(PROCESSES)))
    for name, parts in SIZES.items():
        with torch.device("meta"):
            denoiser, vae, trained = (sum(p.numel() for p in part().parameters()) for part in parts)
        whole = TRAINED * trained + FROZEN * vae
        shared = [f"{(whole + FROZEN * denoiser / count) / 1e9:.1f} GB" for count in PROCESSES]
        cells = [
            f"{denoiser / 1e9:.2f} B",
            f"{trained / 1e6:.0f} M",
            *shared,
            f"{(whole + denoiser / 2) / 1e9:.1f} GB",
        ]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
