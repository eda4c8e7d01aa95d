"""Train the VAE's decoder longer, its encoder frozen: crisper pictures, also from latents that err."""

import numpy as np
import torch
from common import Log, descend, load_recipe, outputs, pictures, start, to_pixels, warm_cosine
from diffusers import AutoencoderKL
from vae import psnr, reconstruction_loss, roughened


def main() -> None:
    """Train by steps from vae/ to vae-final/."""
    recipe, losses = start("decoder"), load_recipe()["vae"]
    worlds = [torch.load(outputs() / name, mmap=True) for name in ("latents.pt", "scene-latents-train.pt")]
    train, test = pictures("train"), pictures("test")
    vae = AutoencoderKL.from_pretrained(outputs() / "vae").to(memory_format=torch.channels_last)
    parameters = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
    optimizer = torch.optim.AdamW(parameters, recipe["learning_rate"], betas=(0.9, 0.99), fused=True)
    schedule, log = warm_cosine(optimizer, recipe["steps"]), Log(50)
    for step in range(1, recipe["steps"] + 1):
        rng = np.random.default_rng([11, step])
        half = recipe["batch_size"] // 2
        rows = [rng.integers(0, len(world), half) for world in train]
        mean, std = (
            torch.cat([latents[name][chosen] for latents, chosen in zip(worlds, rows, strict=True)])
            for name in ("mean", "std")
        )
        noise = torch.as_tensor(rng.standard_normal(mean.shape, np.float32))
        given = roughened(mean + std * noise, recipe["noise"], losses["shift"]) / vae.config.scaling_factor
        shown = np.concatenate([world[chosen] for world, chosen in zip(train, rows, strict=True)])
        with torch.autocast("cpu", torch.bfloat16):
            output = vae.decode(given).sample
        loss = reconstruction_loss(output.float(), to_pixels(shown), losses)
        descend(loss, parameters, optimizer, schedule)
        log(step, loss=loss.detach())
    vae.eval().save_pretrained(outputs() / "vae-final")
    print(*(f"psnr {psnr(vae, world[:300]):.2f}" for world in test))


if __name__ == "__main__":
    main()
