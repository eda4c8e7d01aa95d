"""Train the VAE's decoder longer, its encoder frozen: crisper pictures, the same latents."""

import numpy as np
import torch
from common import Log, load_recipe, outputs, start, to_pixels, warm_cosine
from diffusers import AutoencoderKL
from vae import psnr, reconstruction_loss


def main() -> None:
    """Train by steps from vae/ to vae-final/."""
    recipe, losses = start("decoder"), load_recipe()["vae"]
    latents = torch.load(outputs() / "latents.pt")
    train, test = (np.load(outputs() / f"{split}.npz")["pictures"] for split in ("train", "test"))
    vae = AutoencoderKL.from_pretrained(outputs() / "vae").to(memory_format=torch.channels_last)
    parameters = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
    optimizer = torch.optim.AdamW(parameters, recipe["learning_rate"], betas=(0.9, 0.99), fused=True)
    schedule, log = warm_cosine(optimizer, recipe["steps"]), Log(50)
    for step in range(1, recipe["steps"] + 1):
        rng = np.random.default_rng([11, step])
        rows = rng.integers(0, len(train), recipe["batch_size"])
        noise = torch.as_tensor(rng.standard_normal((len(rows), *latents["mean"].shape[1:]), np.float32))
        given = (latents["mean"][rows] + latents["std"][rows] * noise) / vae.config.scaling_factor
        with torch.autocast("cpu", torch.bfloat16):
            output = vae.decode(given).sample
        loss = reconstruction_loss(output.float(), to_pixels(train[rows]), losses)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        log(step, loss=loss.detach())
    vae.eval().save_pretrained(outputs() / "vae-final")
    print(f"psnr {psnr(vae, test[:300]):.2f}")


if __name__ == "__main__":
    main()
