"""The loss of a batch: what the conditioned denoiser answers, and how far off it is."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from diffusers import DDPMScheduler
from jaxtyping import Float, Int64
from torch import Tensor

from graphcond.model import GraphModel
from graphcond.training.objective import noisy_latents, prediction_target, squared_error
from graphcond.types import Context, DenoiserInputs, TextTokens


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
