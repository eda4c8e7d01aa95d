"""The denoising objective as pure functions: timesteps, noise, targets and weights of the loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from diffusers import DDPMScheduler
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from graphcond.condition import Condition
from graphcond.context import Context
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.errors import InputError
from graphcond.model import GraphModel
from graphcond.recipe.sections import DropConfig
from graphcond.signals import TextTokens


@dataclass(frozen=True)
class Drops:
    """What is taken away from each sample."""

    text: Bool[np.ndarray, " b"]
    graph: Bool[np.ndarray, " b"]

    def select(self, rows: Bool[np.ndarray, " b"]) -> Drops:
        """The samples of a mask."""
        return Drops(self.text[rows], self.graph[rows])


def drops_of(chance: Float64[np.ndarray, " b"], config: DropConfig) -> Drops:
    """Divide 0..1 into text only, graph only, both and nothing; ``chance`` says where a sample falls."""
    text_only = chance < config.text
    graph_only = ~text_only & (chance < config.text + config.graph)
    both = ~text_only & ~graph_only & (chance < config.text + config.graph + config.both)
    return Drops(text_only | both, graph_only | both)


def gives_gradient(drops: Drops, *, always: bool) -> Bool[np.ndarray, " b"]:
    """The samples worth computing: over a frozen base, one without its graph gives no gradient at all.

    Args:
        drops: what each sample loses.
        always: something learns without a graph too; see `learns_without_graph`.
    """
    return np.ones_like(drops.graph) if always else ~drops.graph


def learns_without_graph(conditions: Iterable[Condition], *, lora: bool) -> bool:
    """Whether samples without graph give gradients: to a LoRA, or to an injector that reads null signals."""
    return lora or any(c.null == "zeros" and bool(c.injector.trainable_parameters()) for c in conditions)


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


def sample_losses(
    model: GraphModel,
    scheduler: DDPMScheduler,
    *,
    latents: Float[Tensor, "b channels h w"],
    noise: Float[Tensor, "b channels h w"],
    timesteps: Int64[Tensor, " b"],
    text: TextTokens,
    contexts: Mapping[str, Context],
) -> Float[Tensor, " b"]:
    """The squared error of every sample, all conditions applied together, in float32.

    A sample whose context is empty gets the condition's null.
    """
    inputs = DenoiserInputs(noisy_latents(scheduler, latents, noise, timesteps), timesteps, text.hidden)
    for name, condition in model.conditions.items():
        inputs = condition.apply(inputs, condition.signal(contexts[name], text))
    target = prediction_target(scheduler, latents, noise, timesteps)
    return squared_error(model.base.denoise(inputs), target)


def without_graph(contexts: Mapping[str, Context], rows: Tensor | None = None) -> dict[str, Context]:
    """``contexts`` with the graph of ``rows`` (a mask) taken away, or that of all samples."""
    return {
        name: context.without(torch.ones_like(context.has_graph) if rows is None else rows)
        for name, context in contexts.items()
    }
