"""Draw pictures from the tiny base with plain classifier-free guidance."""

from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, DPMSolverMultistepScheduler, UNet2DConditionModel
from torch import Tensor


def ddim() -> DDIMScheduler:
    """Return the base's scheduler: v prediction, zero terminal SNR, trailing spacing."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=0,
    )


def solver(config: Any) -> DPMSolverMultistepScheduler:
    """Return DPM-Solver++ (second order) on the same schedule."""
    return DPMSolverMultistepScheduler.from_config(config, algorithm_type="dpmsolver++", solver_order=2)


@torch.no_grad()
def sample_latents(
    unet: UNet2DConditionModel,
    scheduler: Any,
    states: Tensor,
    null: Tensor,
    steps: int,
    scale: float,
    seed: int,
) -> Tensor:
    """Return latents (B, C, H, W) for text states (B, L, D), guided away from the empty caption (L, D)."""
    generator = torch.Generator().manual_seed(seed)
    scheduler.set_timesteps(steps)
    shape = (unet.config.in_channels, unet.config.sample_size, unet.config.sample_size)
    latents = torch.randn(len(states), *shape, generator=generator) * scheduler.init_noise_sigma
    context = torch.cat([null.expand_as(states), states])
    for time in scheduler.timesteps:
        inputs = scheduler.scale_model_input(torch.cat([latents, latents]), time)
        without, given = unet(inputs, time, context).sample.chunk(2)
        latents = scheduler.step(without + scale * (given - without), time, latents).prev_sample
    return latents


@torch.no_grad()
def decode(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Return pixels (B, 3, 64, 64) in [-1, 1]."""
    return vae.decode(latents / vae.config.scaling_factor).sample.clamp(-1, 1)
