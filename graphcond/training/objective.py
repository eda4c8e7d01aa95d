"""The denoising objective as pure functions: timesteps, noise, targets and weights of the loss."""

from __future__ import annotations

from typing import Literal

from diffusers import DDPMScheduler
from jaxtyping import Float, Int64
from torch import Tensor

from graphcond.errors import InputError

PREDICTIONS = ("epsilon", "v_prediction")

Latents = Float[Tensor, "b channels height width"]


def timesteps_of(
    uniform: Float[Tensor, " b"], total: int, kind: Literal["uniform", "high_noise"]
) -> Int64[Tensor, " b"]:
    """Timesteps in 0..total-1 from uniform numbers in 0..1.

    ``high_noise`` takes the square root of the number: the noisy steps, where palette and composition
    are decided, come more often.
    """
    share = uniform.sqrt() if kind == "high_noise" else uniform
    return (share * total).long().clamp(max=total - 1)


def noisy_latents(
    scheduler: DDPMScheduler, latents: Latents, noise: Latents, timesteps: Int64[Tensor, " b"]
) -> Latents:
    """Latents at ``timesteps`` of the forward process."""
    return scheduler.add_noise(latents, noise, timesteps)


def prediction_target(
    scheduler: DDPMScheduler, latents: Latents, noise: Latents, timesteps: Int64[Tensor, " b"]
) -> Latents:
    """What the denoiser should answer: the noise, or the velocity (arXiv 2202.00512)."""
    if scheduler.config.prediction_type == "v_prediction":
        return scheduler.get_velocity(latents, noise, timesteps)
    return noise


def squared_error(prediction: Latents, target: Latents) -> Float[Tensor, " b"]:
    """The mean squared error of every sample, in float32."""
    return (prediction.float() - target.float()).square().mean(dim=(1, 2, 3))


def min_snr_weight(
    scheduler: DDPMScheduler, timesteps: Int64[Tensor, " b"], gamma: float
) -> Float[Tensor, " b"]:
    """min(SNR, gamma) on the prediction of the clean latents (Hang et al., arXiv 2303.09556).

    That is min(SNR, gamma) / SNR on the noise and min(SNR, gamma) / (SNR + 1) on the velocity. At zero
    terminal SNR it is 1 on the noise, its limit, and 0 on the velocity.
    """
    signal = scheduler.alphas_cumprod.double()[timesteps.cpu()]
    snr = signal / (1 - signal)
    if scheduler.config.prediction_type == "v_prediction":
        weight = snr.clamp(max=gamma) / (snr + 1)
    else:
        weight = (gamma / snr).clamp(max=1.0)
    return weight.float().to(timesteps.device)


def check_prediction(prediction_type: str) -> None:
    """See that the objective knows what a base predicts.

    Raises:
        InputError: it does not.
    """
    if prediction_type not in PREDICTIONS:
        raise InputError(
            f"it predicts '{prediction_type}'",
            place="base",
            remedy=f"use a base whose scheduler says {' or '.join(PREDICTIONS)}",
        )
