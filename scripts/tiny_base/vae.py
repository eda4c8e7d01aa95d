"""Train the VAE, 64x64 pictures to 8x8 latents with colours of their own, and measure its scaling factor."""

import numpy as np
import torch
from common import (
    Log,
    descend,
    mixed,
    outputs,
    pictures,
    save_grid,
    start,
    to_bytes,
    to_pixels,
    warm_cosine,
    warm_start,
)
from diffusers import AutoencoderKL
from torch import Tensor, nn

COLORS = 3
"""The last channels of the latents, which hold the colour of a patch."""

MEAN_COLOR = (0.3100, 0.2303, 0.1871)
WHITENING = ((2.4722, -1.1511, 0.1333), (-1.1511, 3.2312, -1.1098), (0.1333, -1.1098, 2.4220))
"""Of the patches of 3000 pictures, half of each world: the mean, and the inverse root of the covariance."""


def build(recipe: dict) -> AutoencoderKL:
    """Build an untrained VAE."""
    levels = len(recipe["widths"])
    return AutoencoderKL(
        block_out_channels=recipe["widths"],
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=recipe["layers_per_block"],
        latent_channels=recipe["latent_channels"],
        norm_num_groups=recipe["groups"],
        mid_block_add_attention=False,
        sample_size=64,
    )


def patch_colors(pixels: Tensor) -> Tensor:
    """Return the mean colour of each patch of 8x8 pixels, whitened: (B, 3, 8, 8), standard deviation 1.3.

    Without it a VAE lays all colours on one line, where orange lies between red and yellow. A denoiser that
    cannot decide between two colours then draws a third one.
    """
    away = nn.functional.avg_pool2d(pixels, 8) - torch.tensor(MEAN_COLOR)[:, None, None]
    return 1.3 * torch.einsum("ij,bjhw->bihw", torch.tensor(WHITENING), away)


def slopes(pixels: Tensor) -> list[Tensor]:
    """Return differences between neighbouring pixels, across and down, (B, 3, ...)."""
    return [pixels[..., 1:] - pixels[..., :-1], pixels[..., 1:, :] - pixels[..., :-1, :]]


def reconstruction_loss(output: Tensor, target: Tensor, recipe: dict) -> Tensor:
    """L1 + squared error + L1 of the picture gradients."""
    loss = (output - target).abs().mean() + recipe["squared"] * (output - target).square().mean()
    edges = [(a - b).abs().mean() for a, b in zip(slopes(output), slopes(target), strict=True)]
    return loss + recipe["edge"] * sum(edges)


@torch.no_grad()
def psnr(vae: AutoencoderKL, pictures: np.ndarray) -> float:
    """Mean peak signal-to-noise ratio (dB) of reconstructions from the latents' means."""
    values = []
    for batch in np.array_split(pictures, max(1, len(pictures) // 50)):
        pixels = to_pixels(batch)
        output = vae.decode(vae.encode(pixels).latent_dist.mode()).sample.clamp(-1, 1)
        values.append(10 * torch.log10(4 / (output - pixels).square().mean((1, 2, 3))))
    return torch.cat(values).mean().item()


@torch.no_grad()
def measure_scale(vae: AutoencoderKL, pictures: np.ndarray) -> float:
    """Return 1 / standard deviation of sampled latents."""
    latents = [vae.encode(to_pixels(b)).latent_dist.sample() for b in np.array_split(pictures, 20)]
    return 1 / torch.cat(latents).std().item()


def roughened(latents: Tensor, most: float, shift: float) -> Tensor:
    """Add noise to latents (B, 7, 8, 8), at a level up to ``most`` of their deviation, and shift some.

    A denoiser errs by as much, and by the same over a whole shape. The shift, up to ``shift`` of the
    deviation, moves the channels that hold no colour, so that the decoder reads colours off the others.
    """
    size = (len(latents), 1, 1, 1)
    levels, shifts = (limit * torch.rand(size) * latents.std() for limit in (most, shift))
    noise = levels * torch.randn_like(latents)
    noise[:, :-COLORS] += shifts * torch.randn_like(latents[:, :-COLORS, :1, :1])
    return latents + noise


Worlds = tuple[np.ndarray, np.ndarray]
"""Pictures of both worlds: paintings, scenes."""


def save(vae: AutoencoderKL, train: Worlds, test: Worlds) -> None:
    """Write the VAE with its scaling factor, and a grid of pictures over reconstructions."""
    vae.eval()
    vae.register_to_config(
        scaling_factor=measure_scale(vae, np.concatenate([train[0][:1000], train[1][:1000]]))
    )
    vae.save_pretrained(outputs() / "vae")
    some = np.concatenate([test[0][:12], test[1][:24]])
    with torch.no_grad():
        shown = vae.decode(vae.encode(to_pixels(some)).latent_dist.mode()).sample
    save_grid(np.concatenate([some, to_bytes(shown)]), 12, outputs() / "vae.png", zoom=3)
    figures = " ".join(f"{psnr(vae, world[:300]):.2f}" for world in test)
    print(f"psnr {figures} scaling {vae.config.scaling_factor:.4f}", flush=True)
    vae.train()


def train_phase(vae: AutoencoderKL, recipe: dict, phase: int) -> None:
    """Train one phase of the recipe (its own learning rate and cosine) and save every 500 steps."""
    train, test = pictures("train"), pictures("test")
    steps, rate = recipe["steps"][phase], recipe["learning_rates"][phase]
    optimizer = torch.optim.AdamW(vae.parameters(), rate, betas=(0.9, 0.99), weight_decay=1e-4, fused=True)
    schedule, log = warm_cosine(optimizer, steps, warmup=50), Log(50)
    for step in range(1, steps + 1):
        rng = np.random.default_rng([phase, step])
        pixels = to_pixels(mixed(*train, recipe["batch_size"], rng))
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe["bf16"]):
            posterior = vae.encode(pixels).latent_dist
            output = vae.decode(roughened(posterior.sample(), recipe["noise"][phase], recipe["shift"])).sample
        loss = reconstruction_loss(output.float(), pixels, recipe)
        distance = posterior.mean[:, -COLORS:].float() - patch_colors(pixels)
        loss = loss + recipe["colors"] * distance.square().mean()
        total = loss + recipe["kl"] * posterior.kl().float().mean() / posterior.mean[0].numel()
        descend(total, vae.parameters(), optimizer, schedule)
        log(step, loss=loss.detach(), kl=posterior.kl().detach().mean())
        if step % 500 == 0 or step == steps:
            save(vae, train, test)


def main() -> None:
    """Train all phases."""
    recipe = start("vae")
    shipped = warm_start("vae")
    vae = AutoencoderKL.from_pretrained(shipped, torch_dtype=torch.float32) if shipped else build(recipe)
    vae.to(memory_format=torch.channels_last)
    print(f"parameters {vae.num_parameters():,}")
    for phase in range(len(recipe["steps"])):
        train_phase(vae, recipe, phase)


if __name__ == "__main__":
    main()
