"""Train the VAE, 64x64 pictures to 16x16 latents."""

import numpy as np
import torch
from common import Log, descend, save_grid, to_bytes, to_pixels, warm_cosine
from diffusers import AutoencoderKL
from emoji_data import Emoji, outputs, recipe, splits
from loop import keep, restore
from vae import build, measure_scale, psnr, reconstruction_loss, roughened

FILE = "vae.pt"


def save(vae: AutoencoderKL, train: Emoji, test: Emoji) -> None:
    """Write the VAE with its scaling factor, and a grid of held-out pictures over reconstructions."""
    vae.eval()
    vae.register_to_config(scaling_factor=measure_scale(vae, train.pictures[::8]))
    vae.save_pretrained(outputs() / "vae")
    some = test.pictures[:16]
    with torch.no_grad():
        shown = vae.decode(vae.encode(to_pixels(some)).latent_dist.mode()).sample
    save_grid(np.concatenate([some, to_bytes(shown)]), 16, outputs() / "vae.png", zoom=2)
    print(f"psnr {psnr(vae, test.pictures):.2f} scaling {vae.config.scaling_factor:.4f}", flush=True)
    vae.train()


def main() -> None:
    """Train by steps; go on from the last checkpoint."""
    settings, data = recipe()["vae"], splits()
    torch.set_num_threads(1)
    torch.manual_seed(recipe()["seed"])
    vae = build(settings).to(memory_format=torch.channels_last)
    print(f"parameters {vae.num_parameters():,}; {len(data.everything)} pictures", flush=True)
    rate, steps = settings["learning_rate"], settings["steps"]
    optimizer = torch.optim.AdamW(vae.parameters(), rate, betas=(0.9, 0.99), weight_decay=1e-4, fused=True)
    schedule, log = warm_cosine(optimizer, steps), Log(50)
    parts = {"model": vae, "optimizer": optimizer, "schedule": schedule}
    done = restore(outputs() / FILE, parts)
    for step in range(done + 1, steps + 1):
        rng = np.random.default_rng([1, step])
        torch.manual_seed(step)
        rows = rng.integers(0, len(data.everything), settings["batch_size"])
        pixels = to_pixels(data.everything.pictures[rows])
        with torch.autocast("cpu", torch.bfloat16):
            posterior = vae.encode(pixels).latent_dist
            output = vae.decode(roughened(posterior.sample(), settings["noise"], 0.0)).sample
        loss = reconstruction_loss(output.float(), pixels, settings)
        total = loss + settings["kl"] * posterior.kl().float().mean() / posterior.mean[0].numel()
        descend(total, vae.parameters(), optimizer, schedule)
        log(step, loss=loss.detach(), kl=posterior.kl().detach().mean())
        if step % 250 == 0 or step == steps:
            save(vae, data.everything, data.test)
            keep(outputs() / FILE, parts, step)


if __name__ == "__main__":
    main()
